"""Tasks that a cancel found waiting for nothing durable: on an event, a lock, a queue, or on other tasks.

Usually those whose durable waits the cancel fails wake them on their way out. Owns what becomes of those that
nobody has woken. It decides by the tasks alone, so that a replay decides the same.
"""

from __future__ import annotations

import asyncio
import asyncio.taskgroups
import asyncio.tasks
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

from anyio.abc import TaskGroup

from restate_patterns.errors import Cancelled
from restate_patterns.execution import places
from restate_patterns.execution.loop import InnerLoop
from restate_patterns.execution.tasks import InnerFuture, InnerTask

_TASKS_FILE: Final = asyncio.tasks.__file__
_GROUPS_FILE: Final = asyncio.taskgroups.__file__
_AS_COMPLETED: Final = "_wait_for_one"
_BARE: Final = (InnerFuture, asyncio.Future)
"""What waits for nothing but to be told; not tasks, nor the future of `gather`."""


class _Straggler(NamedTuple):
    task: InnerTask[Any]
    waiter: asyncio.Future[Any]
    """What it waited for when the cancel came."""

    @property
    def still_waits(self) -> bool:
        return self.task.waits_for is self.waiter and not self.waiter.done()


class Stragglers:
    """The stragglers of one cancel, noted as it comes, in creation order. Each is reached at most once.

    Args:
        loop: The attempt's loop.
        waits_durably: Tells whether a task waits for something durable.
    """

    def __init__(self, loop: InnerLoop, waits_durably: Callable[[InnerTask[Any]], bool]) -> None:
        self._loop = loop
        self._waits_durably = waits_durably
        self._left = [
            _Straggler(task, waiter)
            for task in loop.live_tasks()
            if not task.shield_depth and (waiter := task.waits_for) is not None and not waits_durably(task)
        ]

    def reach(self) -> bool:
        """Raise `Cancelled` in those that wait where the cancel found them; tell whether there was one.

        That has time until no task waits for anything durable: what one still does may wake another. Who waits
        for other tasks comes after them, and a task group, which answers for its tasks, is never reached itself.
        """
        if not self._left or any(self._waits_durably(task) for task in self._loop.live_tasks()):
            return False
        left = [straggler for straggler in self._left if straggler.still_waits and not _answers_for_others(straggler)]
        reached = [straggler for straggler in left if not _joins(straggler)] or left
        self._left = [straggler for straggler in left if straggler not in reached]
        _leave(self._loop, reached)
        return bool(reached)


def _leave(loop: InnerLoop, reached: Sequence[_Straggler]) -> None:
    """Let tasks leave their waits as a cancellation by asyncio would, with `Cancelled` in its place.

    Two may wait for one future: each is taken off it before it is cancelled.
    """
    wakeups = [_taken_off(straggler) for straggler in reached]
    for straggler in reached:
        if type(straggler.waiter) in _BARE:  # another task, or what gathers some, goes on
            straggler.waiter.cancel()
    for straggler, wakeup in zip(reached, wakeups, strict=True):
        cancelled = loop.create_future()
        cancelled.set_exception(Cancelled())
        loop.call_soon(wakeup, cancelled, context=straggler.task.context)


def _taken_off(straggler: _Straggler) -> Callable[[asyncio.Future[Any]], object]:
    """Take a task off the future it waits for; gives what wakes the task when it is told of another."""
    callbacks: Sequence[tuple[Any, object]] = getattr(straggler.waiter, "_callbacks", None) or ()
    wakeup = next(callback for callback, _ in callbacks if getattr(callback, "__self__", None) is straggler.task)
    straggler.waiter.remove_done_callback(wakeup)
    return cast("Callable[[asyncio.Future[Any]], object]", wakeup)


def _joins(straggler: _Straggler) -> bool:
    """Tell whether a task waits for other tasks: awaits one, or `gather`, `wait`, `wait_for`, `as_completed`."""
    if type(straggler.waiter) not in _BARE:
        return True
    frames = places.frames_of(straggler.task)
    return frames[-1].f_code.co_filename == _TASKS_FILE or frames[-2:][0].f_code.co_name == _AS_COMPLETED


def _answers_for_others(straggler: _Straggler) -> bool:
    innermost = places.frames_of(straggler.task)[-1]
    return innermost.f_code.co_filename == _GROUPS_FILE or isinstance(innermost.f_locals.get("self"), TaskGroup)
