"""Steps that run in this process. A step lives on its own: attempts come and go, it is adopted.

The server decides which attempt there is; a step knows its invocation and its place in it. It is never
started twice here, and what it came to is kept until the server has it.
"""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias

from typing_extensions import override

from restate_patterns.errors import JournalMismatch
from restate_patterns.execution.failure_reports import FailureReports
from restate_patterns.seam import STEP_STOPPED, OperationHandle, StepAction, StepProgress, Target, ValueOrFailure
from restate_patterns.system.clock import Clock

Identity: TypeAlias = tuple[str, OperationHandle]
"""Invocation id, and the step's place in the invocation."""

_KEPT_MAX: Final = 10_000
"""Steps that have ended and whose invocation has not come back for the result; the oldest go first."""


class RunningStep(StepProgress):
    """One step that was started.

    Args:
        clock: On which its tries wait and time out.
        failed: Hears of each failed try: its error, which one it was, and the wait after it in milliseconds, or None
            after the last.
        name: Its name.
        fingerprint: Of its arguments.
    """

    __slots__ = ("_clock", "_failed", "_failed_count", "ended", "fingerprint", "name", "on_end", "stopping", "task")

    def __init__(
        self, clock: Clock, failed: Callable[[BaseException, int, int | None], None], name: str, fingerprint: str
    ) -> None:
        self._clock = clock
        self._failed = failed
        self._failed_count = 0
        self.name = name
        self.fingerprint = fingerprint
        self.task: asyncio.Task[ValueOrFailure] | None = None
        self.stopping = False
        self.on_end: Callable[[RunningStep], None] | None = None
        """Told once it has ended; the attempt that waits for it sets this."""
        self.ended: ValueOrFailure | BaseException | None = None
        """What it came to: a result, or why there is none and it stays open."""

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
        self._failed(error, self._failed_count, retry_in_ms)

    @override
    def gave_up(self, error: BaseException) -> None:
        self._failed(error, self._failed_count + 1, None)

    def leave(self, listener: Callable[[RunningStep], None] | None) -> None:
        """Tell `listener` no more; another attempt that has adopted the step since is still told."""
        if self.on_end is listener:
            self.on_end = None

    def stop(self) -> None:
        """Ask the action to stop; it ends with its outcome."""
        self.stopping = True
        if self.task is not None:
            self.task.cancel()


class RunningSteps:
    """The table of the steps of a process.

    Args:
        clock: On which tries wait and time out.
        reports: Who tells of tries that failed.
    """

    def __init__(self, clock: Clock, reports: FailureReports) -> None:
        self._clock = clock
        self._reports = reports
        self._steps: dict[Identity, RunningStep] = {}
        self._kept: OrderedDict[Identity, None] = OrderedDict()
        self._loop = asyncio.get_running_loop()

    def ensure(
        self, target: Target, identity: Identity, name: str, fingerprint: str, action: StepAction
    ) -> RunningStep:
        """Start a step of an invocation of `target`, or give the one that runs or has ended.

        Raises:
            JournalMismatch: The one that is there is another step.
        """
        found = self._steps.get(identity)
        if found is None:
            failed = functools.partial(self._reports.step_failed, target, identity[0], name)
            found = self._steps[identity] = RunningStep(self._clock, failed, name, fingerprint)
            found.task = self._loop.create_task(action(found), context=action.context, name=f"step {name}")
            found.task.add_done_callback(functools.partial(self._done, identity, found))
        elif (found.name, found.fingerprint) != (name, fingerprint):
            raise JournalMismatch(
                identity[1],
                f"step {found.name!r} with arguments of fingerprint {found.fingerprint}, which has begun",
                f"step {name!r} with arguments of fingerprint {fingerprint}",
            )
        return found

    def forget(self, identity: Identity) -> None:
        """Let go of a step whose result the server has."""
        self._steps.pop(identity, None)
        self._kept.pop(identity, None)

    def count(self) -> int:
        """Give how many steps run."""
        return sum(step.ended is None for step in self._steps.values())

    async def drain(self, grace_s: float) -> int:
        """Wait until no step runs, then cancel those that still do; gives how many those were."""
        running = [step.task for step in self._steps.values() if step.task is not None and not step.task.done()]
        if not running:
            return 0
        _, left = await asyncio.wait(running, timeout=grace_s)
        for task in left:
            task.cancel()
        return len(left)

    def _done(self, identity: Identity, step: RunningStep, task: asyncio.Task[ValueOrFailure]) -> None:
        error: BaseException | None
        if task.cancelled():
            # Nobody asked for it: the process is on its way out, and the step has come to nothing.
            error = None if step.stopping else asyncio.CancelledError()
            step.ended = STEP_STOPPED if error is None else None
        else:
            error = task.exception()
            step.ended = error or task.result()
        if error is not None:
            self.forget(identity)  # it stays open: when the invocation goes on it starts again
        elif self._steps.get(identity) is step:
            self._kept[identity] = None
            while len(self._kept) > _KEPT_MAX:
                self._steps.pop(self._kept.popitem(last=False)[0], None)
        if step.on_end is not None and step.ended is not None:
            step.on_end(step)
