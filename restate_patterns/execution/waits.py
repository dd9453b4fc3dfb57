"""What tasks wait for: one entry for each outstanding operation, found by its handle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any, Protocol, TypeAlias

from typing_extensions import override

from restate_patterns.errors import Cancelled
from restate_patterns.execution.loop import InnerLoop
from restate_patterns.execution.tasks import InnerFuture, InnerTask
from restate_patterns.execution.timers import InnerTimer
from restate_patterns.seam import Completion, OperationHandle
from restate_patterns.values.failures import from_failure


class WaitHost(Protocol):
    """The hints that waits give to the backend."""

    def discard(self, handle: OperationHandle) -> None:
        """Nobody waits for this operation any more."""
        ...

    def stop_step(self, handle: OperationHandle) -> None:
        """Ask a running step to stop."""
        ...

    def cancel_call(self, handle: OperationHandle) -> None:
        """Cancel the callee of an outstanding call."""
        ...


class OperationWait(InnerFuture[bytes | None]):
    """The wait of one task for one operation. Cancelling it abandons the wait, not the operation."""

    __slots__ = ("handle", "is_call", "waits")

    def __init__(self, waits: Waits, handle: OperationHandle, is_call: bool) -> None:
        self.waits = waits
        self.handle = handle
        self.is_call = is_call
        super().__init__(waits.loop)

    @override
    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self.waits.abandon(self.handle)
        return True

    def settle(self, completion: Completion) -> None:
        """Wake the task with what the operation came to."""
        if completion.failure is not None:
            self.set_exception(from_failure(completion.failure))
        else:
            self.set_result(completion.value)

    def fail_cancelled(self) -> None:
        """The invocation was cancelled: end this wait with that error."""
        if self.is_call:
            self.waits.backend.cancel_call(self.handle)
        self.waits.abandon(self.handle)
        self.set_exception(Cancelled())


class StepWait(InnerFuture[bytes | None]):
    """The wait of one task for a step. It ends when the step has ended, also when it is cancelled.

    So no undo overtakes an action: cancelling asks the action to stop, and the task learns of the
    cancellation once the outcome of the action is in the journal.
    """

    __slots__ = ("handle", "stop", "succeeded", "waits")

    def __init__(self, waits: Waits, handle: OperationHandle, succeeded: Callable[[bytes], None] | None) -> None:
        self.waits = waits
        self.handle = handle
        self.succeeded = succeeded
        self.stop: _Stop | None = None
        super().__init__(waits.loop)

    @override
    def cancel(self, msg: Any | None = None) -> bool:
        if self.done():
            return False
        if not self.waits.loop.sealed:
            stop = self._ask_to_stop()
            stop.task_cancelled = True
            stop.message = msg
        return True

    def fail_cancelled(self) -> None:
        """The invocation was cancelled: end this wait with that error, once the action has stopped."""
        self._ask_to_stop()

    def _ask_to_stop(self) -> _Stop:
        if self.stop is None:
            self.stop = _Stop()
            self.waits.backend.stop_step(self.handle)
        return self.stop

    def settle(self, completion: Completion) -> None:
        """Wake the task with the outcome of the step, or with the cancellation it has waited out."""
        if self.succeeded is not None and completion.failure is None:
            self.succeeded(completion.value or b"")
        if self.stop is not None:
            if self.stop.task_cancelled:
                super().cancel(self.stop.message)
            else:
                self.set_exception(Cancelled())
        elif completion.failure is not None:
            self.set_exception(from_failure(completion.failure))
        else:
            self.set_result(completion.value)


class CallWait(StepWait):
    """The wait of one task for a call that is not left alone: it ends when the callee has ended, also when cancelled.

    Cancelling it cancels the callee.
    """

    __slots__ = ("stop_call",)

    def __init__(self, waits: Waits, handle: OperationHandle, stop_call: Callable[[OperationHandle], None]) -> None:
        self.stop_call = stop_call
        super().__init__(waits, handle, None)

    @override
    def fail_cancelled(self) -> None:
        """The invocation was cancelled, and the callee is with it: end this wait with that error, once it has ended."""
        if self.stop is None:
            self.stop = _Stop()
            self.waits.backend.cancel_call(self.handle)

    @override
    def _ask_to_stop(self) -> _Stop:
        if self.stop is None:
            self.stop = _Stop()
            self.stop_call(self.handle)
        return self.stop


class _Stop:
    """That a step or a callee was asked to stop: because its task was cancelled, or else because its invocation was."""

    __slots__ = ("message", "task_cancelled")

    def __init__(self) -> None:
        self.task_cancelled = False
        self.message: Any | None = None


class AnswerWait(Awaitable[bytes]):
    """What others answer: can be awaited again after a wait for it was cancelled, and by several tasks."""

    __slots__ = ("_completion", "handle", "waiters", "waits")

    def __init__(self, waits: Waits, handle: OperationHandle) -> None:
        self.waits = waits
        self.handle = handle
        self.waiters: dict[AnswerWaiter, None] = {}
        self._completion: Completion | None = None

    @override
    def __await__(self) -> Generator[Any, None, bytes]:
        if self._completion is None:
            self.waits.before_wait()
            yield from AnswerWaiter(self).__await__()
        completion = self._completion
        assert completion is not None
        if completion.failure is not None:
            raise from_failure(completion.failure)
        return completion.value or b""

    def settle(self, completion: Completion) -> None:
        """Keep the outcome and wake who waits for it."""
        self._completion = completion
        for waiter in self.waiters:
            waiter.set_result(None)


class AnswerWaiter(InnerFuture[None]):
    """The wait of one task for what others answer."""

    __slots__ = ("answer",)

    def __init__(self, answer: AnswerWait) -> None:
        self.answer = answer
        super().__init__(answer.waits.loop)
        answer.waits.answer_awaited(answer, self)

    @override
    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self.answer.waits.answer_left(self.answer, self)
        return True

    def fail_cancelled(self) -> None:
        """The invocation was cancelled: end this wait with that error."""
        self.answer.waits.answer_left(self.answer, self)
        self.set_exception(Cancelled())


Waiting: TypeAlias = OperationWait | StepWait | AnswerWait | InnerTimer


class Waits:
    """The outstanding operations of one attempt, in order of issue.

    Args:
        loop: The attempt's loop.
        backend: Where hints go.
    """

    def __init__(self, loop: InnerLoop, backend: WaitHost) -> None:
        self.loop = loop
        self.backend = backend
        self._pending: dict[OperationHandle, Waiting] = {}
        self._idle_answers_count = 0
        self._cancel_pending = False

    def operation(self, handle: OperationHandle, *, is_call: bool = False) -> OperationWait:
        """Give what to await for an operation."""
        wait = self._pending[handle] = OperationWait(self, handle, is_call)
        return wait

    def step(self, handle: OperationHandle, succeeded: Callable[[bytes], None] | None = None) -> StepWait:
        """Give what to await for a step; `succeeded` hears of its result also when the wait was cancelled."""
        wait = self._pending[handle] = StepWait(self, handle, succeeded)
        return wait

    def call(self, handle: OperationHandle, stop_call: Callable[[OperationHandle], None]) -> CallWait:
        """Give what to await for a call whose callee is cancelled with the wait, by `stop_call`."""
        wait = self._pending[handle] = CallWait(self, handle, stop_call)
        return wait

    def answer(self, handle: OperationHandle) -> AnswerWait:
        """Give what to await, when and as often as wanted, for an awakeable or a signal."""
        wait = self._pending[handle] = AnswerWait(self, handle)
        self._idle_answers_count += 1
        return wait

    def answer_awaited(self, answer: AnswerWait, waiter: AnswerWaiter) -> None:
        """Somebody waits for an answer."""
        if not answer.waiters:
            self._idle_answers_count -= 1
        answer.waiters[waiter] = None

    def answer_left(self, answer: AnswerWait, waiter: AnswerWaiter) -> None:
        """Somebody waits for an answer no longer."""
        if answer.waiters.pop(waiter, self) is None and not answer.waiters:
            self._idle_answers_count += 1

    def timer(self, handle: OperationHandle, timer: InnerTimer) -> None:
        """Keep a timer until its time has come."""
        timer.handle = handle
        self._pending[handle] = timer

    def abandon(self, handle: OperationHandle) -> None:
        """Forget an operation: its completion will be ignored."""
        if self._pending.pop(handle, None) is not None and not self.loop.sealed:
            self.backend.discard(handle)

    def deliver(self, completion: Completion) -> None:
        """Wake who waits for the operation that completed, and move durable time to it."""
        waiting = self._pending.pop(completion.handle, None)
        if waiting is None:
            return
        if isinstance(waiting, InnerTimer):
            if completion.time_ms is not None:
                self.loop.happened_at(completion.time_ms)
            self.loop.fire(waiting)
            return
        self.loop.happened_at(completion.time_ms)
        if isinstance(waiting, AnswerWait) and not waiting.waiters:
            self._idle_answers_count -= 1
        waiting.settle(completion)

    def any_awaited(self) -> bool:
        """Tell whether the completion of some outstanding operation would wake somebody."""
        return len(self._pending) > self._idle_answers_count

    def awaited(self) -> Iterator[OperationHandle]:
        """Give the handles that tasks wait for, in order of issue."""
        for handle, waiting in self._pending.items():
            if not isinstance(waiting, AnswerWait) or waiting.waiters:
                yield handle

    def cancel_unshielded(self) -> None:
        """Fail the durable waits of unshielded tasks, in creation order of the tasks.

        When there is none, the next durable wait of an unshielded task fails instead.
        """
        failing = [
            fail for task in self.loop.live_tasks() if task.shield_depth == 0 and (fail := _failing(task)) is not None
        ]
        for fail in failing:
            fail()
        self._cancel_pending = not failing

    def waits_durably(self, task: InnerTask[Any]) -> bool:
        """Tell whether a task waits for something durable itself."""
        return _failing(task) is not None

    def cancel_arrived(self) -> None:
        """Note that a cancellation that had found nobody has reached somebody after all."""
        self._cancel_pending = False

    def before_wait(self) -> None:
        """Say that the running task is about to wait for something durable.

        Raises:
            Cancelled: A cancellation of the invocation had found nobody; this task has it now.
        """
        if self._cancel_pending and self.takes_cancel():
            raise Cancelled

    def takes_cancel(self) -> bool:
        """Tell whether the running task gets a cancellation that had found nobody; it then has it."""
        if not self._cancel_pending:
            return False
        task = asyncio.current_task(self.loop)
        if isinstance(task, InnerTask) and task.shield_depth:
            return False
        self._cancel_pending = False
        return True

    def clear(self) -> None:
        """Forget everything, without a word to the backend."""
        self._pending.clear()


def _failing(task: InnerTask[Any]) -> Callable[[], None] | None:
    leaf = task.waits_for
    if leaf is None or leaf.done():
        return None
    if isinstance(leaf, (OperationWait, StepWait, AnswerWaiter)):
        return leaf.fail_cancelled
    if isinstance(leaf, InnerFuture) and leaf.sleeps:
        return lambda: None if leaf.done() else leaf.set_exception(Cancelled())
    return None
