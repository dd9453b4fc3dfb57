"""Time limits that nothing catches: a handler that lets its `TimeoutError` pass has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import anyio

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.errors import TimedOut
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.calls import Callee
from restate_patterns.testing.contract.expect import equal, raised
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

SOON = timedelta(milliseconds=30)
HOUR_S = 3600.0
_QUICK = RetryPolicy(initial=timedelta(milliseconds=1))


class Impatient(Recording, Service, name="ContractImpatient"):
    @handler
    async def timeout(self, ctx: Context, key: str) -> None:
        async with asyncio.timeout(SOON.total_seconds()):
            await asyncio.sleep(HOUR_S)

    @handler
    async def wait_for(self, ctx: Context, key: str) -> str:
        return await asyncio.wait_for(ctx.awakeable(str), SOON.total_seconds())

    @handler
    async def fail_after(self, ctx: Context, key: str) -> None:
        with anyio.fail_after(SOON.total_seconds()):
            await anyio.sleep(HOUR_S)

    @handler
    async def call(self, ctx: Context, key: str) -> str:
        return await ctx.service_client(Callee).held.with_options(timeout=SOON)(key)

    @handler
    async def result(self, ctx: Context, key: str) -> str:
        handle = await ctx.service_client(Callee).held.send(key)
        return await handle.result(timeout=SOON)

    @handler
    async def group(self, ctx: Context, key: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._limited())
            group.create_task(asyncio.sleep(HOUR_S))

    @handler
    async def in_a_finally(self, ctx: Context, key: str) -> None:
        try:
            await asyncio.sleep(0.001)
        finally:
            await self._limited()

    @handler
    async def raised_again(self, ctx: Context, key: str) -> None:
        try:
            await self._limited()
        except TimeoutError as error:
            raise TimeoutError("too late") from error

    @handler
    async def raised(self, ctx: Context, key: str) -> None:
        await ctx.run("before", self.seen.act, key, "before")
        raise TimeoutError("too late")

    @handler
    async def calls_one(self, ctx: Context, key: str) -> str:
        try:
            await ctx.service_client(Impatient).timeout(key)
        except TimedOut as error:
            return f"the callee: {error.code}"
        return "in time"

    @handler
    async def passes_it_on(self, ctx: Context, key: str) -> None:
        await ctx.service_client(Impatient).timeout(key)

    @handler
    async def flaky_step(self, ctx: Context, key: str) -> str:
        async def too_slow_at_first() -> str:
            self.seen.note(key, "try")
            if self.seen.count(key, "try") < 3:
                raise TimeoutError("the other side is slow")
            return "there"

        return await ctx.run(Step("ask", retry=_QUICK), too_slow_at_first)

    @handler
    async def step_with_a_limit(self, ctx: Context, key: str) -> str:
        async def too_slow_at_first() -> str:
            self.seen.note(key, "try")
            if self.seen.count(key, "try") < 2:
                await asyncio.sleep(HOUR_S)
            return "there"

        return await ctx.run(Step("ask", retry=_QUICK, timeout=SOON), too_slow_at_first)

    async def _limited(self) -> None:
        async with asyncio.timeout(SOON.total_seconds()):
            await asyncio.sleep(HOUR_S)


DEFINITIONS = (Impatient,)


async def _times_out(stage: Stage, ask: Callable[[str], Coroutine[Any, Any, object]]) -> TimedOut:
    key = stage.key()
    error = await raised(TimedOut, ask(key))
    equal(error.code, 408)
    stage.seen.open(key, "callee")
    return error


@guarantee
async def ends_the_handler(stage: Stage) -> None:
    """A timeout that leaves its handler ends the invocation with `TimedOut`, code 408, whatever made the limit."""
    handlers = stage.client.service_client(Impatient)
    for ask in (handlers.timeout, handlers.wait_for, handlers.fail_after, handlers.call, handlers.result):
        equal((await _times_out(stage, ask)).message, "timed out", repr(ask))


@guarantee
async def wherever_it_comes_from(stage: Stage) -> None:
    """So does one in a group of errors, in a `finally`, raised again, or raised by the handler itself."""
    handlers = stage.client.service_client(Impatient)
    await _times_out(stage, handlers.group)
    await _times_out(stage, handlers.in_a_finally)
    equal((await _times_out(stage, handlers.raised_again)).message, "timed out: too late")
    equal((await _times_out(stage, handlers.raised)).message, "timed out: too late")


@guarantee
async def at_the_caller(stage: Stage) -> None:
    """A handler that calls one which times out gets `TimedOut`, no `TimeoutError`, and may pass it on."""
    handlers = stage.client.service_client(Impatient)
    equal(await handlers.calls_one(stage.key()), "the callee: 408")
    await _times_out(stage, handlers.passes_it_on)


@guarantee
async def in_a_step(stage: Stage) -> None:
    """A `TimeoutError` in the action of a step, or of the step's own limit, is a failed try like any other."""
    handlers = stage.client.service_client(Impatient)
    equal(await handlers.flaky_step(stage.key()), "there")
    equal(await handlers.step_with_a_limit(stage.key()), "there")
