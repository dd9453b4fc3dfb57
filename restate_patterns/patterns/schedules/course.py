"""What one invocation does with a schedule: it begins runs as the overlap says, and sets the timer of the next tick.

Changes what it was given; who made it writes that afterwards, when everything is sent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, cast

from restate_patterns.api.context import ObjectContext
from restate_patterns.api.handler_clients import HandlerClient
from restate_patterns.errors import TerminalError
from restate_patterns.limits import SCHEDULE_LOOK_MS, SCHEDULE_QUEUE_MAX, SCHEDULE_RUNS_KEPT
from restate_patterns.patterns.schedules.declaration import Missed, ScheduleDeclaration
from restate_patterns.patterns.schedules.plan import plan
from restate_patterns.patterns.schedules.progress import Progress, RunEnd, Timer, WantedRun
from restate_patterns.patterns.schedules.record import ScheduleRun
from restate_patterns.patterns.schedules.timing import Due, Timing, date_of, ms_of

SCHEDULES: Final = "Schedules"
"""The wire name of the object that keeps schedules."""

_NOT_FOUND: Final = 404


class Course:
    """A schedule in the hands of one invocation.

    Args:
        ctx: The handler's own context.
        declaration: What the schedule is declared with.
        progress: How far it is.
        queue: The runs that wait for the end of another.
    """

    def __init__(
        self, ctx: ObjectContext, declaration: ScheduleDeclaration, progress: Progress, queue: list[WantedRun]
    ) -> None:
        self._ctx = ctx
        self._declaration = declaration
        self.progress = progress
        self.queue = queue

    @functools.cached_property
    def timing(self) -> Timing:
        """When its ticks come; where the rules of its zone are gone that can't be said."""
        return Timing(self._ctx.key, self._declaration)

    @property
    def now_ms(self) -> int:
        """The time."""
        return ms_of(self._ctx.now())

    async def go_on(self, now_ms: int) -> None:
        """Begin what has come, and wait for the next tick."""
        await self.wait_for(await self.begin_what_came(self.timing, self._declaration.missed, now_ms))

    async def begin_what_came(self, timing: Timing, missed: Missed, now_ms: int) -> Due | None:
        """Begin a run for each tick that has come and is wanted.

        Args:
            timing: When ticks came.
            missed: What becomes of those that were missed.
            now_ms: The time, by which they came.

        Returns:
            The next tick.
        """
        progress = self.progress
        decided = plan(timing, missed, progress.dealt_with_ms, now_ms)
        progress.dealt_with_ms = decided.dealt_with_ms
        progress.missed_count += decided.missed_count
        if decided.missed_count:
            self._ctx.logger.warning(
                "the schedule %s missed %d ticks that are not made up", self._ctx.key, decided.missed_count
            )
        for due_ms in decided.runs:
            await self.begin(WantedRun(due_ms=due_ms), waits=len(decided.runs) > 1)
        return decided.next

    async def begin(self, wanted: WantedRun, *, waits: bool = False) -> ScheduleRun:
        """Begin a run, or do with it what the overlap says while the last one goes on.

        Args:
            wanted: The run.
            waits: It is one of several that are made up for: they follow one another, unless they may overlap.

        Returns:
            How it stands.
        """
        await self.begin_queued()
        if self._may_begin and self._first_waiting() is None:
            return await self._begin_now(wanted)
        overlap = self._declaration.overlap
        if overlap == "cancel" and not waits:
            await self._cancel()
        elif (overlap == "skip" and not waits) or len(self.queue) >= SCHEDULE_QUEUE_MAX:
            self.progress.skipped_count += 1
            self._ctx.logger.info("the schedule %s skips a run: the last one goes on", self._ctx.key)
            return self._note(wanted, ScheduleRun(due=date_of(wanted.due_ms), state="skipped"))
        self.queue.append(wanted)
        return ScheduleRun(due=date_of(wanted.due_ms), why=wanted.why, state="queued")

    async def begin_queued(self) -> None:
        """Begin the runs that wait, as far as nothing keeps them waiting: a pause keeps those of ticks."""
        while self._may_begin and (wanted := self._first_waiting()) is not None:
            self.queue.remove(wanted)
            run = await self._begin_now(wanted)
            if run.state == "queued":
                return

    def _first_waiting(self) -> WantedRun | None:
        paused = self.progress.paused_at is not None
        return next((each for each in self.queue if not (paused and each.why == "due")), None)

    @property
    def _may_begin(self) -> bool:
        return self._declaration.overlap == "allow" or not self.progress.running

    async def _begin_now(self, wanted: WantedRun) -> ScheduleRun:
        """Begin a run; one whose target is not there waits for it, before the others."""
        run = await self._start(wanted)
        if run.state == "queued":
            self.queue.insert(0, wanted)
        return run

    async def _cancel(self) -> None:
        """Cancel the run that goes on, and forget those that wait for it."""
        if self.progress.running:
            await self._ctx.invocation_by_id(self.progress.running).cancel()
        self.progress.skipped_count += len(self.queue)
        self.queue.clear()

    async def ended(self, end: RunEnd) -> None:
        """Note how a run ended, and begin the one that waits for it."""
        for run in self.progress.runs:
            if run.invocation_id == end.invocation_id:
                run.state, run.error, run.ended_at = end.state, end.error, self._ctx.now()
        if self.progress.running == end.invocation_id:
            self.progress.running = ""
            await self.begin_queued()

    async def _start(self, wanted: WantedRun) -> ScheduleRun:
        progress, now = self.progress, self._ctx.now()
        run = ScheduleRun(due=date_of(wanted.due_ms), state="running", started_at=now)
        try:
            run.invocation_id = await self._send(wanted)
        except TerminalError as error:
            self._ctx.logger.error(
                "the schedule %s could not start %s: %s", self._ctx.key, self._declaration.target(), error.message
            )
            run = ScheduleRun(due=run.due, state="refused", error=f"{error.code}: {error.message}")
            if error.code == _NOT_FOUND:
                run.state = "queued"  # it may come with the next deployment
            return self._note(wanted, run)
        known = next((each for each in progress.runs if each.invocation_id == run.invocation_id), None)
        if known is not None:
            return known
        progress.started_count += 1
        progress.running = run.invocation_id
        await self.watch()
        return self._note(wanted, run)

    async def _send(self, wanted: WantedRun) -> str:
        """Have the target run; gives the id of its invocation, the same for the same tick and request."""
        said, name = self._declaration, self._ctx.key
        due = date_of(wanted.due_ms)
        of_tick = f"{name}@{due.isoformat().replace('+00:00', 'Z')}" + (wanted.request and f"#{wanted.request}")
        key = of_tick if said.key_of_tick else said.key
        client_of = cast("Callable[..., HandlerClient[Any, ..., Any]]", self._ctx.handler_client)
        target = client_of(said.service, said.handler, key=key, takes=said.argument_type)
        if not said.key_of_tick:
            target = target.with_options(idempotency_key=f"schedule {of_tick}")
        return (await target.send(*said.arguments(name, due))).id

    async def watch(self) -> None:
        """Have the end of the run that goes on told; one that is told of already is not told of twice."""
        if running := self.progress.running:
            watch = self._ctx.handler_client(SCHEDULES, "watch", key=self._ctx.key, takes=str)
            await watch.with_options(idempotency_key=running).send(running)

    def _note(self, wanted: WantedRun, run: ScheduleRun) -> ScheduleRun:
        run.why = wanted.why
        before = self.progress.runs
        others = [each for each in before if each.invocation_id or (each.due, each.why) != (run.due, run.why)]
        self.progress.runs = [run, *others][:SCHEDULE_RUNS_KEPT]
        return run

    async def wait_for(self, due: Due | None) -> None:
        """Set the timer of the next tick, in the place of the one that there is.

        Where the rules of a time zone may change it comes at least each day, and looks.
        """
        progress, over, now_ms = self.progress, self.progress.timer_id, self.now_ms
        progress.timer, progress.timer_id = None, ""
        progress.next_due_ms = None
        if due is not None and progress.paused_at is None:
            at_ms = min(due.at_ms, now_ms + SCHEDULE_LOOK_MS) if self.timing.moves else due.at_ms
            progress.next_due_ms = due.due_ms
            progress.timer = Timer(token=str(self._ctx.uuid4()), at_ms=at_ms)
            tick = self._ctx.handler_client(SCHEDULES, "tick", key=self._ctx.key, takes=Timer)
            wait = timedelta(milliseconds=max(0, at_ms - now_ms))
            progress.timer_id = (await tick.send_after(wait, progress.timer)).id
        if over:
            await self._ctx.invocation_by_id(over).cancel()
