"""Actions of `ctx.run`: every form of function, and results that replay as the type they had."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar
from unittest.mock import AsyncMock, Mock

import pytest
from pydantic import BaseModel

from restate_patterns import Context, Service, Step, StepFailed, TerminalError, handler
from restate_patterns.retries import RetryPolicy
from tests.support.engines.apps import running

T = TypeVar("T")


class Receipt(BaseModel):
    amount: Decimal
    tags: tuple[str, ...] = ()


class Declined(TerminalError, code=402, name="declined-in-actions"):
    reason: str


async def coroutine_function(amount: int, *, tag: str = "x") -> Receipt:
    return Receipt(amount=Decimal(amount), tags=(tag,))


def function(amount: int, *, tag: str = "x") -> Receipt:
    assert threading.current_thread() is not threading.main_thread()
    return Receipt(amount=Decimal(amount), tags=(tag,))


def returns_coroutine(amount: int, *, tag: str = "x") -> Coroutine[Any, Any, Receipt]:
    return coroutine_function(amount, tag=tag)


def returns_awaitable(amount: int, *, tag: str = "x") -> Awaitable[Receipt]:
    return coroutine_function(amount, tag=tag)


def wrapped(amount: int, *, tag: str = "x") -> Receipt:
    return function(amount, tag=tag)


@functools.wraps(wrapped)
def decorated(*args: Any, **kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


class Methods:
    async def bound(self, amount: int, *, tag: str = "x") -> Receipt:
        return await coroutine_function(amount, tag=tag)

    def plain(self, amount: int, *, tag: str = "x") -> Receipt:
        return function(amount, tag=tag)

    @classmethod
    async def of_class(cls, amount: int, *, tag: str = "x") -> Receipt:
        return await coroutine_function(amount, tag=tag)

    @staticmethod
    async def static(amount: int, *, tag: str = "x") -> Receipt:
        return await coroutine_function(amount, tag=tag)


class AsyncCallable:
    async def __call__(self, amount: int, *, tag: str = "x") -> Receipt:
        return await coroutine_function(amount, tag=tag)


class PlainCallable:
    def __call__(self, amount: int, *, tag: str = "x") -> Receipt:
        return function(amount, tag=tag)


@dataclass
class Made:
    amount: int
    tag: str = "x"


METHODS = Methods()
FUNCTIONS: dict[str, Any] = {
    "coroutine function": coroutine_function,
    "function": function,
    "returns a coroutine": returns_coroutine,
    "returns an awaitable": returns_awaitable,
    "decorated": decorated,
    "bound": METHODS.bound,
    "plain method": METHODS.plain,
    "class method": Methods.of_class,
    "static method": Methods.static,
    "async callable": AsyncCallable(),
    "callable": PlainCallable(),
    "partial": functools.partial(coroutine_function, tag="y"),
    "partial of a method": functools.partial(METHODS.plain, tag="y"),
    "partial of a partial": functools.partial(functools.partial(AsyncCallable(), tag="z"), tag="y"),
}


def generic(value: T) -> T:
    return value


async def no_annotation(value):  # type: ignore[no-untyped-def]
    return value


class Steps(Service):
    """Runs the function of a name, and waits afterwards, so that the result is replayed."""

    def __init__(self) -> None:
        self.results: list[object] = []
        self.mock = AsyncMock(return_value={"a": [1, None, "x"]})
        self.plain_mock = Mock(return_value=3)
        self.tries = 0

    @handler
    async def by_name(self, ctx: Context, name: str) -> None:
        receipt = await ctx.run("step", FUNCTIONS[name], 3)
        self.results.append(receipt)
        await asyncio.sleep(1)

    @handler
    async def a_class(self, ctx: Context) -> None:
        self.results.append(await ctx.run("step", Made, 3, tag="y"))
        await asyncio.sleep(1)

    @handler
    async def plain(self, ctx: Context) -> None:
        self.results[:] = [
            await ctx.run("generic", generic, [1, {"a": None}]),
            await ctx.run("lambda", lambda: 1.5),
            await ctx.run("no annotation", no_annotation, "x"),
            await ctx.run("mock", self.mock, "x"),
            await ctx.run("plain mock", self.plain_mock),
            await ctx.run("nothing", dict[str, int]),
            await ctx.run("built in", len, [1, 2]),
        ]

    def fails(self) -> int:
        self.tries += 1
        if self.tries < 3:
            raise RuntimeError("not yet")
        return self.tries

    def declines(self) -> int:
        self.tries += 1
        raise Declined(reason="limit")

    @handler
    async def flaky(self, ctx: Context) -> int:
        return await ctx.run("flaky", self.fails)

    @handler
    async def declined(self, ctx: Context) -> str:
        try:
            await ctx.run("charge", self.declines)
        except Declined as error:
            return error.reason
        return "charged"

    @handler
    async def gives_up(self, ctx: Context) -> None:
        await ctx.run(Step("one try", retry=RetryPolicy(max_attempts=1, then="fail")), self.fails)


@pytest.mark.anyio
@pytest.mark.parametrize("name", FUNCTIONS)
async def test_every_form_of_function_gives_the_same_on_each_replay(name: str) -> None:
    steps = Steps()
    async with running(steps) as app:
        handle = await app.client.service_client(Steps).by_name.send(name)
        await app.bench.advance(timedelta(seconds=2))
        await handle.result()

    tag = "y" if name.startswith("partial") else "x"
    assert steps.results == [Receipt(amount=Decimal(3), tags=(tag,))] * len(steps.results)
    assert len(steps.results) > 1, "it replayed"


@pytest.mark.anyio
async def test_a_class_gives_its_instance() -> None:
    steps = Steps()
    async with running(steps) as app:
        handle = await app.client.service_client(Steps).a_class.send()
        await app.bench.advance(timedelta(seconds=2))
        await handle.result()

    assert steps.results == [Made(3, "y")] * len(steps.results)


@pytest.mark.anyio
async def test_plain_json_needs_no_annotation() -> None:
    steps = Steps()
    async with running(steps) as app:
        await app.client.service_client(Steps).plain()

    assert steps.results == [[1, {"a": None}], 1.5, "x", {"a": [1, None, "x"]}, 3, {}, 2]
    steps.mock.assert_awaited_once_with("x")


@pytest.mark.anyio
async def test_a_flaky_action_is_tried_again_and_a_terminal_error_is_a_result() -> None:
    steps = Steps()
    async with running(steps) as app:
        client = app.client.service_client(Steps)

        flaky = await client.flaky.send()
        await app.bench.advance(timedelta(seconds=1))
        assert await flaky.result() == 3
        steps.tries = 0
        assert await client.declined() == "limit"
        assert steps.tries == 1
        steps.tries = 0
        with pytest.raises(StepFailed, match="'one try' used up its tries: RuntimeError: not yet") as caught:
            await client.gives_up()
        assert (caught.value.step, caught.value.cause) == ("one try", "RuntimeError: not yet")


def test_a_result_is_not_kept_alive_by_the_cache() -> None:
    import gc
    import weakref

    from restate_patterns.api.actions import action_of

    def local() -> int:
        return 1

    action = action_of(local, Step("x"), (), {})
    reference = weakref.ref(local)
    del action, local
    gc.collect()

    assert reference() is None
