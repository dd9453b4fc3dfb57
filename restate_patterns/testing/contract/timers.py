"""Timers: durable sleeps and timeouts, made of plain asyncio."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import anyio

from restate_patterns.api.context import Context, WorkflowContext
from restate_patterns.api.definitions import Service, Workflow
from restate_patterns.api.handlers import handler
from restate_patterns.api.promises import DurablePromise
from restate_patterns.testing.contract.calls import Callee
from restate_patterns.testing.contract.expect import equal, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

SOON_S = 0.06
HOUR_S = 3600.0


class Timers(Recording, Service, name="ContractTimers"):
    @handler
    async def sleep_ms(self, ctx: Context, duration_ms: int) -> int:
        before = ctx.now()
        await asyncio.sleep(duration_ms / 1000)
        return round((ctx.now() - before) / timedelta(milliseconds=1))

    @handler
    async def long_sleep(self, ctx: Context, key: str) -> str:
        await ctx.run("begun", self.seen.act, key, "begun")
        await asyncio.sleep(0.4)
        return "slept"

    @handler
    async def no_sleep(self, ctx: Context) -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(-1)
        return "slept"

    @handler
    async def over_a_sleep(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(SOON_S):
                await asyncio.sleep(HOUR_S)
        except TimeoutError:
            return "timed out"
        return "slept"

    @handler
    async def over_a_call(self, ctx: Context, key: str) -> str:
        try:
            async with asyncio.timeout(SOON_S):
                return await ctx.service_client(Callee).held(key)
        except TimeoutError:
            return "timed out"

    @handler
    async def over_an_awakeable(self, ctx: Context) -> str:
        try:
            return await asyncio.wait_for(ctx.awakeable(str), SOON_S)
        except TimeoutError:
            return "timed out"

    @handler
    async def in_time(self, ctx: Context) -> int:
        async with asyncio.timeout(HOUR_S):
            return await asyncio.wait_for(ctx.service_client(Callee).double(2), HOUR_S)

    @handler
    async def nested(self, ctx: Context) -> list[str]:
        log: list[str] = []
        async with asyncio.timeout(HOUR_S):
            try:
                async with asyncio.timeout(SOON_S):
                    await asyncio.sleep(HOUR_S)
            except TimeoutError:
                log.append("inner")
            await asyncio.sleep(0.01)
            log.append("outer goes on")
        try:
            async with asyncio.timeout(SOON_S):
                async with asyncio.timeout(HOUR_S):
                    await asyncio.sleep(HOUR_S)
        except TimeoutError:
            log.append("outer")
        return log

    @handler
    async def moved(self, ctx: Context) -> list[str]:
        log: list[str] = []
        try:
            async with asyncio.timeout(SOON_S) as limit:
                limit.reschedule(None)
                await asyncio.sleep(2 * SOON_S)
                log.append("not timed out")
                limit.reschedule(asyncio.get_running_loop().time() + 0.01)
                await asyncio.sleep(HOUR_S)
        except TimeoutError:
            log.append("timed out")
        return log

    @handler
    async def already_over(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(HOUR_S)
        except TimeoutError:
            return "timed out"
        return "slept"

    @handler
    async def race(self, ctx: Context, key: str) -> str:
        slow = asyncio.create_task(ctx.service_client(Callee).held(key), name="call")
        quick = asyncio.create_task(asyncio.sleep(SOON_S, "sleep"), name="sleep")
        done, pending = await asyncio.wait([slow, quick], return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return ",".join(sorted(task.get_name() for task in done))

    @handler
    async def decided(self, ctx: Context, key: str) -> list[str]:
        try:
            async with asyncio.timeout(SOON_S):
                await asyncio.sleep(HOUR_S)
            outcome = "slept"
        except TimeoutError:
            outcome = "timed out"
        self.seen.note(key, outcome)
        return [outcome, await ctx.run("hold", self.seen.hold, key, "hold")]

    @handler
    async def anyio_scopes(self, ctx: Context) -> list[str]:
        log: list[str] = []
        with anyio.move_on_after(SOON_S) as moved:
            await anyio.sleep(HOUR_S)
        log.append(f"moved on {moved.cancelled_caught}")
        try:
            with anyio.fail_after(SOON_S):
                await anyio.sleep(HOUR_S)
        except TimeoutError:
            log.append("failed")
        with anyio.move_on_after(HOUR_S) as outer, anyio.move_on_after(SOON_S) as inner:
            await anyio.sleep(HOUR_S)
        log.append(f"{outer.cancelled_caught} {inner.cancelled_caught}")
        return log

    @handler
    async def order(self, ctx: Context) -> list[str]:
        log: list[str] = []

        async def one(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            log.append(name)

        await asyncio.gather(one("late", 0.09), one("early", 0.03), one("middle", 0.06))
        return log


class Patience(Recording, Workflow, name="ContractPatience"):
    answer = DurablePromise[str]()

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        try:
            async with asyncio.timeout(SOON_S):
                return await self.answer.value(ctx)
        except TimeoutError:
            return "timed out"


DEFINITIONS = (Timers, Patience)


@guarantee
async def never_early(stage: Stage) -> None:
    """A sleep is never shorter than asked for, on the clock outside and in durable time."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    slept_ms = await stage.client.service_client(Timers).sleep_ms(120)
    took_s = loop.time() - began_s
    true(took_s >= 0.119, f"a sleep of 0.120 s took {took_s:.3f} s")
    true(slept_ms >= 120, f"durable time went on by {slept_ms} ms in a sleep of 120 ms")


@guarantee
async def no_sleep(stage: Stage) -> None:
    """Sleeping for no time, or less, just lets others run."""
    equal(await stage.client.service_client(Timers).no_sleep(), "slept")


@guarantee
async def sleeps_on_over_a_restart(stage: Stage) -> None:
    """A sleep keeps its deadline when the process dies: it does not begin anew."""
    key, loop = stage.key(), asyncio.get_running_loop()
    sent = await stage.client.service_client(Timers).long_sleep.send(key)
    await stage.seen.until(key, "begun")
    await asyncio.sleep(0.3)
    await stage.restart()
    back_s = loop.time()
    equal(await stage.client.invocation(Timers.long_sleep, sent.id).result(), "slept")
    equal(stage.seen.count(key, "begun"), 1)
    true(loop.time() - back_s < 0.39, f"a sleep with 0.1 s to go took {loop.time() - back_s:.3f} s after the restart")


@guarantee
async def timeout_over_a_sleep(stage: Stage) -> None:
    """`asyncio.timeout` ends a sleep."""
    equal(await stage.client.service_client(Timers).over_a_sleep(), "timed out")


@guarantee
async def timeout_over_a_call(stage: Stage) -> None:
    """`asyncio.timeout` ends the wait for a call, and the callee goes on to its end."""
    key = stage.key()
    equal(await stage.client.service_client(Timers).over_a_call(key), "timed out")
    await stage.seen.until(key, "callee")
    stage.seen.open(key, "callee")


@guarantee
async def timeout_over_an_awakeable(stage: Stage) -> None:
    """`asyncio.wait_for` ends the wait for an awakeable."""
    equal(await stage.client.service_client(Timers).over_an_awakeable(), "timed out")


@guarantee
async def timeout_over_a_promise(stage: Stage) -> None:
    """`asyncio.timeout` ends the wait for a durable promise."""
    equal(await stage.client.workflow_client(Patience, stage.key()).run(), "timed out")


@guarantee
async def in_time(stage: Stage) -> None:
    """A timeout that does not expire changes nothing, and holds up nobody."""
    equal(await stage.client.service_client(Timers).in_time(), 4)


@guarantee
async def nested_timeouts(stage: Stage) -> None:
    """Of nested timeouts the one that expires is the one that raises."""
    equal(await stage.client.service_client(Timers).nested(), ["inner", "outer goes on", "outer"])


@guarantee
async def moved_deadline(stage: Stage) -> None:
    """The deadline of a timeout can be moved, back and forth."""
    equal(await stage.client.service_client(Timers).moved(), ["not timed out", "timed out"])


@guarantee
async def timeout_already_over(stage: Stage) -> None:
    """A timeout of zero ends the first wait."""
    equal(await stage.client.service_client(Timers).already_over(), "timed out")


@guarantee
async def race(stage: Stage) -> None:
    """`asyncio.wait` gives the first of a call and a sleep."""
    key = stage.key()
    equal(await stage.client.service_client(Timers).race(key), "sleep")
    stage.seen.open(key, "callee")


@guarantee
async def decided_once(stage: Stage) -> None:
    """How a timeout came out is the same on every replay."""
    key = stage.key()
    sent = await stage.client.service_client(Timers).decided.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    equal(await stage.client.invocation(Timers.decided, sent.id).result(), ["timed out", "hold"])
    equal(stage.seen.count(key, "slept"), 0)
    true(stage.seen.count(key, "timed out") >= 2, "the handler was not replayed")


@guarantee
async def anyio_scopes(stage: Stage) -> None:
    """Scopes of anyio, `move_on_after` and `fail_after`, end sleeps, also nested."""
    expected = ["moved on True", "failed", "False True"]
    equal(await stage.client.service_client(Timers).anyio_scopes(), expected)


@guarantee
async def in_order_of_time(stage: Stage) -> None:
    """Sleeps at the same time end in the order of their deadlines."""
    equal(await stage.client.service_client(Timers).order(), ["early", "middle", "late"])
