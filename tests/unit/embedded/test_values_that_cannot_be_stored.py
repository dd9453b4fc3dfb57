"""Values that no file, wire or header can hold: refused where they are given, by name, and nobody else is stopped."""

from __future__ import annotations

import asyncio
import enum
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import override

from restate_patterns import limits
from restate_patterns.api.awakeables import AwakeableId
from restate_patterns.api.context import Context, ObjectContext, ObjectSharedContext, WorkflowContext
from restate_patterns.api.definitions import Service, VirtualObject, Workflow
from restate_patterns.api.deployment import AppDeployment
from restate_patterns.api.handlers import handler
from restate_patterns.api.links import Link
from restate_patterns.api.promises import DurablePromise
from restate_patterns.api.state import State
from restate_patterns.api.typed_clients import Clients
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.errors import DefinitionError, TerminalError, WrongValue
from restate_patterns.options import HandlerOptions, Step
from restate_patterns.retries import RetryPolicy
from tests.support.engines.engines import Bench, bench, bounded

BIG: Final = 5_000
"""Over each of the lowered bounds."""


class Oddly(str):
    """Text whose methods say something else than it is."""

    __slots__ = ()

    @override
    def encode(self, *args: Any, **kwargs: Any) -> bytes:
        raise RuntimeError("no encode")

    @override
    def isascii(self) -> bool:
        return True

    @override
    def __str__(self) -> str:
        return "somebody else"


class Key(str, enum.Enum):  # noqa: UP042 - in a format string it is its member's name, in Python 3.12
    ANN = "ann"


class OddBytes(bytes):
    @override
    def __bytes__(self) -> bytes:
        return b"something else"


class Target(VirtualObject):
    raw = State[bytes](default=b"")

    @handler
    async def echo(self, ctx: ObjectContext, value: str = "") -> str:
        self.raw.set(ctx, value.encode())
        return f"{ctx.key}:{value}"

    @handler
    async def take(self, ctx: ObjectSharedContext, value: bytes) -> bytes:
        return value

    @handler
    async def header(self, ctx: ObjectSharedContext) -> str:
        return ctx.headers.get("x", "")


class Registration(Workflow):
    answer = DurablePromise[bytes]()

    @handler
    async def run(self, ctx: WorkflowContext, size: int) -> None:
        await self.answer.resolve(ctx, bytes(size))


Asks = Callable[[Clients], Awaitable[object]]


def target(via: Clients, key: Any = "k") -> Target:
    """Give a client of the object."""
    return via.object_client(Target, key)


ASKED: Final[dict[str, tuple[Asks, str]]] = {
    "header of a UUID": (
        lambda via: target(via).echo.with_options(headers={"x": uuid.UUID(int=1)})("v"),  # type: ignore[dict-item]  # the mistake under test  # pyright: ignore[reportArgumentType] - the mistake under test
        "Target.echo: the header 'x' must be text, not UUID",
    ),
    "header's name of bytes": (
        lambda via: target(via).echo.with_options(headers={b"x": "v"})("v"),  # type: ignore[dict-item]  # the mistake under test  # pyright: ignore[reportArgumentType] - the mistake under test
        "Target.echo: the name of a header must be text, not b'x'",
    ),
    "header with a surrogate": (
        lambda via: target(via).echo.with_options(headers={"x": "\udce9"})("v"),
        "the header 'x' has half of a surrogate pair",
    ),
    "headers over the bound": (
        lambda via: target(via).echo.with_options(headers={str(n): "v" * 100 for n in range(50)})("v"),
        "its headers have 5090 characters, over the limit of 1000",
    ),
    "idempotency key of a number": (
        lambda via: target(via).echo.with_options(idempotency_key=5)("v"),  # type: ignore[arg-type]  # the mistake under test  # pyright: ignore[reportArgumentType] - the mistake under test
        "Target.echo: the idempotency key must be text, not 5",
    ),
    "idempotency key with a surrogate": (
        lambda via: target(via).echo.with_options(idempotency_key="\ud800").send("v"),
        "the idempotency key has half of a surrogate pair",
    ),
    "long idempotency key": (
        lambda via: target(via).echo.with_options(idempotency_key="k" * BIG).send("v"),
        "the idempotency key has 5000 characters, over the limit of 1000",
    ),
    "key of a number": (lambda via: target(via, 5).echo("v"), "key): the key must be text, not 5"),
    "key with a surrogate": (lambda via: target(via, "\udce9").echo("v"), "the key has half of a surrogate pair"),
    "long key": (lambda via: target(via, "k" * BIG).echo.send("v"), "the key has 5000 characters"),
    "big argument": (lambda via: target(via).take(bytes(BIG)), "argument of Target/k/take has 5000 bytes, over"),
    "big argument of a send": (lambda via: target(via).take.send(bytes(BIG)), "argument of Target/k/take has 5000"),
    "big argument later": (
        lambda via: target(via).take.send_after(timedelta(days=1), bytes(BIG)),
        "argument of Target/k/take has 5000 bytes",
    ),
    "id of a number": (lambda via: via.invocation(Target.echo, 5).result(), "the id must be text, not 5"),  # type: ignore[arg-type]  # the mistake under test  # pyright: ignore[reportArgumentType] - the mistake under test
    "id with a surrogate": (
        lambda via: via.invocation(Target.echo, "\ud800").cancel(),
        "the id has half of a surrogate pair",
    ),
    "awakeable with a surrogate": (
        lambda via: AwakeableId[str]("\ud800").resolve(via, "v"),
        "the awakeable id has half of a surrogate pair",
    ),
    "big answer of an awakeable": (
        lambda via: AwakeableId[str]("sign_1").resolve(via, "v" * BIG),
        "the answer of sign_1 has 5002 bytes",
    ),
    "signal with a surrogate": (
        lambda via: via.invocation_by_id("inv_1").signal("\ud800", str).resolve("v"),
        "the name has half of a surrogate pair",
    ),
    "big answer of a signal": (
        lambda via: via.invocation_by_id("inv_1").signal("word", str).resolve("v" * BIG),
        "the answer of the signal 'word' has 5002 bytes",
    ),
}


class Asker(VirtualObject):
    text = State[str](default="")
    raw = State[bytes](default=b"")

    @handler
    async def ask(self, ctx: ObjectContext, kind: str) -> None:
        await ASKED[kind][0](ctx)

    @handler
    async def big_state(self, ctx: ObjectContext) -> None:
        self.text.set(ctx, "v" * BIG)

    @handler
    async def big_output(self, ctx: ObjectContext) -> bytes:
        return bytes(BIG)

    @handler
    async def big_step(self, ctx: ObjectContext) -> bytes:
        return await ctx.run("big", bytes, BIG)

    @handler
    async def numbered_step(self, ctx: ObjectContext) -> None:
        name: Any = 5
        await ctx.run(name, str)

    @handler
    async def long_step(self, ctx: ObjectContext) -> None:
        await ctx.run("s" * BIG, str)

    @handler
    async def policy(self, ctx: ObjectContext) -> None:
        await ctx.run(Step("s", retry=RetryPolicy(factor=float("nan"))), str)

    @handler
    async def reads_too_much(self, ctx: ObjectContext) -> int:
        self.text.set(ctx, "v" * 900)
        return sum([len(await self.text.get(ctx)) for _ in range(10)])

    @handler
    async def reads_with_waits(self, ctx: ObjectContext) -> int:
        self.text.set(ctx, "v" * 900)
        total = 0
        for _ in range(10):
            total += len(await self.text.get(ctx))
            await ctx.run("breathe", str)
        return total

    @handler
    async def sends_too_much(self, ctx: ObjectContext) -> None:
        for _ in range(1_000):
            await target(ctx).echo.send("v")


class Well(Service):
    @handler
    async def well(self, ctx: Context) -> str:
        return await ctx.run("act", lambda: "well")


PAUSES: Final = {
    "big_state": "the state 'text' has 5002 bytes, over the limit of 1000",
    "big_output": "what the handler returned has 5000 bytes",
    "big_step": "step 'big': its result has 5000 bytes",
    "numbered_step": "Step: the name must be text, not 5",
    "long_step": "Step: the name has 5000 characters, over the limit of 1000",
    "policy": "RetryPolicy: factor=nan (float) must be a number of at least 1",
    "reads_too_much": "the get state 'text' the handler asks for",
    "sends_too_much": "the send 'Target/k/echo' the handler asks for",
}

APP: Final = AppDeployment([Asker(), Target(), Registration(), Well()])


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the bounds small."""
    monkeypatch.setattr(limits, "VALUE_BYTES_MAX", 1_000)
    monkeypatch.setattr(limits, "VALUE_BYTES_WARNING", 900)
    monkeypatch.setattr(limits, "TEXT_CHARS_MAX", 1_000)
    monkeypatch.setattr(limits, "COMMANDS_BYTES_MAX", 4_000)


async def paused_because(b: Bench, invocation_id: str, words: str) -> None:
    """Expect that an invocation is paused for a reason, and is again after a restart and when it is resumed."""
    for _ in range(2):
        await b.settle()
        view = (await b.engine.describe_invocation(invocation_id)).view
        assert view.status is InvocationStatus.PAUSED, view
        assert words in (view.last_failure or "")
        assert await b.call("Well/well") == b'"well"'
        await b.restart()
        await b.engine.resume(invocation_id)


@pytest.mark.usefixtures("lowered")
@pytest.mark.parametrize("kind", ASKED)
def test_what_a_handler_asks_for_is_refused_before_anything_is_appended(kind: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(APP, file=tmp_path / "e.db") as b:
            asked = await b.send("Asker/a/ask", f'"{kind}"'.encode())
            await paused_because(b, asked, ASKED[kind][1])
            assert (await b.engine.describe_invocation(asked)).journal == []

    asyncio.run(bounded(test()))


@pytest.mark.usefixtures("lowered")
@pytest.mark.parametrize("kind", ASKED)
def test_what_a_client_asks_for_is_refused(kind: str) -> None:
    async def test() -> None:
        async with bench(APP) as b:
            with pytest.raises(WrongValue) as refused:
                await ASKED[kind][0](Clients(Link(EngineCaller(b.engine))))
            assert ASKED[kind][1] in str(refused.value)
            assert await b.call("Well/well") == b'"well"'

    asyncio.run(bounded(test()))


@pytest.mark.usefixtures("lowered")
@pytest.mark.parametrize("name", PAUSES)
def test_what_is_too_much_pauses_its_invocation(name: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(APP, file=tmp_path / "e.db") as b:
            await paused_because(b, await b.send(f"Asker/a/{name}"), PAUSES[name])

    asyncio.run(bounded(test()))


@pytest.mark.usefixtures("lowered")
def test_a_promise_over_the_bound_pauses_the_run() -> None:
    async def test() -> None:
        async with bench(APP) as b:
            await paused_because(
                b, await b.send("Registration/r/run", b"5000"), "answer of the promise 'answer' has 5000"
            )

    asyncio.run(bounded(test()))


@pytest.mark.usefixtures("lowered")
def test_the_bound_is_for_what_lies_between_two_waits() -> None:
    async def test() -> None:
        async with bench(APP) as b:
            assert await b.call("Asker/a/reads_with_waits") == b"9000"

    asyncio.run(bounded(test()))


@pytest.mark.usefixtures("lowered")
def test_a_row_that_went_over_the_bound_goes_on_with_a_higher_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with bench(APP) as b:
            sent = await b.send("Asker/a/reads_too_much")
            await paused_because(b, sent, PAUSES["reads_too_much"])
            monkeypatch.setattr(limits, "COMMANDS_BYTES_MAX", 20_000)
            await b.settle()
            await b.engine.resume(sent)
            assert (await bounded(b.engine.result(sent))).value == b"9000"

    asyncio.run(bounded(test()))


@pytest.mark.parametrize("key", [Oddly("ann"), Key.ANN], ids=["own class", "enumeration"])
def test_text_and_bytes_of_odd_classes_are_what_they_hold(key: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(APP, file=tmp_path / "e.db") as b:
            via = Clients(Link(EngineCaller(b.engine)))
            assert await target(via, key).echo("v") == "ann:v"
            assert await b.call("Target/ann/echo", b'"w"') == b'"ann:w"'
            held = target(via).header.with_options(headers={Oddly("X"): Oddly("y")}, idempotency_key=Oddly("once"))
            assert await held() == "y"
            assert await b.call("Target/k/header", idempotency_key="once") == b'"y"'
            with pytest.raises(WrongValue, match="give bytes, not OddBytes"):
                await target(via).take(OddBytes(b"held"))

    asyncio.run(bounded(test()))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RetryPolicy(factor=float("inf")), "factor=inf"),
        (lambda: RetryPolicy(factor=True), "factor=True"),
        (lambda: RetryPolicy(factor="2"), "factor='2'"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: RetryPolicy(initial=5), "initial must be a timedelta, not 5"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: RetryPolicy(maximum=None), "maximum must be a timedelta"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: RetryPolicy(max_attempts=2.5), "max_attempts=2.5"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: RetryPolicy(max_attempts=True), "max_attempts=True"),
        (lambda: Step(b"s"), "the name must be text, not b's'"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: Step("\ud800"), "half of a surrogate pair"),
        (lambda: Step("s", retry=3), "retry must be a RetryPolicy"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: Step("s", timeout=3), "timeout must be a timedelta"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: HandlerOptions(retention=3), "retention must be a timedelta"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: HandlerOptions(inactivity_timeout=timedelta(-1)), "must not be below 0"),
        (lambda: HandlerOptions(retry="often"), "retry must be a RetryPolicy"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: State[int](name=5), "the name must be text"),  # type: ignore[call-overload]  # the mistake under test
        (lambda: State[int](name="\ud800"), "half of a surrogate pair"),
        (lambda: DurablePromise[int](name=b"x"), "the name must be text"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: type("Coded", (TerminalError,), {"code": "404"}), "code must be a number"),
        (lambda: type("Coded", (TerminalError,), {}, code=10**9), "code must be a number"),
        (lambda: type("Named", (TerminalError,), {}, name=5), "the name on the wire must be text"),
    ],
)
def test_options_and_names_are_checked_when_they_are_made(make: Callable[[], object], words: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        make()
    assert words in str(refused.value)


def test_durations_of_any_length_are_stored() -> None:
    forever = AppDeployment([Well()])
    options = HandlerOptions(retention=timedelta.max, retry=RetryPolicy(initial=timedelta.max, maximum=timedelta.max))

    async def test() -> None:
        async with bench(forever) as b:
            info = forever.services["Well"].handlers["well"]
            object.__setattr__(info, "options", options)
            assert await b.call("Well/well") == b'"well"'
            await b.restart()
            assert await b.call("Well/well") == b'"well"'

    asyncio.run(bounded(test()))
