"""Steps that run in this process. A step lives on its own: attempts come and go, it is adopted.

A step starts once everything before it is durable, settles once, and is never started twice here.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from typing_extensions import override

from restate_patterns.embedded.batch import StepId
from restate_patterns.embedded.leftovers import Leftover, after_leftover, leave, left_over
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Record
from restate_patterns.embedded.step_tasks import Job, StepTasks
from restate_patterns.embedded.store import Store
from restate_patterns.errors import Failure
from restate_patterns.execution.failure_reports import FailureReports
from restate_patterns.execution.steps import thread_of
from restate_patterns.limits import LOG_GRACE_S
from restate_patterns.seam import STEP_NOT_RUN, STEP_STOPPED, OperationHandle, StepAction, StepProgress, ValueOrFailure
from restate_patterns.system.clock import Clock, ClockOf
from restate_patterns.system.grace import Grace
from restate_patterns.text.log_lines import logger_named
from restate_patterns.text.wording import sentence_of

_logger = logger_named("restate_patterns.embedded")
_NO_STEPS: Final[Mapping[OperationHandle, RunningStep]] = {}


class _StepClock(ClockOf):
    """The engine's clock, as one step uses it: it knows until when the step waits for its next try."""

    __slots__ = ("until_ms",)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.until_ms: float | None = None

    @override
    async def sleep(self, delay_ms: float) -> None:
        self.until_ms = self._clock.monotonic_ms() + delay_ms
        try:
            await super().sleep(delay_ms)
        finally:
            self.until_ms = None


class RunningStep(StepProgress, Job):
    """One step: issued, then started when its barrier is durable, then settled."""

    __slots__ = (
        "_clock", "_failed_count", "_steps", "action", "dropped", "handle", "last_failure", "leftover", "name",
        "record", "stopping", "task",
    )  # fmt: skip

    def __init__(
        self, steps: Steps, record: Record, handle: OperationHandle, name: str, action: StepAction, failed_count: int
    ) -> None:
        self._steps = steps
        self._clock: _StepClock | None = None
        self._failed_count = failed_count
        self.record = record
        self.handle = handle
        self.name = name
        self.action = action
        self.task: asyncio.Task[None] | None = None
        """The task that its action runs in; None before it began."""
        self.stopping = False
        self.dropped = False
        self.leftover: Leftover | None = None
        """Whom to tell what it came to when it has outlived its engine."""
        self.last_failure: str | None = None

    @property
    def working(self) -> bool:
        """Whether it does anything but wait for its next try."""
        return self.next_try_in_ms is None

    @property
    def next_try_in_ms(self) -> float | None:
        """How long it waits for its next try; None while it works."""
        until_ms = None if self._clock is None else self._clock.until_ms
        return None if until_ms is None else until_ms - self._steps.clock.monotonic_ms()

    @property
    @override
    def clock(self) -> Clock:
        if self._clock is None:
            self._clock = _StepClock(self._steps.clock)
        return self._clock

    @property
    @override
    def failed_count(self) -> int:
        return self._failed_count

    @override
    def failed(self, error: BaseException, retry_in_ms: int) -> None:
        self._failed_count += 1
        self.last_failure = sentence_of(error)
        if not self.dropped:
            record = self.record
            self._steps.reports.step_failed(record.target, record.id, self.name, error, self._failed_count, retry_in_ms)
            self._steps.log.open.steps[(self.record.num, self.handle)] = (self._failed_count, self.last_failure)
            self._steps.log.touch(self.record)

    @override
    def gave_up(self, error: BaseException) -> None:
        if not self.dropped:
            record = self.record
            self._steps.reports.step_failed(record.target, record.id, self.name, error, self._failed_count + 1, None)

    def start(self) -> None:
        """Run it soon: what came before it is durable."""
        self._steps.tasks.start(self)

    @override
    def begin(self, task: asyncio.Task[None]) -> tuple[Coroutine[Any, Any, ValueOrFailure], contextvars.Context] | None:
        if self.dropped:
            return None
        if self.stopping:
            self._steps.finish(self, STEP_NOT_RUN)
            return None
        self.task = task
        action = after_leftover((self.record.id, self.handle), self.action) if left_over else self.action
        return action(self), action.context

    @override
    def ended(self, result: ValueOrFailure | None, error: BaseException | None) -> None:
        if result is not None:
            self._steps.finish(self, result)
        elif isinstance(error, asyncio.CancelledError):
            self._steps.finish(self, STEP_STOPPED)
        elif error is not None:
            self._steps.break_off(self, error)


class Steps:
    """The table of running steps.

    Args:
        store: Where failed tries of earlier processes are read.
        log: Gives the barrier before a start.
        clock: On which tries wait and time out.
        reports: Who tells of tries that failed.
        settle: Called on the loop with what a step came to: a value or a failure.
        broken: Called on the loop when a step's action ended with an error of its own kind.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        clock: Clock,
        reports: FailureReports,
        settle: Callable[[Record, OperationHandle, bytes | None, Failure | None], None],
        broken: Callable[[Record, BaseException], None],
    ) -> None:
        self.log = log
        self.clock = clock
        self.reports = reports
        self.tasks = StepTasks(asyncio.get_running_loop())
        self._store = store
        self._settle = settle
        self._broken = broken
        self._leaving = False
        self._steps: dict[int, dict[OperationHandle, RunningStep]] = {}
        """By invocation; those without running steps are not in it."""

    def ensure(self, record: Record, handle: OperationHandle, name: str, action: StepAction, *, replayed: bool) -> None:
        """Start a step, or adopt the one that runs."""
        steps = self._steps.get(record.num)
        if steps is None:
            steps = self._steps[record.num] = {}
        elif handle in steps:
            return
        failed_count = self._failed_count((record.num, handle)) if replayed else 0
        step = steps[handle] = RunningStep(self, record, handle, name, action, failed_count)
        self.log.when_durable(self.log.sequence, step.start)

    def _failed_count(self, identity: StepId) -> int:
        latest = self.log.latest(lambda batch: batch.steps, identity)
        if latest is not None:
            return 0 if latest[0] is None else latest[0][0]
        rows = self._store.read("SELECT failed_count FROM step WHERE invocation=? AND handle=?", identity)
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    def _remove(self, step: RunningStep) -> None:
        step.dropped = True
        num = step.record.num
        steps = self._steps[num]
        del steps[step.handle]
        if not steps:
            del self._steps[num]
        if step.failed_count:
            self.log.open.steps[(num, step.handle)] = None
            self.log.append()

    def finish(self, step: RunningStep, result: ValueOrFailure) -> None:
        """Take what a step came to."""
        if (step.dropped or self._leaving) and not self._counts_late(step, result):
            return
        self._remove(step)
        try:
            self._settle(step.record, step.handle, result.value, result.failure)
        except Exception as error:
            _logger.exception("the result of the step %r of %s broke", step.name, step.record.id)
            self._broken(step.record, error)

    def _counts_late(self, step: RunningStep, result: ValueOrFailure) -> bool:
        """Tell whether what a step came to while its engine stops is its outcome; that it was stopped for that is none.

        After that it is for the engine that comes next.
        """
        if step.leftover is not None:
            step.leftover.end(None if result is STEP_STOPPED else result)
            return False
        return not step.dropped and (step.stopping or result is not STEP_STOPPED)

    def break_off(self, step: RunningStep, error: BaseException) -> None:
        """Take that a step ended without a result."""
        if step.leftover is not None:
            step.leftover.end(None)
        elif not step.dropped and not self._leaving:
            self._remove(step)
            self._broken(step.record, error)

    def stop(self, num: int, handle: OperationHandle) -> None:
        """Ask a step to stop: cancel its action, or never start it; it settles with its outcome."""
        step = self._steps.get(num, _NO_STEPS).get(handle)
        if step is None or step.stopping:
            return
        step.stopping = True
        if step.task is not None:
            step.task.cancel()

    def drop(self, num: int) -> None:
        """Stop all steps of an invocation and ignore what they come to."""
        for step in self.of(num):
            self._remove(step)
            if step.task is not None:
                step.task.cancel()

    def of(self, num: int) -> list[RunningStep]:
        """Give the running steps of an invocation."""
        return list(self._steps.get(num, _NO_STEPS).values())

    def running(self, num: int) -> bool:
        """Tell whether an invocation has steps that run."""
        return num in self._steps

    def any_running(self) -> bool:
        """Tell whether any step runs."""
        return bool(self._steps)

    def in_all(self) -> list[RunningStep]:
        """Give the running steps of all invocations."""
        return [step for steps in self._steps.values() for step in steps.values()]

    def working(self) -> bool:
        """Tell whether a step runs that does not wait for its next try."""
        return any(step.working for step in self.in_all())

    async def leave(self, grace: Grace, *, record: bool) -> None:
        """Ask all steps to stop, and wait while there is time; what they come to is recorded, that they stopped is not.

        Args:
            grace: The time there is, with what is kept for the disk.
            record: False to record nothing at all, as a crash does.
        """
        self._leaving = True
        self.tasks.clear()
        steps = self.in_all()
        for step in steps:
            step.dropped = step.dropped or not record or step.task is None
            if step.task is not None:
                step.task.cancel()
        running = [step for step in steps if step.task is not None and not step.task.done()]
        if running:
            await grace.wait([step.task for step in running if step.task is not None], LOG_GRACE_S)
        for step in running:
            if step.task is not None and not step.task.done() and step in self.of(step.record.num):
                step.dropped = True
                step.leftover = leave((step.record.id, step.handle), step.task, thread_of(step.task))
        self._steps.clear()
