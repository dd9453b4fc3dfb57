"""Steps that run in this process. A step lives on its own: attempts come and go, it is adopted.

A step starts once everything before it is durable, settles once, and is never started twice here.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable

from typing_extensions import override

from restate_patterns.clock import Cancellable, Clock
from restate_patterns.embedded.codec import printable
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Record
from restate_patterns.embedded.store import Store
from restate_patterns.seam import STEP_NOT_RUN, STEP_STOPPED, Handle, StepAction, StepProgress, StepResult


class _StepClock(Clock):
    """The engine's clock, as one step uses it: it knows whether the step waits for its next try."""

    __slots__ = ("_clock", "sleeping")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sleeping = False

    @override
    def wall_ms(self) -> int:
        return self._clock.wall_ms()

    @override
    def monotonic_ms(self) -> float:
        return self._clock.monotonic_ms()

    @override
    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable:
        return self._clock.call_later(delay_ms, callback)

    @override
    async def sleep(self, delay_ms: float) -> None:
        self.sleeping = True
        try:
            await self._clock.sleep(delay_ms)
        finally:
            self.sleeping = False


class RunningStep(StepProgress):
    """One step: issued, then started when its barrier is durable, then settled."""

    __slots__ = (
        "_clock", "_failed_count", "_log", "action", "dropped", "handle", "last_failure", "name", "record",
        "stopping", "task",
    )  # fmt: skip

    def __init__(
        self,
        log: Log,
        clock: Clock,
        record: Record,
        handle: Handle,
        name: str,
        action: StepAction,
        failed_count: int,
    ) -> None:
        self._log = log
        self._clock = _StepClock(clock)
        self._failed_count = failed_count
        self.record = record
        self.handle = handle
        self.name = name
        self.action = action
        self.task: asyncio.Task[StepResult] | None = None
        self.stopping = False
        self.dropped = False
        self.last_failure: str | None = None

    @property
    def working(self) -> bool:
        """Whether it does anything but wait for its next try."""
        return not self._clock.sleeping

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    @property
    @override
    def failed_count(self) -> int:
        return self._failed_count

    @override
    def failed(self, error: BaseException, retry_in_ms: int) -> None:
        self._failed_count += 1
        self.last_failure = printable(error)
        if not self.dropped:
            self._log.open.steps[(self.record.num, self.handle)] = (self._failed_count, self.last_failure)
            self._log.touch(self.record)


class Steps:
    """The table of running steps.

    Args:
        store: Where failed tries of earlier processes are read.
        log: Gives the barrier before a start.
        clock: On which tries wait and time out.
        settle: Called on the loop with what a step came to.
        broken: Called on the loop when a step's action ended with an error of its own kind.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        clock: Clock,
        settle: Callable[[Record, Handle, StepResult], None],
        broken: Callable[[Record, BaseException], None],
    ) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._settle = settle
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._steps: dict[tuple[int, Handle], RunningStep] = {}
        self._counts: Counter[int] = Counter()

    def ensure(self, record: Record, handle: Handle, name: str, action: StepAction, *, replayed: bool) -> None:
        """Start a step, or adopt the one that runs."""
        identity = (record.num, handle)
        if identity in self._steps:
            return
        failed_count = self._failed_count(identity) if replayed else 0
        step = self._steps[identity] = RunningStep(self._log, self._clock, record, handle, name, action, failed_count)
        self._counts[record.num] += 1
        self._log.when_durable(self._log.sequence, functools.partial(self._start, step))

    def _failed_count(self, identity: tuple[int, Handle]) -> int:
        for batch in reversed(list(self._log.pending())):
            if identity in batch.steps:
                pending = batch.steps[identity]
                return 0 if pending is None else pending[0]
        rows = self._store.read("SELECT failed_count FROM step WHERE invocation=? AND handle=?", identity)
        return int(rows[0][0]) if rows else 0

    def _start(self, step: RunningStep) -> None:
        if step.dropped:
            return
        if step.stopping:
            self._finish(step, STEP_NOT_RUN)
            return
        step.task = self._loop.create_task(step.action(step), context=step.action.context)
        step.task.add_done_callback(functools.partial(self._done, step))

    def _done(self, step: RunningStep, task: asyncio.Task[StepResult]) -> None:
        if task.cancelled():
            self._finish(step, STEP_STOPPED)
            return
        error = task.exception()
        if error is None:
            self._finish(step, task.result())
        elif not step.dropped:
            self._remove(step)
            self._broken(step.record, error)

    def _remove(self, step: RunningStep) -> None:
        step.dropped = True
        num = step.record.num
        del self._steps[(num, step.handle)]
        self._counts[num] -= 1
        if not self._counts[num]:
            del self._counts[num]
        if step.failed_count:
            self._log.open.steps[(num, step.handle)] = None
            self._log.append()

    def _finish(self, step: RunningStep, result: StepResult) -> None:
        if not step.dropped:
            self._remove(step)
            self._settle(step.record, step.handle, result)

    def stop(self, num: int, handle: Handle) -> None:
        """Ask a step to stop: cancel its action, or never start it; it settles with its outcome."""
        step = self._steps.get((num, handle))
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
        if num not in self._counts:
            return []
        return [step for step in self._steps.values() if step.record.num == num]

    def running(self, num: int) -> bool:
        """Tell whether an invocation has steps that run."""
        return num in self._counts

    def any_running(self) -> bool:
        """Tell whether any step runs."""
        return bool(self._steps)

    def working(self) -> bool:
        """Tell whether a step runs that does not wait for its next try."""
        return any(step.working for step in self._steps.values())

    async def abandon(self, grace_s: float) -> None:
        """Cancel all steps without recording anything, and wait until their actions have ended, for a while."""
        tasks = [step.task for step in self._steps.values() if step.task is not None]
        for step in list(self._steps.values()):
            step.dropped = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        self._steps.clear()
        self._counts.clear()
