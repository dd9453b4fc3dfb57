"""What one attempt asks for, as commands of the SDK's machine; and what it waits for, in order of issue."""

from __future__ import annotations

import functools
import json
from collections import deque
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from restate_patterns.limits import DELAY_SLACK_MS
from restate_patterns.restate.answers import Read, attached, own_result, plain, resolved, step_result
from restate_patterns.restate.callees import Callees
from restate_patterns.restate.events import CANCEL, CancelDelivered, Event, StepToRun
from restate_patterns.restate.machine import Answer, Machine, Notice, Progress, RunDue
from restate_patterns.restate.references import References
from restate_patterns.restate.waiting import Finish, Waiting
from restate_patterns.seam import (
    Completion,
    InvocationRef,
    OperationHandle,
    Operations,
    Request,
    StepAction,
    ValueOrFailure,
)
from restate_patterns.system.clock import Clock

NOW: Final = "now"
"""What the journal calls a reading of the clock."""

_OWN: Final = ""
"""Fingerprint of the steps that no handler asked for."""


class MachineOperations(Operations):
    """The operations of one attempt.

    Completions become `Event`s, one at a time and in the journal's order. An answer that a command had at
    once (state that came with the invocation) goes before all others, on each attempt.

    The machine can't tell the time, so a reading of it is a step whose result is known when it is asked
    for. Until the server has that result, further commands are held back: whatever they say may depend
    on it, and on a replay the reading comes before them too.

    Args:
        machine: The SDK's machine.
        clock: What a reading of durable time reads.
        references: Finds invocations that are not named by id.
    """

    def __init__(self, machine: Machine, clock: Clock, references: References) -> None:
        self._machine = machine
        self._clock = clock
        self._references = references
        self._next_handle = 0
        self._waiting: dict[Notice, Waiting] = {}
        self._notices: dict[OperationHandle, Notice] = {}
        self._callees = Callees(machine, self._hear)
        self._instant: deque[Completion] = deque()
        self._arrived: deque[Event] = deque()
        self._held: deque[Callable[[], None]] | None = None
        self._known_ms: int | None = None
        """Durable time, while nothing without a time has happened since."""
        self._cleared: set[str] = set()
        """Names of states that this attempt cleared; the machine goes on listing them."""
        self.steps_to_run: dict[Notice, StepToRun] = {}
        self.stopped: set[OperationHandle] = set()
        """Steps that were asked to stop."""
        self.recorded: list[OperationHandle] = []
        """Steps whose result the server has; who drives the attempt empties it."""

    # What drives the attempt asks.

    def next_event(self) -> Event | None:
        """Give what the attempt is to hear of next; None when more must be waited for."""
        if self._held is not None:
            return None
        if self._instant:
            return self._instant.popleft()
        if not self._arrived:
            return None
        event = self._arrived.popleft()
        if isinstance(event, CancelDelivered) or event.time_ms is None:
            self._known_ms = None
        else:
            self._known_ms = max(event.time_ms, self._known_ms or 0)
        return event

    def waiting(self) -> list[Notice]:
        """Give what is waited for, in order of issue."""
        return list(self._waiting)

    def internal(self) -> list[Notice]:
        """Give what must have happened before the invocation may end."""
        return [notice for notice, waiting in self._waiting.items() if waiting.internal]

    def collect(self, found: Progress | RunDue) -> None:
        """Take in what a look at the machine found, if it is an event.

        Raises:
            JournalMismatch: The result of a step is one of other arguments.
        """
        if found is Progress.CANCELLED:
            self._arrived.append(CANCEL)
        elif found is Progress.COMPLETED:
            notice = next(notice for notice in self._waiting if self._machine.is_completed(notice))
            self._waiting.pop(notice).finish(self._machine.take(notice))

    # How operations are issued.

    def _new_handle(self) -> OperationHandle:
        self._next_handle += 1
        return self._next_handle

    def _issue(self, command: Callable[[], None]) -> None:
        """Give a command to the machine, or keep it back until the server has the time it may depend on."""
        if self._held is None:
            command()
        else:
            self._held.append(command)

    def _ask(self, command: Callable[[], Notice], read: Read = plain) -> OperationHandle:
        """Issue a command that completes."""
        handle = self._new_handle()
        self._issue(lambda: self._wait_for(handle, command(), self._completes(handle, read)))
        return handle

    def _wait_for(self, handle: OperationHandle, notice: Notice, finish: Finish) -> None:
        self._notices[handle] = notice
        self._waiting[notice] = Waiting(finish)

    def _hear(self, notice: Notice, finish: Finish) -> None:
        self._waiting[notice] = Waiting(finish, internal=True)

    def _completes(self, handle: OperationHandle, read: Read = plain) -> Finish:
        def finish(answer: Answer) -> None:
            self._notices.pop(handle, None)
            self._callees.ended(handle)
            self._arrived.append(read(handle, answer))

        return finish

    def _ask_state(self, command: Callable[[], Notice], read: Read) -> OperationHandle:
        """Issue a reading of state, which the machine may know at once."""
        handle = self._new_handle()

        def issue() -> None:
            notice = command()
            if self._machine.is_completed(notice):
                known = read(handle, self._machine.take(notice))
                self._instant.append(known._replace(time_ms=self._known_ms))
            else:
                self._wait_for(handle, notice, self._completes(handle, read))

        self._issue(issue)
        return handle

    @override
    def discard(self, handle: OperationHandle) -> None:
        def forget() -> None:
            notice = self._notices.pop(handle, None)
            if notice is not None:
                self._waiting.pop(notice, None)

        self._issue(forget)

    @property
    @override
    def replaying(self) -> bool:
        return self._machine.replaying

    @property
    @override
    def at_journal_end(self) -> bool:
        return not self._machine.replaying

    @override
    def cancel_ahead(self) -> bool:
        while CANCEL not in self._arrived:
            found = self._machine.progress(self._waiting)
            if found is not Progress.COMPLETED and found is not Progress.CANCELLED:
                return False
            self.collect(found)
        return True

    # Time.

    @override
    def now_ms(self) -> int:
        reading = self._machine.run(NOW)
        if reading.replayed:
            now_ms = self._replayed_time(reading.notice)
        else:
            now_ms = self._clock.wall_ms()
            self._machine.propose(reading.notice, b"%d" % now_ms, None)
            self._held = deque()
            # Internal: what is held back is written although the handler has ended by then.
            self._hear(reading.notice, lambda answer: self._release())
        self._known_ms = now_ms
        return now_ms

    def _replayed_time(self, notice: Notice) -> int:
        found: list[int] = []
        self._waiting[notice] = Waiting(lambda answer: found.append(int(answer.value or b"0")))
        while not found:
            # What precedes the reading in the journal keeps its order; the attempt hears of it later.
            self.collect(self._machine.progress(self._waiting))
        return found[0]

    def _release(self) -> None:
        held, self._held = self._held, None
        for command in held or ():
            command()

    @override
    def sleep(self, deadline_ms: int, delay_ms: int, name: str) -> OperationHandle:
        known_ms = None if self._known_ms is None else deadline_ms
        return self._ask(lambda: self._machine.sleep(self._left_ms(delay_ms, known_ms), name))

    def _left_ms(self, delay_ms: int, deadline_ms: int | None) -> int:
        """Give what is left until a deadline; a time that was read by an earlier attempt may be long ago.

        One that was read just now leaves the delay as it is: taking off the milliseconds since then would let what is
        sent later, to start a moment later, overtake what was sent before it.
        """
        if deadline_ms is None:
            return delay_ms
        left_ms = max(0, deadline_ms - self._clock.wall_ms())
        return left_ms if left_ms < delay_ms - DELAY_SLACK_MS else delay_ms

    # Calls and other invocations.

    @override
    def call(self, request: Request, *, shielded: bool) -> OperationHandle:
        if shielded:
            # A cancel of this invocation makes the machine cancel what it called, but not what it sent.
            return self._attach_to(lambda: self._machine.send(request, 0), plain)
        handle = self._new_handle()

        def issue() -> None:
            called = self._machine.call(request)
            self._callees.called(handle, called.invocation_id)
            self._wait_for(handle, called.output, self._completes(handle))

        self._issue(issue)
        return handle

    def _attach_to(self, command: Callable[[], Notice], read: Read) -> OperationHandle:
        """Issue a command that comes to an invocation id, then wait for the output of that invocation."""
        handle = self._new_handle()

        def attach(answer: Answer) -> None:
            found = read(handle, answer)
            if found.failure is not None:
                self._completes(handle)(Answer(failure=found.failure))
            else:
                callee = (found.value or b"").decode("ascii")
                self._wait_for(handle, self._machine.attach(callee), self._completes(handle))
                self._callees.sent(handle, callee)

        self._issue(lambda: self._wait_for(handle, command(), attach))
        return handle

    @override
    def cancel_call(self, handle: OperationHandle) -> None:
        pass  # the machine has done it

    @override
    def stop_call(self, handle: OperationHandle) -> None:
        self._issue(lambda: self._callees.stop(handle))

    @override
    def send(self, request: Request, delay_ms: int, due_ms: int | None) -> OperationHandle:
        return self._ask(lambda: self._machine.send(request, self._left_ms(delay_ms, due_ms)))

    @override
    def attach(self, ref: InvocationRef) -> OperationHandle:
        if isinstance(ref, str):
            return self._ask(lambda: self._machine.attach(ref), attached)
        return self._attach_to(lambda: self._find(ref), own_result)

    @override
    def output(self, ref: InvocationRef) -> OperationHandle:
        name, action = self._references.output(ref)
        return self._ask(lambda: self._run(StepToRun(self._new_handle(), name, _OWN, action)), own_result)

    @override
    def cancel_invocation(self, ref: InvocationRef) -> None:
        self._tell(ref, self._machine.cancel)

    @override
    def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        self._tell(ref, lambda id_: self._machine.complete_signal(id_, name, *result))

    def _tell(self, ref: InvocationRef, command: Callable[[str], None]) -> None:
        """Issue a command about an invocation by its id; one that is not found is told nothing."""

        def tell(answer: Answer) -> None:
            found = own_result(0, answer)
            if found.failure is None:
                command((found.value or b"").decode("ascii"))

        def find() -> None:
            self._hear(self._find(ref), tell)

        self._issue(find if not isinstance(ref, str) else functools.partial(command, ref))

    def _find(self, ref: InvocationRef) -> Notice:
        name, action = self._references.finding(ref)
        return self._run(StepToRun(self._new_handle(), name, _OWN, action))

    # Steps.

    @override
    def run(self, name: str, fingerprint: bytes, action: StepAction) -> OperationHandle:
        handle = self._new_handle()
        step = StepToRun(handle, name, fingerprint.hex(), action)
        completes = self._completes(handle, functools.partial(step_result, name, step.fingerprint))

        def finish(answer: Answer) -> None:
            self.recorded.append(handle)
            completes(answer)

        self._issue(lambda: self._wait_for(handle, self._run(step), finish))
        return handle

    def _run(self, step: StepToRun) -> Notice:
        issued = self._machine.run(step.name)
        if not issued.replayed:
            self.steps_to_run[issued.notice] = step
        return issued.notice

    @override
    def stop_step(self, handle: OperationHandle) -> None:
        self.stopped.add(handle)

    # State.

    @override
    def get_state(self, name: str) -> OperationHandle:
        return self._ask_state(lambda: self._machine.get_state(name), plain)

    @override
    def state_names(self) -> OperationHandle:
        cleared = frozenset(self._cleared)

        def read(handle: OperationHandle, answer: Answer) -> Completion:
            names = sorted(name for name in answer.names if name not in cleared)
            return Completion(handle, None, json.dumps(names).encode(), answer.failure)

        return self._ask_state(self._machine.state_names, read)

    @override
    def set_state(self, name: str, value: bytes) -> None:
        self._cleared.discard(name)
        self._issue(lambda: self._machine.set_state(name, value))

    @override
    def clear_state(self, name: str) -> None:
        self._cleared.add(name)
        self._issue(lambda: self._machine.clear_state(name))

    @override
    def clear_all_state(self) -> None:
        self._cleared.clear()
        self._issue(self._machine.clear_all_state)

    # Promises, awakeables and signals.

    @override
    def promise_value(self, name: str) -> OperationHandle:
        return self._ask(lambda: self._machine.promise(name))

    @override
    def promise_peek(self, name: str) -> OperationHandle:
        return self._ask(lambda: self._machine.peek_promise(name))

    @override
    def promise_complete(self, name: str, result: ValueOrFailure) -> OperationHandle:
        return self._ask(lambda: self._machine.complete_promise(name, *result))

    @override
    def awakeable(self) -> tuple[str, OperationHandle]:
        handle = self._new_handle()
        awakeable_id, notice = self._machine.awakeable()
        self._wait_for(handle, notice, self._completes(handle, resolved))
        return awakeable_id, handle

    @override
    def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        self._issue(lambda: self._machine.complete_awakeable(awakeable_id, *result))

    @override
    def signal(self, name: str) -> OperationHandle:
        return self._ask(lambda: self._machine.signal(name), resolved)
