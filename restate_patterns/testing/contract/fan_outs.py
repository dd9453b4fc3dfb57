"""Fan-outs: a window of calls, what a failure means for the others, and which were first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from pydantic import BaseModel

from restate_patterns.api.context import Context, WorkflowContext, WorkflowSharedContext
from restate_patterns.api.definitions import Service, Workflow
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import Cancelled, TerminalError
from restate_patterns.patterns.fan_out.errors import FanOutFailed
from restate_patterns.patterns.fan_out.fan_out import fan_out, fan_out_as_completed, first_success, quorum
from restate_patterns.patterns.fan_out.outcomes import FanOutProgress, Outcome
from restate_patterns.patterns.fan_out.pages import FanOutPages
from restate_patterns.patterns.fan_out.policies import Tolerate
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recorder, Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import Declined

HOUR_S = 3600.0


class Item(BaseModel):
    """What is to become of one item."""

    key: str
    name: str
    does: str = "ends"


class FanItem(Recording, Service, name="ContractFanItem"):
    @handler
    async def do(self, ctx: Context, item: Item) -> str:
        try:
            await ctx.run("begin", self.seen.act, item.key, f"began {item.name}")
            if item.does.startswith("is held"):
                await ctx.run("hold", self.seen.hold, item.key, item.name)
            if item.does.endswith("fails"):
                raise Declined(reason=item.name, limit=9)
            if item.does == "cancels":
                raise Cancelled
            if item.does == "lasts":
                await asyncio.sleep(HOUR_S)
        except Cancelled:
            await ctx.run("undo", self.seen.act, item.key, f"undone {item.name}")
            raise
        return item.name.upper()


class Fan(Recording, Service, name="ContractFan"):
    @handler
    async def all(self, ctx: Context, items: list[Item]) -> list[str]:
        try:
            return await fan_out(ctx, items, ctx.service_client(FanItem).do, window=3)
        except TerminalError:
            self.seen.note(items[0].key, "failed")
            raise

    @handler
    async def steps(self, ctx: Context, items: list[Item]) -> list[str]:
        async def two(item: Item) -> str:
            began = await ctx.service_client(FanItem).do(item)
            return await ctx.run("second", self.seen.act, item.key, f"{began} twice")

        async def later() -> AsyncGenerator[Item]:
            for item in items:
                await asyncio.sleep(0.001)
                yield item

        return await fan_out(ctx, later(), two, window=2)

    @handler
    async def collected(self, ctx: Context, items: list[Item]) -> list[str]:
        found = await fan_out(ctx, items, ctx.service_client(FanItem).do, window=2, on_error="collect")
        return [_told(outcome) for outcome in found]

    @handler
    async def tolerant(self, ctx: Context, items: list[Item]) -> list[str]:
        policy = Tolerate(count=1)
        found = await fan_out(ctx, items, ctx.service_client(FanItem).do, window=1, on_error=policy)
        return [_told(outcome) for outcome in found]

    @handler
    async def paged(self, ctx: Context, items: list[Item]) -> list[str]:
        call = ctx.service_client(FanItem).do
        return [_told(each) for each in await fan_out(ctx, items, call, window=3, on_error="collect", page=2)]

    @handler
    async def paged_all(self, ctx: Context, items: list[Item]) -> list[str]:
        return await fan_out(ctx, items, ctx.service_client(FanItem).do, window=3, page=2)

    @handler
    async def in_turn(self, ctx: Context, items: list[Item]) -> list[int]:
        found: list[int] = []
        async for outcome in fan_out_as_completed(ctx, items, ctx.service_client(FanItem).do, window=9):
            found.append(outcome.index)
            self.seen.note(items[0].key, f"read {outcome.value}")
        return found

    @handler
    async def left(self, ctx: Context, items: list[Item]) -> int:
        async with fan_out_as_completed(ctx, items, ctx.service_client(FanItem).do, window=9) as outcomes:
            async for outcome in outcomes:
                return outcome.index
        return -1

    @handler
    async def first(self, ctx: Context, items: list[Item]) -> str:
        return await first_success(ctx, items, ctx.service_client(FanItem).do)

    @handler
    async def two(self, ctx: Context, items: list[Item]) -> list[str]:
        found = await quorum(ctx, items, ctx.service_client(FanItem).do, count=2)
        return sorted(outcome.value for outcome in found)


class FanFlow(Recording, Workflow, name="ContractFanFlow"):
    how_far = State[FanOutProgress]()

    @handler
    async def run(self, ctx: WorkflowContext, items: list[Item]) -> None:
        call = ctx.service_client(FanItem).do
        await fan_out(ctx, items, call, window=2, on_error="collect", progress=lambda now: self.how_far.set(ctx, now))

    @handler
    async def progress(self, ctx: WorkflowSharedContext) -> FanOutProgress:
        return await self.how_far.get(ctx)


def _pages(_: Recorder) -> FanOutPages:
    return FanOutPages()


DEFINITIONS = (FanItem, Fan, FanFlow, _pages)


def _told(outcome: Outcome[str]) -> str:
    return outcome.value if outcome.error is None else f"{type(outcome.error).__name__}: {outcome.error.message}"


def _items(key: str, *told: str) -> list[Item]:
    """Make items from texts such as `a`, `b fails`, `c is held`."""
    return [Item(key=key, name=name, does=does or "ends") for name, _, does in (each.partition(" ") for each in told)]


async def _began(stage: Stage, key: str, *names: str) -> None:
    for name in names:
        await stage.seen.until(key, f"began {name}")


@guarantee
async def in_order(stage: Stage) -> None:
    """The results come in the order of the items, whichever ended first, and no more than a window is under way."""
    key = stage.key()
    items = _items(key, "a is held", "b", "c", "d is held", "e is held", "f")
    sent = await stage.client.service_client(Fan).all.send(items)
    for name in ("d", "e"):
        await stage.seen.until(key, name)
    true(stage.seen.count(key, "began f") == 0, "a fourth item began while three were under way")
    for name in ("e", "d", "a"):
        stage.seen.open(key, name)
    equal(await sent.result(), ["A", "B", "C", "D", "E", "F"])


@guarantee
async def several_steps(stage: Stage) -> None:
    """An item may take several steps and calls, and items may be waited for."""
    key = stage.key()
    found = await stage.client.service_client(Fan).steps(_items(key, "a", "b", "c", "d", "e"))
    equal(found, ["A twice", "B twice", "C twice", "D twice", "E twice"])


@guarantee
async def fails_fast(stage: Stage) -> None:
    """The first failure is raised as it is, after the others were cancelled and have ended; no other begins."""
    key = stage.key()
    fan = stage.client.service_client(Fan)
    sent = await fan.all.send(_items(key, "a lasts", "b lasts", "c is held, fails", "d"))
    await _began(stage, key, "a", "b")
    stage.seen.open(key, "c")
    error = await raised(Declined, sent.result())
    equal((error.reason, error.limit), ("c", 9))
    notes = stage.seen.notes(key)
    equal(sorted(notes[-3:-1]), ["undone a", "undone b"])
    equal(notes[-1], "failed")
    equal(notes.count("began d"), 0)


@guarantee
async def collects(stage: Stage) -> None:
    """With `collect` a failure is the outcome of its item."""
    key = stage.key()
    found = await stage.client.service_client(Fan).collected(_items(key, "a", "b fails", "c", "d fails"))
    equal(found, ["A", "Declined: The card was declined.", "C", "Declined: The card was declined."])


@guarantee
async def tolerates(stage: Stage) -> None:
    """So many failures as are tolerated are outcomes; one more fails all."""
    fan = stage.client.service_client(Fan)
    found = await fan.tolerant(_items(stage.key(), "a", "b fails", "c"))
    equal(found, ["A", "Declined: The card was declined.", "C"])
    error = await raised(FanOutFailed, fan.tolerant(_items(stage.key(), "a", "b fails", "c fails", "d")))
    equal((error.failed, error.ended, error.first), (2, 3, "The card was declined."))


@guarantee
async def cancelled(stage: Stage) -> None:
    """A cancelled fan-out cancels what runs, whatever its policy, and ends as cancelled when that has ended."""
    key = stage.key()
    sent = await stage.client.service_client(Fan).collected.send(_items(key, "a lasts", "b lasts", "c"))
    await _began(stage, key, "a", "b")
    await sent.cancel()
    await raised(Cancelled, sent.result())
    equal(sorted(stage.seen.notes(key)), ["began a", "began b", "undone a", "undone b"])


@guarantee
async def one_cancelled(stage: Stage) -> None:
    """A callee that somebody else has cancelled is a failure like any other."""
    found = await stage.client.service_client(Fan).collected(_items(stage.key(), "a", "b cancels", "c"))
    equal(found, ["A", "Cancelled: cancelled", "C"])


@guarantee
async def as_they_complete(stage: Stage) -> None:
    """The outcomes come in the order in which items end."""
    key = stage.key()
    sent = await stage.client.service_client(Fan).in_turn.send(_items(key, "a is held", "b is held", "c is held"))
    for name in ("a", "b", "c"):
        await stage.seen.until(key, name)
    for name in ("c", "a", "b"):
        stage.seen.open(key, name)
        await stage.seen.until(key, f"read {name.upper()}")
    equal(await sent.result(), [2, 0, 1])


@guarantee
async def left_early(stage: Stage) -> None:
    """A block that is left has cancelled what ran, which has ended."""
    key = stage.key()
    sent = await stage.client.service_client(Fan).left.send(_items(key, "a lasts", "b is held", "c lasts"))
    await _began(stage, key, "a", "c")
    stage.seen.open(key, "b")
    equal(await sent.result(), 1)
    equal(sorted(stage.seen.notes(key)[-2:]), ["undone a", "undone c"])


@guarantee
async def first_of_all(stage: Stage) -> None:
    """The first success counts; the others are cancelled. Where all fail, that is the error."""
    key = stage.key()
    fan = stage.client.service_client(Fan)
    sent = await fan.first.send(_items(key, "a lasts", "b fails", "c is held"))
    await _began(stage, key, "a")
    stage.seen.open(key, "c")
    equal(await sent.result(), "C")
    equal(stage.seen.count(key, "undone a"), 1)
    error = await raised(FanOutFailed, fan.first(_items(stage.key(), "a fails", "b fails")))
    equal(error.failed, 2)


@guarantee
async def so_many(stage: Stage) -> None:
    """A quorum is the first successes, and an error as soon as it can't be reached."""
    fan = stage.client.service_client(Fan)
    equal(await fan.two(_items(stage.key(), "a", "b fails", "c lasts", "d")), ["A", "D"])
    key = stage.key()
    sent = await fan.two.send(_items(key, "a is held, fails", "b fails", "c lasts"))
    await _began(stage, key, "c")
    stage.seen.open(key, "a")
    error = await raised(FanOutFailed, sent.result())
    equal(error.failed, 2)
    equal(stage.seen.count(key, "undone c"), 1)


@guarantee
async def pages(stage: Stage) -> None:
    """Pages give what no pages give, failures with their fields included."""
    fan = stage.client.service_client(Fan)
    found = await fan.paged(_items(stage.key(), "a", "b fails", "c", "d", "e"))
    equal(found, ["A", "Declined: The card was declined.", "C", "D", "E"])
    equal(await fan.paged_all(_items(stage.key(), "a", "b", "c", "d", "e")), ["A", "B", "C", "D", "E"])
    key = stage.key()
    sent = await fan.paged_all.send(_items(key, "a lasts", "b", "c is held, fails", "d"))
    await _began(stage, key, "a")
    stage.seen.open(key, "c")
    error = await raised(Declined, sent.result())
    equal(error.reason, "c")
    equal(stage.seen.count(key, "undone a"), 1)


@guarantee
async def progress(stage: Stage) -> None:
    """How far it is can be read while it runs."""
    key = stage.key()
    flow = stage.client.workflow_client(FanFlow, key)
    sent = await flow.run.send(_items(key, "a", "b fails", "c", "d is held"))
    await stage.seen.until(key, "d")
    await _becomes(flow, FanOutProgress(total=4, succeeded=2, failed=1))
    stage.seen.open(key, "d")
    await sent.result()
    equal(await flow.progress(), FanOutProgress(total=4, succeeded=3, failed=1))


async def _becomes(flow: FanFlow, expected: FanOutProgress) -> None:
    while await flow.progress() != expected:  # noqa: ASYNC110 - a fact of another process
        await asyncio.sleep(0.01)
