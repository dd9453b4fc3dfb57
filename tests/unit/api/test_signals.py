"""Signals: a declaration, its two sides, and what is refused on each, with its sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest

from restate_patterns import (
    App,
    AwaitedSignal,
    Client,
    Context,
    InvocationHandle,
    InvocationNotFound,
    ObjectContext,
    Service,
    Signal,
    SignalHandle,
    TerminalError,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WrongValue,
    handler,
)
from restate_patterns.testing import run_test
from tests.support.engines.apps import running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

T = TypeVar("T")


class Order(Service):
    approved = Signal[bool]()
    lines = Signal[list[str]](name="the lines")

    @handler
    async def place(self, ctx: Context) -> list[str]:
        approved = await ctx.signal(self.approved)
        return await ctx.signal(self.lines) if approved else []

    @handler
    async def by_name(self, ctx: Context) -> list[str]:
        return await ctx.signal("the lines", list[str])

    @handler
    async def others(self, ctx: Context) -> None:
        await ctx.signal(Letter.text)

    @handler
    async def another_type(self, ctx: Context) -> None:
        await ctx.signal("the lines", list[int])

    @handler
    async def no_type(self, ctx: Context) -> None:
        ask: Any = ctx.signal
        ask("free")

    @handler
    async def two_types(self, ctx: Context) -> None:
        ask: Any = ctx.signal
        ask(self.approved, bool)

    @handler
    async def no_text(self, ctx: Context) -> None:
        name: Any = 3
        await ctx.signal(name, bool)

    @handler
    async def no_values(self, ctx: Context) -> None:
        await ctx.signal("free", pytest.Session)

    @handler
    async def forgotten(self, ctx: Context) -> None:
        ctx.invocation(Order.place, ctx.invocation_id).signal(Order.approved).resolve(True)  # type: ignore[unused-coroutine]

    @handler
    async def to_itself(self, ctx: Context) -> bool:
        await ctx.invocation(Order.to_itself, ctx.invocation_id).signal(Order.approved).resolve(True)
        return await ctx.signal(self.approved)

    @handler
    async def to_no_id(self, ctx: Context) -> None:
        await ctx.invocation_by_id("no id").signal("approved", bool).resolve(True)

    @handler
    async def later_changes_are_not_seen(self, ctx: Context) -> list[str]:
        lines = ["a"]
        answer = ctx.invocation_by_id(ctx.invocation_id).signal("x", list[str]).resolve(lines)
        lines.append("not sent")
        await answer
        return await ctx.signal("x", list[str])


class Letter(Service):
    text = Signal[str]()

    @handler
    async def read(self, ctx: Context) -> str:
        return await ctx.signal(self.text)


class Shelf(VirtualObject, Generic[T]):
    item = Signal[T]()

    @handler
    async def wait(self, ctx: ObjectContext) -> T:
        return await ctx.signal(self.item)


class Prices(Shelf[int]): ...


class Box(Workflow):
    item = Signal[dict[str, int]]()

    @handler
    async def run(self, ctx: WorkflowContext) -> dict[str, int]:
        return await ctx.signal(self.item)


async def test_it_is_answered_through_every_handle() -> None:
    async with run_test(App([Order(), Box()])) as env:
        sent = await env.client.service_client(Order).place.send()
        await sent.signal(Order.approved).resolve(True)
        by_id = env.client.invocation_by_id(sent.id)
        await by_id.signal("the lines", list[str]).resolve(["a", "b"])
        assert await sent.result() == ["a", "b"]
        keyed = env.client.service_client(Order).by_name.with_options(idempotency_key="k")
        await keyed.send()
        await keyed.handle().signal(Order.lines).resolve(["by key"])
        assert await keyed() == ["by key"]
        box = env.client.workflow_client(Box, "b")
        await box.run.send()
        await box.run.handle().signal(Box.item).resolve({"x": 1})
        assert await box.run.handle().result() == {"x": 1}


async def test_it_shows_what_it_is() -> None:
    awaited: list[str] = []

    class Shown(Service):
        due = Signal[bool]()

        @handler
        async def show(self, ctx: Context) -> None:
            awaited.append(f"{ctx.signal(self.due)!r} {type(ctx.signal(self.due)) is AwaitedSignal}")

    async with running(Shown()) as app:
        await (await app.client.service_client(Shown).show.send()).result()
        handle = app.client.invocation(Shown.show, "inv_1").signal("due", bool)
    assert awaited == ["<signal 'due'> True"]
    assert repr(handle).endswith("Shown.show.signal('due')>")
    assert type(handle) is SignalHandle
    assert repr(Order.lines) == "<signal Order.lines>"


async def test_a_handler_signals_itself_and_nobody() -> None:
    async with running(Order()) as app:
        order = app.client.service_client(Order)
        assert await order.to_itself()
        assert await order.later_changes_are_not_seen() == ["a"]
        await order.to_no_id()


IN_HANDLERS: list[tuple[Any, str]] = [
    (Order.others, r"Letter\.text was used in Order\.others: a signal is reached from handlers of its own class only"),
    (Order.another_type, r"Order\.lines is declared under this name as list\[str\], not as list\[int\]"),
    (Order.no_type, r"ctx\.signal\('free'\): say what the signal is resolved with, as in `signal\('free', bool\)`"),
    (Order.two_types, r"Order\.approved says its own type: write `signal\(Order\.approved\)`"),
    (Order.no_text, r"ctx\.signal\(3, bool\): the name must be text, not 3"),
    (Order.no_values, r"ctx\.signal\('free', Session\): Session can't be turned into JSON"),
    (Order.forgotten, r"Order\.place\.signal\('approved'\)\.resolve: called but never awaited"),
]


@pytest.mark.parametrize(("ref", "sentence"), IN_HANDLERS, ids=[repr(ref) for ref, _ in IN_HANDLERS])
async def test_a_handler_that_misuses_one_pauses_with_the_sentence(ref: Any, sentence: str) -> None:
    async with running(Order(), Letter()) as app:
        handle: InvocationHandle[object] = await getattr(app.client.service_client(Order), ref.attribute).send()
        reason = await app.pause_of(handle)
    assert re.search(sentence, reason), reason


OUTSIDE: list[tuple[Callable[[Client], object], type[Exception], str]] = [
    (
        lambda client: client.invocation(Order.place, "inv_1").signal(Letter.text),
        UsageError,
        r"Letter\.text is no signal of Order, whose invocation this is: nobody would wait for it",
    ),
    (
        lambda client: client.service_client(Order).approved,
        UsageError,
        r"'approved' is a signal of Order, which belongs to one invocation: .*\.signal\(Order\.approved\)",
    ),
    (
        lambda _: setattr(Order(), "approved", True),
        UsageError,
        r"Order\.approved is a signal, kept by the invocation and not by self; write `await handle\.signal\(Order\.app",
    ),
    (
        lambda client: client.invocation_by_id("inv_1").signal("\ud800", bool),
        WrongValue,
        r"the name has half of a surrogate pair",
    ),
]


@pytest.mark.parametrize(("misuse", "error", "sentence"), OUTSIDE)
async def test_a_client_that_misuses_one_gets_the_sentence(
    misuse: Callable[[Client], object], error: type[Exception], sentence: str
) -> None:
    async with running(Order()) as app:
        with pytest.raises(error, match=sentence):
            misuse(app.client)


async def test_what_is_no_answer_is_not_sent() -> None:
    wrong: Any = 3.5
    async with run_test(App([Order()])) as env:
        sent = await env.client.service_client(Order).place.send()
        with pytest.raises(WrongValue, match=r"the answer of the signal 'approved': 3.5 is not of the type bool"):
            await sent.signal(Order.approved).resolve(wrong)
        with pytest.raises(WrongValue, match=r"reject it with a TerminalError, not 3\.5"):
            await sent.signal(Order.approved).reject(wrong)
        await sent.signal(Order.approved).reject(TerminalError("no", code=403))
        with pytest.raises(TerminalError, match="no") as found:
            await sent.result()
        assert found.value.code == 403


async def test_nobody_is_signalled_from_outside() -> None:
    async with run_test(App([Box()])) as env:
        handle = env.client.workflow_client(Box, "none").run.handle()
        with pytest.raises(InvocationNotFound):
            await handle.signal(Box.item).resolve({})


async def test_over_http_a_handler_must_do_it() -> None:
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(UsageError, match=r"the signal 'approved' of .*inv_1.* can't be answered over HTTP"):
            await client.invocation(Order.place, "inv_1").signal(Order.approved).resolve(True)


async def test_a_generic_class_leaves_the_type_to_the_one_that_is_made_of_it() -> None:
    async with run_test(App([Prices()])) as env:
        prices = env.client.object_client(Prices, "a")
        sent = await prices.wait.send()
        await sent.signal("item", int).resolve(3)
        assert await sent.result() == 3
