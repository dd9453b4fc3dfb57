"""Actions of steps that outlived their engine: the next engine of this process waits for them.

An engine that stops can't wait for ever for an action that ignores it, or for a thread. An action is never started
twice at a time in one process, so whoever starts the same step again waits for its end, and takes what it came to.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
from typing import Any, Final, TypeAlias

from typing_extensions import override

from restate_patterns.limits import LEFTOVER_LOOK_S
from restate_patterns.seam import OperationHandle, StepAction, StepProgress, ValueOrFailure

StepKey: TypeAlias = tuple[str, OperationHandle]
"""The id of an invocation, which no other file has, and the handle of its step."""

left_over: Final[dict[StepKey, Leftover]] = {}
"""Those of this process; nearly always empty, and asked before each step."""


class Leftover:
    """An action that goes on without its engine.

    Args:
        task: What it runs in.
        thread: What it runs in a thread, if it does: that goes on also when the loop of its task has ended.
    """

    def __init__(self, task: asyncio.Task[None], thread: concurrent.futures.Future[Any] | None) -> None:
        self._task = task
        self._thread = thread
        self.ended: concurrent.futures.Future[ValueOrFailure | None] = concurrent.futures.Future()

    @property
    def lives(self) -> bool:
        """Whether it may still do something."""
        if self.ended.done() or self._task.done():
            return False
        return self._task.get_loop().is_running() or (self._thread is not None and not self._thread.done())

    def end(self, result: ValueOrFailure | None) -> None:
        """Take what it came to; None when it was stopped or failed."""
        if not self.ended.done():
            self.ended.set_result(result)

    def ask_to_stop(self) -> None:
        """Cancel it, if its loop still runs."""
        loop = self._task.get_loop()
        if loop.is_running():
            loop.call_soon_threadsafe(self._task.cancel)

    async def outcome(self) -> ValueOrFailure | None:
        """Wait for its end, also through cancellations, which are handed on to it.

        Returns:
            What it came to; None when nobody knows, or nothing.

        Raises:
            CancelledError: It was asked to stop, and came to nothing.
        """
        ended = asyncio.wrap_future(self.ended)
        asked = False
        while self.lives:
            try:
                await asyncio.wait([ended], timeout=LEFTOVER_LOOK_S)
            except asyncio.CancelledError:
                asked = True
                self.ask_to_stop()
        result = self.ended.result() if self.ended.done() else None
        if result is None and asked:
            raise asyncio.CancelledError
        return result


def leave(step: StepKey, task: asyncio.Task[None], thread: concurrent.futures.Future[Any] | None) -> Leftover:
    """Note that an action goes on without its engine; one that waits for an earlier one is none itself."""
    found = left_over.get(step)
    if found is None or not found.lives:
        found = left_over[step] = Leftover(task, thread)
    return found


def after_leftover(step: StepKey, action: StepAction) -> StepAction:
    """Give what to do for a step: its action, once one that still runs has ended without a result."""
    found = left_over.get(step)
    return action if found is None else _After(step, found, action)


class _After(StepAction):
    def __init__(self, step: StepKey, leftover: Leftover, action: StepAction) -> None:
        self._step = step
        self._leftover = leftover
        self._action = action

    @property
    @override
    def context(self) -> contextvars.Context:
        return self._action.context

    @override
    async def __call__(self, progress: StepProgress, /) -> ValueOrFailure:
        result = await self._leftover.outcome()
        if left_over.get(self._step) is self._leftover:
            del left_over[self._step]
        return await self._action(progress) if result is None else result
