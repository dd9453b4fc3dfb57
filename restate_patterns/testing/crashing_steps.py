"""Steps whose process may die before, during and after each of their tries.

A step is seen at the seam, where a backend gets it, so this holds for each step, whoever asks for it. What was begun in
a process that is dead does nothing more, but for what no task can stop: its clean-up, and functions in threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, cast

from typing_extensions import override

from restate_patterns.execution.steps import thread_of
from restate_patterns.seam import (
    Attempt,
    Caller,
    Deployment,
    Invocation,
    OperationHandle,
    Operations,
    ServiceInfo,
    StepAction,
    StepProgress,
    Target,
    ValueOrFailure,
)
from restate_patterns.system.clock import Clock, ClockOf
from restate_patterns.testing.crashes import Crashes, CrashKind


class Process:
    """One life of the process under test.

    Args:
        crashes: Where it dies.
    """

    def __init__(self, crashes: Crashes) -> None:
        self.dead = False
        self._crashes = crashes

    def next_try(self) -> int:
        """Return the number of a try that is about to begin: one more than those before it, in any process."""
        return self._crashes.reached_counts["before"] + 1

    def reached(self, kind: CrashKind, place: str) -> None:
        """Note that it has reached a point; it may be dead after that."""
        if not self.dead:
            self._crashes.reached(kind, place)


class CrashingDeployment(Deployment):
    """The services of an app, in a process that may die at their steps.

    Args:
        deployment: The services.
        process: The process.
    """

    def __init__(self, deployment: Deployment, process: Process) -> None:
        self._deployment = deployment
        self._process = process

    @property
    @override
    def services(self) -> Mapping[str, ServiceInfo]:
        return self._deployment.services

    @override
    def attempt(self, invocation: Invocation, operations: Operations) -> Attempt:
        watched = _CrashingOperations(operations, invocation.target, self._process)
        return self._deployment.attempt(invocation, cast("Operations", watched))

    @override
    async def started(self, caller: Caller) -> None:
        await self._deployment.started(caller)


class _CrashingOperations:
    """The operations of an attempt, as they are but for its steps."""

    def __init__(self, operations: Operations, target: Target, process: Process) -> None:
        self._operations = operations
        self._handler = f"{target.service}.{target.handler}"
        self._process = process

    def __getattr__(self, name: str) -> object:
        return getattr(self._operations, name)

    def run(self, name: str, fingerprint: bytes, action: StepAction) -> OperationHandle:
        step = _CrashingStep(action, f"step {name!r} of {self._handler}", self._process)
        return self._operations.run(name, fingerprint, step)


class _CrashingStep(StepAction):
    def __init__(self, action: StepAction, name: str, process: Process) -> None:
        self._action = action
        self._name = name
        self._process = process

    @property
    @override
    def context(self) -> contextvars.Context:
        return self._action.context

    @override
    async def __call__(self, progress: StepProgress, /) -> ValueOrFailure:
        tries = _Tries(progress, self._name, self._process)
        await tries.begin()
        try:
            result = await tries.watch(self._action(tries))
        except GeneratorExit:
            raise
        except BaseException:
            await tries.end()
            raise
        await tries.end()
        return result


class _Tries(StepProgress):
    """The tries of a step, one after the other: each begins, waits now and then, and ends."""

    def __init__(self, progress: StepProgress, name: str, process: Process) -> None:
        self._progress = progress
        self._name = name
        self._process = process
        self._number = 0
        self._awaits_count = 0
        self._between = False
        """Whether one has failed and the next one has not begun."""

    async def begin(self) -> None:
        """Begin a try, unless the process dies before it, or is dead."""
        self._number = self._process.next_try()
        self._awaits_count = 0
        self._between = False
        self._process.reached("before", f"before {self._action()}")
        await self.stay_dead()

    async def end(self) -> None:
        """End the last try; its result does not come where the process dies."""
        if not self._process.dead:
            self._process.reached("after", f"after {self._action()}, before its result was recorded")
            await self.stay_dead()

    async def stay_dead(self) -> None:
        """Go on only in a process that lives."""
        if self._process.dead:
            await asyncio.get_running_loop().create_future()

    @types.coroutine
    def watch(self, coroutine: Coroutine[Any, Any, ValueOrFailure]) -> Generator[Any, Any, ValueOrFailure]:
        """Run what makes the tries; the process may die at each await of them."""
        resume: Callable[[Any], Any] = coroutine.send
        given: Any = None
        is_broken_off = False
        while True:
            try:
                waits_for = resume(given)
            except StopIteration as end:
                return cast("ValueOrFailure", end.value)
            self._waits()
            try:
                given, resume = (yield waits_for), coroutine.send
            except BaseException as error:  # noqa: BLE001 - what is thrown into the task is thrown into the action
                given, resume = error, coroutine.throw
            else:
                if self._process.dead and not is_broken_off:
                    is_broken_off = True
                    given, resume = asyncio.CancelledError(), coroutine.throw

    def _waits(self) -> None:
        task = asyncio.current_task()
        if self._between or task is None or thread_of(task) is not None:
            return  # a function in a thread is not at an await: it goes on
        self._awaits_count += 1
        self._process.reached("during", f"during {self._action()}, at its await {self._awaits_count}")

    def _action(self) -> str:
        return f"action {self._number} ({self._name})"

    @property
    @override
    def clock(self) -> Clock:
        return _TryClock(self._progress.clock, self)

    @property
    @override
    def failed_count(self) -> int:
        return self._progress.failed_count

    @override
    def failed(self, error: BaseException, retry_in_ms: int) -> None:
        self._between = True
        self._process.reached("after", f"after {self._action()}, which failed, before that was recorded")
        if not self._process.dead:
            self._progress.failed(error, retry_in_ms)

    @override
    def gave_up(self, error: BaseException) -> None:
        if not self._process.dead:
            self._progress.gave_up(error)


class _TryClock(ClockOf):
    """The clock of a step, on which it sleeps between its tries."""

    def __init__(self, clock: Clock, tries: _Tries) -> None:
        super().__init__(clock)
        self._tries = tries

    @override
    async def sleep(self, delay_ms: float) -> None:
        await self._tries.stay_dead()
        await super().sleep(delay_ms)
        await self._tries.begin()
