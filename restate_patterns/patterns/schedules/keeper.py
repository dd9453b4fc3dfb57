"""`Schedules`: the virtual object that keeps schedules, one by each key; and `ScheduleIndex`, which knows the names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel

from restate_patterns.api.context import ObjectContext, ObjectSharedContext
from restate_patterns.api.definitions import VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import DefinitionError, InvocationNotFound, TerminalError
from restate_patterns.limits import SCHEDULE_QUEUE_MAX
from restate_patterns.patterns.schedules.course import SCHEDULES, Course
from restate_patterns.patterns.schedules.declaration import ScheduleDeclaration
from restate_patterns.patterns.schedules.errors import BackfillTooLong, ScheduleRefused, UnknownSchedule
from restate_patterns.patterns.schedules.progress import Progress, RunEnd, Timer, WantedRun
from restate_patterns.patterns.schedules.record import ScheduleRecord, ScheduleRun
from restate_patterns.patterns.schedules.timing import Timing, check, date_of, ms_of
from restate_patterns.toolkit import codec, is_private, wait_for_end, why_refused

INDEX: Final = "all"
"""The key of the one index."""

_FORGOTTEN: Final = timedelta(0)
_SHOWN_AT_ONCE: Final = 100


class ScheduleSpan(BaseModel):
    """From when to when, both included."""

    since: datetime
    until: datetime


class Schedules(VirtualObject, name=SCHEDULES):
    """The schedules; the key is the name of one.

    Args:
        declared: What the app declares, by name: a private handler is run by these alone.
    """

    declaration = State[ScheduleDeclaration | None](default=None)
    progress = State[Progress]()
    queue = State[list[WantedRun]](default_factory=list)

    def __init__(self, declared: Mapping[str, ScheduleDeclaration] | None = None) -> None:
        self._declared = dict(declared or {})

    @handler(raises=[ScheduleRefused])
    async def declare(self, ctx: ObjectContext, declaration: ScheduleDeclaration) -> bool:
        """Begin a schedule, or take another declaration of one; gives whether that changed anything.

        Of another declaration, what came before it and has not begun yet is begun first. One that is paused stays so.
        """
        self._check(ctx, declaration)
        before = await self.declaration.get(ctx)
        if before is None:
            await ctx.object_client(ScheduleIndex, INDEX).add(ctx.key)
        with ctx.shielded():
            now = ctx.now()
            progress = await self.progress.get(ctx, None) or Progress(declared_at=now, dealt_with_ms=ms_of(now))
            course = Course(ctx, declaration, progress, await self.queue.get(ctx))
            if before == declaration:
                await course.watch()
                await course.begin_queued()
            else:
                await self._replace(ctx, course, before)
                self.declaration.set(ctx, declaration)
            # Also where it is the same: somebody may have killed the timer, or the rules of the zone have changed.
            await course.wait_for(course.timing.after(course.progress.dealt_with_ms))
            self._write(ctx, course)
        return before != declaration

    async def _replace(self, ctx: ObjectContext, course: Course, before: ScheduleDeclaration | None) -> None:
        progress = course.progress
        if before is not None and progress.paused_at is None:
            with suppress(DefinitionError):  # its time zone may be none any more
                await course.begin_what_came(Timing(ctx.key, before), before.missed, course.now_ms)
        await course.begin_queued()
        progress.declared_at, progress.dealt_with_ms = ctx.now(), course.now_ms

    def _check(self, ctx: ObjectContext, declaration: ScheduleDeclaration) -> None:
        try:
            check(ctx.key, declaration)
        except DefinitionError as error:
            raise ScheduleRefused(schedule=ctx.key, why=str(error)) from None
        key = ctx.key if declaration.key_of_tick else declaration.key
        arguments = declaration.arguments(ctx.key, ctx.now())
        body = codec(declaration.argument_type).encode(*arguments) if arguments else b""
        if why := why_refused(ctx, declaration.service, declaration.handler, key, body):
            raise ScheduleRefused(schedule=ctx.key, why=why)
        own = self._declared.get(ctx.key)
        if is_private(ctx, declaration.service, declaration.handler) and (
            own is None or own.target() != declaration.target()
        ):
            raise ScheduleRefused(
                schedule=ctx.key,
                why=f"{declaration.target()} is private, so only the app itself may declare a schedule for it: write "
                "`App([..., Schedule(...)])`",
            )

    @handler(raises=[UnknownSchedule])
    async def show(self, ctx: ObjectSharedContext) -> ScheduleRecord:
        """Return how the schedule stands."""
        declaration = await self.declaration.get(ctx)
        if declaration is None:
            raise UnknownSchedule(schedule=ctx.key)
        progress = await self.progress.get(ctx)
        return ScheduleRecord(
            name=ctx.key,
            declaration=declaration,
            declared_at=progress.declared_at,
            next_due=None if progress.next_due_ms is None else date_of(progress.next_due_ms),
            paused_at=progress.paused_at,
            note=progress.note,
            queued=[date_of(wanted.due_ms) for wanted in await self.queue.get(ctx)],
            runs=progress.runs,
            started_count=progress.started_count,
            skipped_count=progress.skipped_count,
            missed_count=progress.missed_count,
        )

    @handler(raises=[UnknownSchedule])
    async def pause(self, ctx: ObjectContext, note: str = "") -> None:
        """Begin no more runs by itself until it is resumed; the one that goes on does so, and queued ticks wait.

        Ticks that come meanwhile are not missed: they are none. Backfill them, if they are wanted.
        """
        course = await self._course(ctx)
        with ctx.shielded():
            course.progress.paused_at, course.progress.note = ctx.now(), note
            await course.wait_for(None)
            self._write(ctx, course)

    @handler(raises=[UnknownSchedule])
    async def resume(self, ctx: ObjectContext) -> None:
        """Go on, with the next tick from now."""
        course = await self._course(ctx)
        with ctx.shielded():
            if course.progress.paused_at is not None:
                course.progress.paused_at, course.progress.note = None, ""
                course.progress.dealt_with_ms = course.now_ms
            await course.begin_queued()
            await course.wait_for(course.timing.after(course.progress.dealt_with_ms))
            self._write(ctx, course)

    @handler(raises=[UnknownSchedule])
    async def trigger(self, ctx: ObjectContext) -> ScheduleRun:
        """Begin a run now, as the overlap says, also while the schedule is paused; gives how it stands."""
        course = await self._course(ctx)
        with ctx.shielded():
            run = await course.begin(WantedRun(due_ms=course.now_ms, why="triggered", request=ctx.invocation_id))
            self._write(ctx, course)
        return run

    @handler(raises=[UnknownSchedule, BackfillTooLong])
    async def backfill(self, ctx: ObjectContext, span: ScheduleSpan) -> int:
        """Run for each tick of a span of the past, one after the other unless they may overlap; gives how many.

        Also for those that were run for already.
        """
        course = await self._course(ctx)
        until_ms = min(ms_of(span.until), course.now_ms)
        wanted: list[WantedRun] = []
        for due in course.timing.between(max(0, ms_of(span.since)) - 1, until_ms):
            if len(wanted) + len(course.queue) >= SCHEDULE_QUEUE_MAX:
                raise BackfillTooLong(schedule=ctx.key, most=SCHEDULE_QUEUE_MAX)
            wanted.append(WantedRun(due_ms=due.due_ms, why="backfilled", request=ctx.invocation_id))
        with ctx.shielded():
            for run in wanted:
                await course.begin(run, waits=True)
            self._write(ctx, course)
        return len(wanted)

    @handler
    async def remove(self, ctx: ObjectContext) -> bool:
        """Forget the schedule; a run that goes on does so. Gives whether there was one."""
        if await self.declaration.get(ctx) is None:
            return False
        course = await self._course(ctx)
        with ctx.shielded():
            await course.wait_for(None)
            ctx.clear_all()
        await ctx.object_client(ScheduleIndex, INDEX).drop(ctx.key)
        return True

    @handler(private=True, retention=_FORGOTTEN)
    async def tick(self, ctx: ObjectContext, timer: Timer) -> None:
        """Do what the timer says; one that was replaced says nothing."""
        if await self.declaration.get(ctx) is None or (await self.progress.get(ctx)).timer != timer:
            return
        course = await self._course(ctx)
        course.progress.timer_id = ""  # it has come
        with ctx.shielded():
            await course.go_on(max(timer.at_ms, course.now_ms))
            self._write(ctx, course)

    @handler(private=True, retention=_FORGOTTEN)
    async def watch(self, ctx: ObjectSharedContext, invocation_id: str) -> None:
        """Wait for the end of a run, whatever ends it, and tell of it."""
        end = RunEnd(invocation_id=invocation_id, state="succeeded")
        with ctx.shielded():
            try:
                await wait_for_end(ctx, invocation_id)
            except InvocationNotFound:
                end.state = "ended"
            except TerminalError as error:
                end.state, end.error = "failed", f"{error.code}: {error.message}"
            await ctx.object_client(Schedules, ctx.key).ended.send(end)

    @handler(private=True, retention=_FORGOTTEN)
    async def ended(self, ctx: ObjectContext, end: RunEnd) -> None:
        """Note the end of a run, and begin the one that waits for it."""
        if await self.declaration.get(ctx) is None:
            return
        course = await self._course(ctx)
        with ctx.shielded():
            await course.ended(end)
            self._write(ctx, course)

    async def _course(self, ctx: ObjectContext) -> Course:
        declaration = await self.declaration.get(ctx)
        if declaration is None:
            raise UnknownSchedule(schedule=ctx.key)
        return Course(ctx, declaration, await self.progress.get(ctx), await self.queue.get(ctx))

    def _write(self, ctx: ObjectContext, course: Course) -> None:
        self.progress.set(ctx, course.progress)
        if course.queue:
            self.queue.set(ctx, course.queue)
        else:
            self.queue.clear(ctx)


class ScheduleIndex(VirtualObject):
    """The names of the schedules that there are; its one key is `all`, and each name is a state of it."""

    @handler(private=True)
    async def add(self, ctx: ObjectContext, schedule: str) -> None:
        """Note that there is a schedule."""
        ctx.state(schedule, bool).set(True)

    @handler(private=True)
    async def drop(self, ctx: ObjectContext, schedule: str) -> None:
        """Note that there is none of this name any more."""
        ctx.state(schedule, bool).clear()

    @handler(name="list")
    async def list_all(self, ctx: ObjectSharedContext) -> list[ScheduleRecord]:
        """List the schedules by name."""
        names = await ctx.state_keys()
        found: list[ScheduleRecord | None] = []
        for first in range(0, len(names), _SHOWN_AT_ONCE):
            shown = (_shown(ctx, name) for name in names[first : first + _SHOWN_AT_ONCE])
            found.extend(await asyncio.gather(*shown))
        return [record for record in found if record is not None]


async def _shown(ctx: ObjectSharedContext, name: str) -> ScheduleRecord | None:
    try:
        return await ctx.object_client(Schedules, name).show()
    except UnknownSchedule:
        return None  # one that is being removed
