"""One attempt of one invocation on Restate: from its first drain to its end, one completion at a time."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Final, Protocol

from restate_patterns import limits
from restate_patterns.errors import Failure, JournalMismatch, UsageError
from restate_patterns.restate.envelope import wrap
from restate_patterns.restate.events import CancelDelivered, Event, StepToRun
from restate_patterns.restate.host import Host
from restate_patterns.restate.machine import Machine, MachineBroken, Notice, Progress, RunDue
from restate_patterns.restate.operations import MachineOperations
from restate_patterns.restate.steps import RunningStep
from restate_patterns.retries import asked_wait_ms
from restate_patterns.seam import (
    STEP_NOT_RUN,
    Attempt,
    AttemptEnd,
    Crashed,
    Failed,
    Invocation,
    MustPause,
    OperationHandle,
    Succeeded,
    ValueOrFailure,
)
from restate_patterns.text.log_lines import logger_named
from restate_patterns.text.wording import sentence_of, shortened, storable

_logger = logger_named("restate_patterns")

_PAUSE_IN_MS: Final = 60_000
"""When an attempt that no retry can mend is tried again, should nobody have paused its invocation until then."""


class Wire(Protocol):
    """The connection that an attempt belongs to."""

    async def flush(self) -> None:
        """Send what the machine has to say."""
        ...

    async def more(self) -> bool:
        """Wait until there is new input, or `wake` was called; False once the server has gone."""
        ...

    def wake(self) -> None:
        """End the wait of `more`."""
        ...


class Drive:
    """Drives one attempt.

    Args:
        host: What attempts share.
        machine: The SDK's machine of this attempt.
        invocation: What it is an attempt of.
        wire: The connection it belongs to.
    """

    def __init__(self, host: Host, machine: Machine, invocation: Invocation, wire: Wire) -> None:
        self._host = host
        self._machine = machine
        self._invocation = invocation
        self._wire = wire
        self._operations = MachineOperations(machine, host.clock, host.references)
        self._running: dict[OperationHandle, RunningStep] = {}
        self._listeners: dict[OperationHandle, Callable[[RunningStep], None]] = {}
        self._stop_seen: set[OperationHandle] = set()
        self._broken: BaseException | None = None

    async def run(self) -> None:
        """Run the attempt until it has ended, was suspended, or the server has gone; writes how it ended."""
        attempt = self._host.deployment.attempt(self._invocation, self._operations)
        try:
            try:
                end = await self._until_end(attempt)
            except MachineBroken:
                raise
            except (Exception, JournalMismatch) as error:  # noqa: BLE001 - else the server sees a broken connection
                end = _without_output(error)
            if end is not None:
                await self._write(end)
        finally:
            attempt.close()
            for handle, step in self._running.items():
                step.leave(self._listeners.get(handle))

    async def _until_end(self, attempt: Attempt) -> AttemptEnd | None:
        """Give how the attempt ended; None when it was only interrupted."""
        end = attempt.start()
        while end is None:
            self._stop_steps()
            event = self._operations.next_event()
            if event is not None:
                end = _hear(attempt, event)
            elif not await self._advance(self._operations.waiting()):
                return None
            if self._broken is not None:
                return MustPause(self._broken)
        while isinstance(end, (Succeeded, Failed)) and (rest := self._operations.internal()):
            if not await self._advance(rest):
                return None
        return end

    async def _advance(self, waiting: list[Notice]) -> bool:
        """Wait for one of `waiting`; False when the attempt is over for now."""
        found = self._machine.progress(waiting)
        if found is Progress.SUSPENDED:
            return False
        if found is Progress.EXTERNAL:
            await self._wire.flush()
            return await self._wire.more()
        if isinstance(found, RunDue):
            self._start(found.notice)
        else:
            self._operations.collect(found)
            self._let_go_of_recorded()
        return True

    # Steps.

    def _start(self, notice: Notice) -> None:
        step = self._operations.steps_to_run.pop(notice)
        if step.handle in self._operations.stopped:
            self._propose(notice, step, STEP_NOT_RUN)
            return
        running = self._host.steps.ensure(
            self._invocation.target, (self._invocation.id, step.handle), step.name, step.fingerprint, step.action
        )
        self._running[step.handle] = running
        if running.ended is None:
            running.on_end = self._listeners[step.handle] = functools.partial(self._ended, notice, step)
        else:
            self._ended(notice, step, running)

    def _ended(self, notice: Notice, step: StepToRun, running: RunningStep) -> None:
        if isinstance(running.ended, ValueOrFailure):
            self._propose(notice, step, running.ended)
        else:
            self._broken = running.ended
        self._wire.wake()

    def _propose(self, notice: Notice, step: StepToRun, result: ValueOrFailure) -> None:
        stored = wrap(result, self._host.clock.wall_ms(), step.fingerprint)
        self._machine.propose(notice, stored.value, stored.failure)

    def _stop_steps(self) -> None:
        stopped = self._operations.stopped
        if len(stopped) == len(self._stop_seen):
            return
        for handle in stopped - self._stop_seen:
            running = self._running.get(handle)
            if running is not None:
                running.stop()
        self._stop_seen |= stopped

    def _let_go_of_recorded(self) -> None:
        for handle in self._operations.recorded:
            self._running.pop(handle, None)
            self._host.steps.forget((self._invocation.id, handle))
        self._operations.recorded.clear()

    # Ends.

    async def _write(self, end: AttemptEnd) -> None:
        """Tell the server how the attempt ended.

        One that can't go on is paused before that is told: by itself the server would go by its retry policy, and
        kill what no retry can mend.
        """
        if isinstance(end, Crashed):
            end = self._after_crash(end)
        if isinstance(end, (Succeeded, Failed)):
            try:
                self._write_output(end)
            except (Exception, JournalMismatch) as error:  # noqa: BLE001 - as above
                end = _without_output(error)
        if isinstance(end, Crashed):
            self._host.reports.attempt_failed(
                self._invocation.target, self._invocation.id, end.error, "and will be tried again"
            )
            self._machine.failed(sentence_of(end.error), _trace(end.error), asked_wait_ms(end.error))
        elif isinstance(end, MustPause):
            of = f"{self._invocation.target} ({self._invocation.id})"
            _logger.error("%s can't go on and is paused: %s", of, sentence_of(end.error))
            await self._host.pause(self._invocation.id)
            self._machine.failed(sentence_of(end.error), _trace(end.error), _PAUSE_IN_MS)

    def _after_crash(self, end: Crashed) -> AttemptEnd:
        """Say how an attempt ends that failed: the server knows its policy but for the classes of errors in it."""
        target = self._invocation.target
        policy = self._host.deployment.services[target.service].handlers[target.handler].options.retry
        if policy is None or not policy.gives_up_on(end.error):
            return end
        self._host.reports.attempt_failed(target, self._invocation.id, end.error, "for good")
        if policy.then == "pause":
            return MustPause(end.error)
        return Failed(Failure(500, sentence_of(end.error)), broken_off=True)

    def _write_output(self, end: Succeeded | Failed) -> None:
        if isinstance(end, Failed) and end.broken_off:
            for step in self._running.values():
                step.stop()
        if isinstance(end, Succeeded):
            self._machine.end(end.output, None)
        else:
            self._machine.end(None, end.failure)
        for handle in self._running:
            self._host.steps.forget((self._invocation.id, handle))


def _without_output(error: BaseException) -> AttemptEnd:
    """Say how an attempt ends that an error outside of its handler ended."""
    if isinstance(error, JournalMismatch):
        return MustPause(error, mismatch=True)
    return MustPause(error) if isinstance(error, UsageError) else Crashed(error)


def _hear(attempt: Attempt, event: Event) -> AttemptEnd | None:
    return attempt.deliver_cancel(None) if isinstance(event, CancelDelivered) else attempt.deliver(event)


def _trace(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as broken:  # noqa: BLE001 - the error itself is told of anyhow
        text = f"no traceback: {sentence_of(broken)}"
    return shortened(storable(text), limits.ERROR_CHARS_MAX)
