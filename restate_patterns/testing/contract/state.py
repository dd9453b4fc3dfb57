"""State of a key: defaults, writes, what a replay reads, what is not rolled back."""

from __future__ import annotations

from restate_patterns.api.context import ObjectContext, ObjectSharedContext
from restate_patterns.api.definitions import VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import Cancelled, StateNotSet, TerminalError
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.expect import becomes, equal, raised
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import QUICK


class Drawer(Recording, VirtualObject, name="ContractDrawer", retry=QUICK):
    count = State[int](default=0)
    items = State[list[str]](default_factory=list)
    label = State[str | None](default=None, name="the label")
    secret = State[str]()

    @handler
    async def write_by_the_clock(self, ctx: ObjectContext, total: int) -> None:
        ctx.now()
        self.count.set(ctx, total)
        if not total:
            raise TerminalError("nothing in it")

    @handler
    async def defaults(self, ctx: ObjectContext) -> list[object]:
        return [
            await self.count.get(ctx),
            await self.items.get(ctx),
            await self.label.get(ctx),
            await self.secret.get(ctx, "given"),
        ]

    @handler
    async def read_unset(self, ctx: ObjectContext) -> str:
        return await self.secret.get(ctx)

    @handler
    async def add(self, ctx: ObjectContext, number: int) -> int:
        total = await self.count.get(ctx) + number
        self.count.set(ctx, total)
        return total

    @handler
    async def total(self, ctx: ObjectSharedContext) -> int:
        return await self.count.get(ctx)

    @handler
    async def life(self, ctx: ObjectContext) -> list[list[str]]:
        seen = [await ctx.state_keys()]
        self.label.set(ctx, None)
        self.count.set(ctx, 1)
        self.secret.set(ctx, "s")
        seen.append(await ctx.state_keys())
        self.count.clear(ctx)
        seen.append([*await ctx.state_keys(), str(await self.count.get(ctx))])
        ctx.clear_all()
        seen.append([*await ctx.state_keys(), await self.secret.get(ctx, "gone")])
        return seen

    @handler
    async def snapshot(self, ctx: ObjectContext) -> list[list[str]]:
        items = ["a"]
        self.items.set(ctx, items)
        items.append("not set")
        read = await self.items.get(ctx)
        read.append("not set either")
        return [await self.items.get(ctx), await self.items.get(ctx)]

    @handler
    async def read_then_write(self, ctx: ObjectContext) -> list[object]:
        before, keys = await self.count.get(ctx), await ctx.state_keys()
        self.count.set(ctx, before + 1)
        self.secret.set(ctx, "written")
        await ctx.run("hold", self.seen.hold, ctx.key, "hold")
        return [before, keys, await self.count.get(ctx)]

    @handler
    async def write_and_fail(self, ctx: ObjectContext) -> None:
        self.count.set(ctx, 5)
        raise TerminalError("failed after the write", code=418)

    @handler
    async def write_and_hold(self, ctx: ObjectContext) -> None:
        self.count.set(ctx, 6)
        await ctx.run("hold", self.seen.hold, ctx.key, "hold")
        self.count.set(ctx, 7)
        await ctx.run("hold", self.seen.hold, ctx.key, "hold again")

    @handler(retry=RetryPolicy(initial=QUICK.initial))
    async def crash_once(self, ctx: ObjectContext) -> int:
        self.count.set(ctx, await self.count.get(ctx) + 1)
        self.seen.note(ctx.key, "attempt")
        if self.seen.count(ctx.key, "attempt") < 3:
            raise ConnectionError("weather")
        return await self.count.get(ctx)


class OtherDrawer(Recording, VirtualObject, name="ContractOtherDrawer"):
    count = State[int](default=0)

    @handler
    async def total(self, ctx: ObjectSharedContext) -> int:
        return await self.count.get(ctx)


DEFINITIONS = (Drawer, OtherDrawer)


@guarantee
async def defaults(stage: Stage) -> None:
    """What was never set reads as its default, or as the one given to `get`."""
    expected: list[object] = [0, list[str](), None, "given"]
    equal(await stage.client.object_client(Drawer, stage.key()).defaults(), expected)


@guarantee
async def not_set(stage: Stage) -> None:
    """Reading what was never set and has no default is a terminal error that names it."""
    error = await raised(StateNotSet, stage.client.object_client(Drawer, stage.key()).read_unset())
    equal(error.state, "secret")


@guarantee
async def kept_by_key(stage: Stage) -> None:
    """State is kept between invocations, by key and by object."""
    key = stage.key()
    drawer = stage.client.object_client(Drawer, key)
    equal(await drawer.add(3), 3)
    equal(await drawer.add(4), 7)
    equal(await drawer.total(), 7)
    equal(await stage.client.object_client(Drawer, stage.key()).total(), 0)
    equal(await stage.client.object_client(OtherDrawer, key).total(), 0)


@guarantee
async def kept_over_a_restart(stage: Stage) -> None:
    """State survives the process."""
    key = stage.key()
    await stage.client.object_client(Drawer, key).add(3)
    await stage.restart()
    equal(await stage.client.object_client(Drawer, key).total(), 3)


@guarantee
async def keys_and_clearing(stage: Stage) -> None:
    """`state_keys` gives the sorted wire names of what is set; `clear` and `clear_all` unset."""
    expected = [[], ["count", "secret", "the label"], ["secret", "the label", "0"], ["gone"]]
    equal(await stage.client.object_client(Drawer, stage.key()).life(), expected)


@guarantee
async def written_after_the_clock(stage: Stage) -> None:
    """What is written after a reading of the clock is kept, though the handler waits for nothing more."""
    drawer = stage.client.object_client(Drawer, stage.key())
    await drawer.write_by_the_clock(7)
    equal(await drawer.total(), 7)
    await raised(TerminalError, drawer.write_by_the_clock(0))
    equal(await drawer.total(), 0)


@guarantee
async def snapshots(stage: Stage) -> None:
    """A write keeps the value of its moment; each read gives a fresh one."""
    equal(await stage.client.object_client(Drawer, stage.key()).snapshot(), [["a"], ["a"]])


@guarantee
async def reads_replay(stage: Stage) -> None:
    """A replayed read gives what the first attempt saw, though the handler wrote the state afterwards."""
    key = stage.key()
    await stage.client.object_client(Drawer, key).add(10)
    sent = await stage.client.object_client(Drawer, key).read_then_write.send()
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    found = await stage.client.invocation(Drawer.read_then_write, sent.id).result()
    equal(found, [10, ["count"], 11])
    equal(await stage.client.object_client(Drawer, key).total(), 11)


@guarantee
async def written_once_over_retries(stage: Stage) -> None:
    """An attempt that fails after a write does not write a second time."""
    key = stage.key()
    equal(await stage.client.object_client(Drawer, key).crash_once(), 1)
    equal(await stage.client.object_client(Drawer, key).total(), 1)


@guarantee
async def kept_after_failure(stage: Stage) -> None:
    """A write is not rolled back when the handler fails."""
    key = stage.key()
    await raised(TerminalError, stage.client.object_client(Drawer, key).write_and_fail())
    equal(await stage.client.object_client(Drawer, key).total(), 5)


@guarantee
async def kept_after_cancel(stage: Stage) -> None:
    """A write is not rolled back when the invocation is cancelled."""
    key = stage.key()
    sent = await stage.client.object_client(Drawer, key).write_and_hold.send()
    await stage.seen.until(key, "hold")
    await sent.cancel()
    await raised(Cancelled, sent.result())
    equal(await stage.client.object_client(Drawer, key).total(), 6)


@guarantee
async def shared_sees_writes(stage: Stage) -> None:
    """A shared handler sees each write of the exclusive one that runs, as it is made."""
    key = stage.key()
    drawer = stage.client.object_client(Drawer, key)
    sent = await drawer.write_and_hold.send()
    await stage.seen.until(key, "hold")
    await becomes(drawer.total, 6)
    stage.seen.open(key, "hold")
    await stage.seen.until(key, "hold again")
    await becomes(drawer.total, 7)
    stage.seen.open(key, "hold again")
    await sent.result()
