"""Targets of schedules that note what they were run for, in durable time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from restate_patterns import (
    App,
    Context,
    Definition,
    ObjectContext,
    Schedule,
    ScheduleIndex,
    Service,
    TerminalError,
    Tick,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus, InvocationView
from restate_patterns.testing import TestEnvironment

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class Seen:
    """What was run: notes, each once whatever is replayed."""

    notes: list[str] = field(default_factory=list)
    takes: timedelta = timedelta(0)
    """How long a run of `slow` takes."""
    cleans_up: timedelta = timedelta(0)
    """And how long its clean-up."""

    def note(self, what: str) -> None:
        """Note it."""
        self.notes.append(what)

    def take(self) -> list[str]:
        """Return the notes, and forget them."""
        notes, self.notes = self.notes, []
        return notes


@dataclass
class Job(Service):
    """Runs on its own."""

    seen: Seen

    @handler
    async def plain(self, ctx: Context) -> None:
        await ctx.run("note", self.seen.note, f"{ctx.now():%d %H:%M:%S}")

    @handler
    async def of_tick(self, ctx: Context, tick: Tick) -> None:
        await ctx.run("note", self.seen.note, f"{tick.schedule} {tick.due:%d %H:%M:%S}")

    @handler
    async def slow(self, ctx: Context, tick: Tick | None = None) -> None:
        due = "" if tick is None else f"{tick.due:%d %H:%M}"
        try:
            await ctx.run("note", self.seen.note, f"began {due}")
            await asyncio.sleep(self.seen.takes.total_seconds())
        finally:
            with ctx.shielded():
                await asyncio.sleep(self.seen.cleans_up.total_seconds())
                await ctx.run("note", self.seen.note, f"ended {due}")

    @handler
    async def paid(self, ctx: Context, cents: int) -> None:
        await ctx.run("note", self.seen.note, f"{cents} cents")

    @handler
    async def raw(self, ctx: Context, data: bytes) -> None:
        await ctx.run("note", self.seen.note, repr(data))

    @handler
    async def fails(self, ctx: Context) -> None:
        raise TerminalError("the printer is out of paper", code=409)

    @handler(private=True)
    async def hidden(self, ctx: Context) -> None:
        await ctx.run("note", self.seen.note, "hidden")


@dataclass
class Desk(VirtualObject):
    """Runs for a key."""

    seen: Seen

    @handler
    async def clean(self, ctx: ObjectContext, tick: Tick) -> None:
        await ctx.run("note", self.seen.note, f"{ctx.key} {tick.due:%d %H:%M}")


@dataclass
class Review(Workflow):
    """Runs once per key."""

    seen: Seen

    @handler
    async def run(self, ctx: WorkflowContext, tick: Tick) -> None:
        await ctx.run("note", self.seen.note, ctx.key)

    @handler
    async def remind(self, ctx: WorkflowSharedContext) -> None:
        await ctx.run("note", self.seen.note, f"remind {ctx.key}")


def hosted(seen: Seen) -> list[Definition]:
    """Return the targets."""
    return [Job(seen), Desk(seen), Review(seen)]


def app_with(seen: Seen, *schedules: Schedule) -> App:
    """Return an app that declares some schedules."""
    return App([*hosted(seen), *schedules])


async def timers(env: TestEnvironment) -> Sequence[InvocationView]:
    """Return the timers of schedules that wait for their time."""
    waiting = frozenset({InvocationStatus.SCHEDULED})
    return await env.engine.list_invocations(
        InvocationFilter(service="Schedules", handler="tick", statuses=waiting), limit=100
    )


async def names(env: TestEnvironment) -> list[str]:
    """Return the names of the schedules that are listed."""
    return [record.name for record in await env.client.object_client(ScheduleIndex, "all").list_all()]
