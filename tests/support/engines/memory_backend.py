"""A backend in a few dictionaries, for one invocation at a time: journal, replay, crashes, virtual time.

The journal is a list of entries: what was delivered, and the commands that the drain after it issued. What
a drain asked for begins to have effects when its entry is committed, as on a real backend.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from typing_extensions import override

from restate_patterns.errors import Failure, JournalMismatch
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.seam import (
    Completion,
    Invocation,
    InvocationRef,
    Issued,
    OperationHandle,
    Operations,
    Ready,
    Request,
    StepAction,
    StepExhausted,
    StepProgress,
    Target,
    ValueOrFailure,
)
from restate_patterns.system.clock import Clock
from restate_patterns.testing.clock import VirtualClock

START_MS = 1_893_456_000_000

Main: TypeAlias = Callable[[DurableAttempt], Coroutine[Any, Any, bytes]]


@dataclass(frozen=True)
class CancelRequested:
    """The invocation was cancelled, in its place among the completions."""

    time_ms: int


@dataclass(frozen=True)
class Command:
    """One operation as the journal has it; `ready` when it had its answer at once."""

    kind: str
    what: str
    ready: Ready | None = None

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.what}"


@dataclass
class Entry:
    """One delivery and the commands of the drain after it."""

    cause: Completion | CancelRequested | None
    commands: list[Command] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What a call, an attach or an awakeable comes to, and when."""

    delay_ms: float
    value: bytes | None = None
    failure: Failure | None = None


Peer: TypeAlias = Callable[[str, str], Outcome]
"""Answers what is outside the invocation: (kind, what) -> outcome."""


class World:
    """What outlives attempts and crashes of one invocation.

    Args:
        main: The handler.
        peer: How calls, attaches, promises and awakeables end.
        seed: Decides arrival orders, and where state reads suspend.
        random_seed: The invocation's.
    """

    def __init__(self, main: Main, peer: Peer | None = None, *, seed: int = 0, random_seed: int = 7) -> None:
        self.main = main
        self.peer = peer or (lambda kind, what: Outcome(1.0, what.encode()))
        self.dice = random.Random(seed)
        self.clock = VirtualClock(START_MS)
        self.invocation = Invocation(
            "inv_1", Target("Test", "handler"), b"", {}, (random_seed * 0x9E3779B97F4A7C15) % 2**64, START_MS
        )
        self.entries: list[Entry] = []
        self.arrived: list[Completion | CancelRequested] = []
        self.settled: set[OperationHandle] = set()
        self.state: dict[str, bytes] = {}
        self.steps: dict[OperationHandle, asyncio.Task[ValueOrFailure]] = {}
        self.tries: dict[OperationHandle, int] = {}
        self.exhausted: list[str] = []
        self.reads_suspend = False

    def commands(self) -> list[Command]:
        """Give all commands of the journal, in order; a handle is a position in it."""
        return [command for entry in self.entries for command in entry.commands]

    def arrive(self, handle: OperationHandle, value: bytes | None, failure: Failure | None) -> None:
        """A durable operation has come to its end; the attempt is told in some order."""
        if handle not in self.settled:
            self.settled.add(handle)
            self.arrived.append(Completion(handle, self.clock.wall_ms(), value, failure))

    def take_arrival(self) -> Completion | CancelRequested:
        """Give one of what has arrived, as the dice say."""
        return self.arrived.pop(self.dice.randrange(len(self.arrived)))

    def cancel(self) -> None:
        """Ask the invocation to cancel."""
        self.arrived.append(CancelRequested(self.clock.wall_ms()))


class _Progress(StepProgress):
    def __init__(self, world: World, handle: OperationHandle) -> None:
        self._world = world
        self._handle = handle

    @property
    @override
    def clock(self) -> Clock:
        return self._world.clock

    @property
    @override
    def failed_count(self) -> int:
        return self._world.tries.get(self._handle, 0)

    @override
    def failed(self, error: BaseException, retry_in_ms: int) -> None:
        self._world.tries[self._handle] = self.failed_count + 1

    @override
    def gave_up(self, error: BaseException) -> None:
        """Nobody looks."""


class MemoryOperations(Operations):
    """The operations of one attempt: matched against the journal first, then appended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.recorded = world.commands()
        self.position = 0
        self.fresh: list[Command] = []
        self.effects: list[Callable[[], None]] = []
        self.actions: dict[OperationHandle, StepAction] = {}
        self.hints: list[tuple[str, OperationHandle]] = []
        self.cancels_delivered = 0

    @property
    @override
    def replaying(self) -> bool:
        return self.position < len(self.recorded)

    @property
    @override
    def at_journal_end(self) -> bool:
        return not self.replaying

    @override
    def cancel_ahead(self) -> bool:
        causes = [*(entry.cause for entry in self.world.entries), *self.world.arrived]
        return sum(isinstance(cause, CancelRequested) for cause in causes) > self.cancels_delivered

    def _issue(
        self,
        kind: str,
        what: str,
        effect: Callable[[OperationHandle], None] | None = None,
        ready: Callable[[], Ready] | None = None,
    ) -> Issued:
        handle = self.position
        self.position += 1
        if handle < len(self.recorded):
            command = self.recorded[handle]
            if (command.kind, command.what) != (kind, what):
                raise JournalMismatch(handle, str(command), f"{kind} {what}")
            return handle if command.ready is None else command.ready
        answer = ready() if ready is not None else None
        self.fresh.append(Command(kind, what, answer))
        if effect is not None:
            self.effects.append(lambda: effect(handle))
        return handle if answer is None else answer

    def _wait(self, kind: str, what: str, effect: Callable[[OperationHandle], None] | None = None) -> OperationHandle:
        handle = self._issue(kind, what, effect)
        assert isinstance(handle, int)
        return handle

    def _from_peer(self, kind: str, what: str) -> Callable[[OperationHandle], None]:
        world = self.world

        def begin(handle: OperationHandle) -> None:
            outcome = world.peer(kind, what)
            world.clock.call_later(outcome.delay_ms, lambda: world.arrive(handle, outcome.value, outcome.failure))

        return begin

    @override
    def call(self, request: Request, *, shielded: bool) -> OperationHandle:
        what = f"{request.target} {request.body!r}"
        return self._wait("call", what, self._from_peer("call", request.target.handler))

    @override
    def send(self, request: Request, delay_ms: int, due_ms: int | None) -> Issued:
        return self._issue("send", f"{request.target} {delay_ms}", None, lambda: Ready(b"inv_sent"))

    @override
    def run(self, name: str, fingerprint: bytes, action: StepAction) -> OperationHandle:
        handle = self._wait("run", f"{name} {fingerprint.hex()}", self._start_step)
        self.actions[handle] = action
        return handle

    def _start_step(self, handle: OperationHandle) -> None:
        world = self.world
        if handle in world.settled or handle in world.steps:
            return

        def ended(task: asyncio.Task[ValueOrFailure]) -> None:
            world.steps.pop(handle, None)
            if task.cancelled():
                world.arrive(handle, None, Failure(409, "stopped"))
            elif isinstance(error := task.exception(), StepExhausted):
                world.exhausted.append(error.step)
            else:
                world.arrive(handle, *task.result())

        action = self.actions[handle]
        task = asyncio.get_running_loop().create_task(action(_Progress(world, handle)), context=action.context)
        task.add_done_callback(ended)
        world.steps[handle] = task

    @override
    def stop_step(self, handle: OperationHandle) -> None:
        self.hints.append(("stop_step", handle))
        self.effects.append(lambda: self._stop_step(handle))

    def _stop_step(self, handle: OperationHandle) -> None:
        task = self.world.steps.get(handle)
        if task is not None:
            task.cancel()

    @override
    def cancel_call(self, handle: OperationHandle) -> None:
        self.hints.append(("cancel_call", handle))

    @override
    def stop_call(self, handle: OperationHandle) -> None:
        self._issue("stop_call", f"of {handle}", lambda _: self.world.arrive(handle, None, Failure(409, "cancelled")))

    @override
    def now_ms(self) -> int:
        answer = self._issue("now", "", None, lambda: Ready(b"%d" % self.world.clock.wall_ms()))
        assert isinstance(answer, Ready)
        return int(answer.value or b"")

    @override
    def sleep(self, deadline_ms: int, delay_ms: int, name: str) -> OperationHandle:
        world = self.world

        def begin(handle: OperationHandle) -> None:
            wait_ms = max(0, deadline_ms - world.clock.wall_ms())
            world.clock.call_later(wait_ms, lambda: world.arrive(handle, None, None))

        return self._wait("sleep", f"{name} {deadline_ms}", begin)

    @override
    def discard(self, handle: OperationHandle) -> None:
        self.hints.append(("discard", handle))

    @override
    def get_state(self, name: str) -> Issued:
        world = self.world
        if world.reads_suspend and world.dice.random() < 0.5:
            return self._issue("get", name, lambda handle: world.arrive(handle, world.state.get(name), None))
        return self._issue("get", name, None, lambda: Ready(world.state.get(name)))

    @override
    def state_names(self) -> Issued:
        return self._issue("names", "", None, lambda: Ready(json.dumps(sorted(self.world.state)).encode()))

    @override
    def set_state(self, name: str, value: bytes) -> None:
        live = not self.replaying
        self._issue("set", f"{name} {value!r}")
        if live:
            self.world.state[name] = value

    @override
    def clear_state(self, name: str) -> None:
        live = not self.replaying
        self._issue("clear", name)
        if live:
            self.world.state.pop(name, None)

    @override
    def clear_all_state(self) -> None:
        live = not self.replaying
        self._issue("clear_all", "")
        if live:
            self.world.state.clear()

    @override
    def promise_value(self, name: str) -> OperationHandle:
        return self._wait("promise", name, self._from_peer("promise", name))

    @override
    def promise_peek(self, name: str) -> Issued:
        return self._issue("peek", name, None, lambda: Ready(None))

    @override
    def promise_complete(self, name: str, result: ValueOrFailure) -> Issued:
        return self._issue("complete", f"{name} {result!r}", None, lambda: Ready(None))

    @override
    def awakeable(self) -> tuple[str, OperationHandle]:
        name = f"awk_{self.position}"
        return name, self._wait("awakeable", "", self._from_peer("awakeable", name))

    @override
    def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        self._issue("resolve", f"{awakeable_id} {result!r}")

    @override
    def signal(self, name: str) -> OperationHandle:
        return self._wait("signal", name, self._from_peer("signal", name))

    @override
    def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        self._issue("answer", f"{name} of {ref} {result!r}")

    @override
    def attach(self, ref: InvocationRef) -> OperationHandle:
        return self._wait("attach", str(ref), self._from_peer("attach", str(ref)))

    @override
    def output(self, ref: InvocationRef) -> Issued:
        return self._issue("output", str(ref), None, lambda: Ready(None))

    @override
    def cancel_invocation(self, ref: InvocationRef) -> None:
        self._issue("cancel", str(ref))
