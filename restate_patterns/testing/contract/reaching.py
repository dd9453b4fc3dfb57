"""Cancels that find no durable wait: they reach the handler all the same, or end it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from restate_patterns.api.context import Context, ObjectContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.errors import Cancelled
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.expect import equal, raised
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

HOUR_S = 3600.0
_QUICK = RetryPolicy(initial=timedelta(milliseconds=20), factor=1)


class Feeding(Recording, VirtualObject, name="ContractFeeding"):
    async def _fed(self, key: str) -> None:
        self.seen.note(key, "began")
        await asyncio.sleep(HOUR_S)

    async def _undo(self, ctx: ObjectContext) -> None:
        await ctx.run("undo", self.seen.act, ctx.key, "undone")

    @handler
    async def event(self, ctx: ObjectContext) -> None:
        event = asyncio.Event()

        async def feed() -> None:
            await self._fed(ctx.key)
            event.set()

        feeding = asyncio.create_task(feed())
        try:
            await event.wait()
        except Cancelled:
            await self._undo(ctx)
            raise
        await feeding

    @handler
    async def queue(self, ctx: ObjectContext) -> None:
        queue = asyncio.Queue[int]()

        async def take() -> None:
            await queue.get()

        try:
            async with asyncio.TaskGroup() as group:
                taking = [group.create_task(take()) for _ in range(3)]
                group.create_task(self._fed(ctx.key))
                await asyncio.wait(taking)
        except* Cancelled:
            await self._undo(ctx)
            raise

    @handler
    async def under_a_limit(self, ctx: ObjectContext) -> None:
        self.seen.note(ctx.key, "began")
        try:
            async with asyncio.timeout(HOUR_S):
                await asyncio.Event().wait()
        except Cancelled:
            await self._undo(ctx)
            raise

    @handler
    async def woken(self, ctx: ObjectContext) -> str:
        event = asyncio.Event()

        async def feed() -> None:
            try:
                await self._fed(ctx.key)
            except Cancelled:
                await ctx.run("last", self.seen.act, ctx.key, "last")
            event.set()

        feeding = asyncio.create_task(feed())
        await event.wait()
        await feeding
        return "woken"

    @handler
    async def nothing(self, ctx: ObjectContext) -> None:
        try:
            await asyncio.Event().wait()
        except Cancelled:
            await self._undo(ctx)
            raise

    @handler
    async def next(self, ctx: ObjectContext) -> str:
        return "next"


class Failing(Recording, Service, name="ContractFailing"):
    @handler(retry=_QUICK)
    async def behind_its_last_wait(self, ctx: Context, key: str) -> None:
        await ctx.run("last", self.seen.act, key, "last")
        self.seen.note(key, "failed")
        raise ConnectionError("weather")

    @handler(retry=_QUICK)
    async def before_any_wait(self, ctx: Context, key: str) -> None:
        self.seen.note(key, "failed")
        raise ConnectionError("weather")

    @handler(retry=RetryPolicy(max_attempts=1, then="pause"))
    async def until_it_pauses(self, ctx: Context, key: str) -> None:
        await ctx.run("last", self.seen.act, key, "last")
        raise ConnectionError("weather")

    @handler(retry=_QUICK)
    async def in_its_undo(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            await ctx.run("undo", self.seen.act, key, "undo")
            self.seen.note(key, "failed")
            if self.seen.count(key, "failed") < 3:
                raise ConnectionError("weather") from None
        return "undone"

    @handler(retry=_QUICK)
    async def in_a_shield(self, ctx: Context, key: str) -> str:
        with ctx.shielded():
            await ctx.run("first", self.seen.act, key, "first")
            self.seen.note(key, "failed")
            if self.seen.count(key, "open") == 0:
                raise ConnectionError("weather")
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            return "cancelled behind it"
        return "slept"


DEFINITIONS = (Feeding, Failing)


@guarantee
async def waits_fed_by_tasks(stage: Stage) -> None:
    """A cancel reaches a handler that waits for an event or a queue which its own, cancelled tasks were to feed."""
    for wait in ("event", "queue", "under_a_limit"):
        key = stage.key(wait)
        feeding = stage.client.object_client(Feeding, key)
        sent = await getattr(feeding, wait).send()
        await stage.seen.until(key, "began")
        await sent.cancel()
        await raised(Cancelled, sent.result())
        equal([note for note in stage.seen.notes(key) if note != "began"], ["undone"])
        equal(await feeding.next(), "next")


@guarantee
async def woken_on_the_way_out(stage: Stage) -> None:
    """It does so only once no other task can wake it: one that is woken while another cleans up goes on."""
    key = stage.key()
    sent = await stage.client.object_client(Feeding, key).woken.send()
    await stage.seen.until(key, "began")
    await sent.cancel()
    equal(await sent.result(), "woken")


@guarantee
async def fails_behind_its_last_wait(stage: Stage) -> None:
    """An invocation that fails and is tried again without ever coming to a wait ends with 409 when it is cancelled."""
    failing = stage.client.service_client(Failing)
    for handler_ in (failing.behind_its_last_wait, failing.before_any_wait):
        key = stage.key()
        sent = await handler_.send(key)
        await stage.seen.until(key, "failed", 2)
        await sent.cancel()
        error = await raised(Cancelled, sent.result())
        equal((error.code, error.message), (409, "cancelled"))


@guarantee
async def fails_in_its_undo(stage: Stage) -> None:
    """What fails after its cancel has arrived is tried again as ever, until it has undone what it has to."""
    key = stage.key()
    sent = await stage.client.service_client(Failing).in_its_undo.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    equal(await sent.result(), "undone")
    equal(stage.seen.count(key, "undo"), 1)


@guarantee
async def fails_in_a_shield(stage: Stage) -> None:
    """A shielded part that fails is tried again until it is through, and then the cancel arrives."""
    key = stage.key()
    sent = await stage.client.service_client(Failing).in_a_shield.send(key)
    await stage.seen.until(key, "failed", 2)
    await sent.cancel()
    await stage.seen.until(key, "failed", stage.seen.count(key, "failed") + 2)
    stage.seen.note(key, "open")
    equal(await sent.result(), "cancelled behind it")


@guarantee
async def paused_by_failing(stage: Stage) -> None:
    """So does one that has paused because it failed: the cancel makes another attempt."""
    key = stage.key()
    sent = await stage.client.service_client(Failing).until_it_pauses.send(key)
    await stage.paused_because(sent.id)
    await sent.cancel()
    await raised(Cancelled, sent.result())


@guarantee
async def paused_in_a_wait_for_nothing(stage: Stage) -> None:
    """An invocation that has paused because it waits for nothing durable is undone when it is cancelled."""
    key = stage.key()
    feeding = stage.client.object_client(Feeding, key)
    sent = await feeding.nothing.send()
    await stage.paused_because(sent.id)
    await sent.cancel()
    await raised(Cancelled, sent.result())
    equal(stage.seen.notes(key), ["undone"])
    equal(await feeding.next(), "next")
