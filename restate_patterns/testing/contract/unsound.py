"""Unsound values: an error or value that is broken ends its own invocation clearly, and never stops another."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from typing_extensions import override

from restate_patterns.api.awakeables import AwakeableId
from restate_patterns.api.context import Context, ObjectSharedContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.errors import TerminalError
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

ONCE: Final = RetryPolicy(initial=timedelta(milliseconds=1), max_attempts=1, then="fail")


class BrokenText(Exception):
    @override
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Braces(TerminalError, code=409):
    """Write {"seat": 1}, {} or {0}; not {reason}."""

    reason: str


class Undescribed(TerminalError, code=410):
    @override
    def describe(self) -> str:
        raise KeyError("seat")


class OwnInit(TerminalError, code=411):
    def __init__(self, seat: int) -> None:
        self.seat = seat


def several(error: BaseException) -> BaseException:
    """Put an error in a group."""
    return BaseExceptionGroup("several", [error])


TRIED: Final[Mapping[str, tuple[Callable[[], BaseException], str]]] = {
    "text": (BrokenText, "BrokenText"),
    "surrogate": (lambda: ValueError("a\udce9"), "ValueError: a\\udce9"),
    "StopIteration": (StopIteration, "StopIteration"),
    "StopAsyncIteration": (StopAsyncIteration, "StopAsyncIteration"),
    "GeneratorExit": (GeneratorExit, "GeneratorExit"),
    "KeyboardInterrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "SystemExit": (lambda: SystemExit(3), "SystemExit: 3"),
    "group": (lambda: several(KeyboardInterrupt()), "BaseExceptionGroup: several"),
}
"""Errors that are tried again, and what is said of them."""

TERMINAL: Final[Mapping[str, tuple[Callable[[], BaseException], int, str]]] = {
    "braces": (lambda: Braces(reason="no"), 409, 'Write {"seat": 1}, {} or {0}; not no.'),
    "describe": (Undescribed, 410, "Undescribed (its describe() raised KeyError: 'seat')"),
    "own init": (lambda: OwnInit(1), 411, "OwnInit"),
    "surrogate": (lambda: TerminalError("a\ud800b", code=412), 412, "a\\ud800b"),
    "empty": (lambda: TerminalError("", code=413), 413, ""),
    "lines": (lambda: TerminalError("a\r\nb\0c\x1b[1m", code=414), 414, "a\r\nb\0c\x1b[1m"),
    "high code": (lambda: TerminalError("high", code=65_535), 65_535, "high"),
}
"""Errors that end the invocation, with code and sentence."""


class Sound(Recording, VirtualObject, name="ContractSound"):
    @handler
    async def hear(self, ctx: ObjectSharedContext) -> str:
        return ctx.headers.get("x", "")


REFUSED: Final[Mapping[str, tuple[Callable[[Context], Any], str]]] = {
    "message": (lambda ctx: TerminalError(_any(ValueError("x"))), "message must be text, not ValueError"),
    "code": (lambda ctx: TerminalError("x", code=_any("404")), "code must be a number from 1 to 65535, not '404'"),
    "metadata": (lambda ctx: TerminalError("x", metadata=_any({"k": 1})), "the metadata 'k' must be text, not 1"),
    "handler's name": (
        lambda ctx: ctx.handler_client("ContractSound", "\udce9", key="k"),
        "can't be the wire name of a handler",
    ),
    "id alone": (lambda ctx: ctx.invocation_by_id("\ud800"), "the id has half of a surrogate pair"),
    "huge code": (lambda ctx: TerminalError("x", code=10**30), "code must be a number from 1 to 65535"),
    "header": (
        lambda ctx: ctx.object_client(Sound, "k").hear.with_options(headers={"x": _any(uuid.UUID(int=1))})(),
        "the header 'x' must be text, not UUID",
    ),
    "header's surrogate": (
        lambda ctx: ctx.object_client(Sound, "k").hear.with_options(headers={"x": "\ud800"}).send(),
        "the header 'x' has half of a surrogate pair",
    ),
    "idempotency key": (
        lambda ctx: ctx.object_client(Sound, "k").hear.with_options(idempotency_key=_any(5))(),
        "the idempotency key must be text, not 5",
    ),
    "key": (lambda ctx: ctx.object_client(Sound, _any(5)).hear(), "the key must be text, not 5"),
    "key's surrogate": (lambda ctx: ctx.object_client(Sound, "\udce9").hear(), "the key has half of a surrogate pair"),
    "step": (lambda ctx: ctx.run(_any(5), str), "the name must be text, not 5"),
    "step's surrogate": (lambda ctx: ctx.run("read \udce9", str), "the name has half of a surrogate pair"),
    "awakeable": (
        lambda ctx: AwakeableId[int]("\ud800").resolve(ctx, 1),
        "the awakeable id has half of a surrogate pair",
    ),
    "signal": (lambda ctx: ctx.signal(_any(5), str), "the name must be text, not 5"),
    "signal's surrogate": (
        lambda ctx: ctx.invocation_by_id("inv_1").signal("\ud800", str).resolve("v"),
        "the name has half of a surrogate pair",
    ),
    "id": (lambda ctx: ctx.invocation(Sound.hear, _any(5)).result(), "the id must be text, not 5"),
    "policy": (lambda ctx: RetryPolicy(factor=float("nan")), "factor=nan"),
}
"""What a handler is refused, and what is said of it."""


def _any(value: object) -> Any:
    return value


def act(kind: str) -> str:
    """Raise in a thread."""
    raise TRIED[kind][0]()  # noqa: RSE102 - it makes the error


async def act_on_loop(kind: str) -> str:
    """Raise on the loop."""
    raise TRIED[kind][0]()  # noqa: RSE102 - it makes the error


class Unsound(Recording, Service, name="ContractUnsound"):
    @handler(retry=ONCE)
    async def tried(self, ctx: Context, kind: str) -> str:
        raise TRIED[kind][0]()  # noqa: RSE102 - it makes the error

    @handler
    async def tried_in_thread(self, ctx: Context, kind: str) -> str:
        return await ctx.run(Step("act", retry=ONCE), act, kind)

    @handler
    async def tried_on_loop(self, ctx: Context, kind: str) -> str:
        return await ctx.run(Step("act", retry=ONCE), act_on_loop, kind)

    @handler
    async def terminal(self, ctx: Context, kind: str) -> str:
        raise TERMINAL[kind][0]()  # noqa: RSE102 - it makes the error

    @handler
    async def terminal_of_a_step(self, ctx: Context, kind: str) -> str:
        def fail() -> str:
            raise TERMINAL[kind][0]()  # noqa: RSE102 - it makes the error

        return await ctx.run("fail", fail)

    @handler
    async def terminal_of_a_call(self, ctx: Context, kind: str) -> str:
        return await ctx.service_client(Unsound).terminal(kind)

    @handler
    async def refused(self, ctx: Context, kind: str) -> None:
        asked = REFUSED[kind][0](ctx)
        if isinstance(asked, Awaitable):
            await asked

    @handler
    async def well(self, ctx: Context) -> str:
        return await ctx.run("act", lambda: "well")


DEFINITIONS = (Unsound, Sound)


async def all_of(*checks: Awaitable[None], stage: Stage) -> None:
    """Check things at the same time, while and after which a sound handler works."""
    unsound = stage.client.service_client(Unsound)
    async with asyncio.TaskGroup() as group:
        for check in checks:
            group.create_task(_awaited(check))
        group.create_task(_awaited(unsound.well()))
    equal(await unsound.well(), "well")


async def _awaited(waiting: Awaitable[object]) -> None:
    await waiting


async def _fails(call: Awaitable[object], code: int, words: str) -> None:
    error = None
    try:
        await call
    except TerminalError as found:
        error = found
    true(error is not None, f"no terminal error: {words}")
    assert error is not None
    equal(error.code, code, words)
    true(words in error.message, f"{error.message!r} does not say {words!r}")


@guarantee
async def broken_errors_are_tried(stage: Stage) -> None:
    """An error that is no answer is tried again whatever it is, and named, also one that Python keeps for itself."""
    unsound = stage.client.service_client(Unsound)
    calls = (unsound.tried, unsound.tried_in_thread, unsound.tried_on_loop)
    await all_of(*[_fails(call(kind), 500, TRIED[kind][1]) for call in calls for kind in TRIED], stage=stage)


@guarantee
async def broken_terminal_errors_end(stage: Stage) -> None:
    """A terminal error ends the invocation whatever its class makes of its text, and the caller gets code and text."""
    unsound = stage.client.service_client(Unsound)
    calls = (unsound.terminal, unsound.terminal_of_a_step, unsound.terminal_of_a_call)
    checks = [_fails(call(kind), *TERMINAL[kind][1:]) for call in calls for kind in TERMINAL]
    await all_of(*checks, stage=stage)


@guarantee
async def unsound_values_are_refused(stage: Stage) -> None:
    """What no file and no wire can hold is refused where it is given: the invocation pauses and names it."""

    async def pauses(kind: str) -> None:
        sent = await stage.client.service_client(Unsound).refused.send(kind)
        reason = await stage.paused_because(sent.id)
        await stage.admin.kill(sent.id)
        true(REFUSED[kind][1] in reason, f"the reason does not say {REFUSED[kind][1]!r}: {reason}")

    await all_of(*[pauses(kind) for kind in REFUSED], stage=stage)


@guarantee
async def refused_outside(stage: Stage) -> None:
    """A client refuses the same before it sends anything."""
    for options in ({"headers": {"x": uuid.UUID(int=1)}}, {"idempotency_key": 5}, {"headers": {"x": "\ud800"}}):
        try:
            await stage.client.object_client(Sound, stage.key()).hear.with_options(**_any(options))()
        except TypeError:
            continue
        true(False, f"{options} was sent")
    await raised(TerminalError, stage.client.service_client(Unsound).terminal("empty"))
