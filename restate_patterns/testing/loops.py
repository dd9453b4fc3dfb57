"""Whether anything in an event loop could still happen by itself.

Where that can't be known the answer is that it could: another kind of loop, a thread of the test's, a task that waits
for what anybody may bring. It knows nothing of engines.
"""

# pyright: reportPrivateUsage=false
# A loop does not say what it has to do; what is read here is the same from 3.11 on, and where it is missing is unknown.

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import thread as pools
from typing import Any, Final

from restate_patterns.execution.steps import STEP_THREADS

_OF_NOBODY: Final = frozenset(
    each for each in threading.enumerate() if each is not threading.main_thread() and each not in pools._threads_queues
)
"""Threads that were there before the tests were read: a debugger's, those that tell how tests go."""

_HARMLESS: Final = (STEP_THREADS, "pytest_timeout ")
"""What the names of threads begin with that do nothing by themselves, or end the test."""

_RUNNERS: Final = frozenset({"TestRunner._call_in_runner_task"})
"""Coroutines of pytest plugins (anyio's) that wait for the task in which they run the test."""


def may_act(loop: Any) -> bool:
    """Return whether something other than a task may act: a callback, a timer, a connection, a thread.

    Args:
        loop: The loop that runs in this thread.
    """
    try:
        if loop._ready or loop._signal_handlers:
            return True
        if any(not timer.cancelled() for timer in loop._scheduled):
            return True
        if any(key.fd != loop._ssock.fileno() for key in loop._selector.get_map().values()):
            return True
        idle = _idle_threads(loop._default_executor)
    except AttributeError:
        return True
    others = {*threading.enumerate()} - {threading.current_thread(), *_OF_NOBODY, *idle}
    return not all(each.name.startswith(_HARMLESS) for each in others)


def _idle_threads(executor: Any) -> Collection[threading.Thread]:
    """Return the threads of a loop's pool where all of them have nothing to do."""
    if executor is None:
        return ()
    threads: Collection[threading.Thread] = executor._threads
    return threads if executor._idle_semaphore._value >= len(threads) and executor._work_queue.empty() else ()


def all_wait_for(loop: asyncio.AbstractEventLoop, dead_ends: Collection[asyncio.Task[Any]]) -> bool:
    """Return whether each task of a loop waits for one of some that never end, or is one of them.

    Seen through: a task that awaits another, `asyncio.gather`, `asyncio.wait` and `asyncio.TaskGroup`.
    """
    looked_at = set[asyncio.Future[Any]](dead_ends)

    def is_stuck(task: asyncio.Future[Any]) -> bool:
        if task in looked_at:
            return True
        awaited = getattr(task, "_fut_waiter", None)
        if awaited is None or not isinstance(task, asyncio.Task):
            return False
        looked_at.add(task)  # a circle of tasks never ends either; where one is not stuck, no other is asked for
        behind = [each for each in _behind(task, awaited) if not each.done()]
        return bool(behind) and all(map(is_stuck, behind))

    return all(_is_runner(task) or is_stuck(task) for task in asyncio.all_tasks(loop))


def _behind(task: asyncio.Task[Any], awaited: asyncio.Future[Any]) -> Iterable[asyncio.Future[Any]]:
    """Return the tasks whose ends a task waits for; what it waits for itself where that is not seen."""
    if isinstance(awaited, asyncio.Task):
        return (awaited,)
    children: Iterable[asyncio.Future[Any]] | None = getattr(awaited, "_children", None)
    if children is not None:
        return children
    coroutine = _innermost(task)
    code, frame = getattr(coroutine, "cr_code", None), getattr(coroutine, "cr_frame", None)
    if frame is not None and code is asyncio.TaskGroup.__aexit__.__code__:
        return list(frame.f_locals["self"]._tasks)
    if frame is not None and code is _WAIT.__code__:
        return list(frame.f_locals["fs"])
    return (awaited,)


_WAIT: Final[Callable[..., Any]] = getattr(asyncio.tasks, "_wait", lambda: None)


def _innermost(task: asyncio.Task[Any]) -> object:
    coroutine: object = task.get_coro()
    while getattr(inner := getattr(coroutine, "cr_await", None), "cr_code", None) is not None:
        coroutine = inner
    return coroutine


def _is_runner(task: asyncio.Task[Any]) -> bool:
    return getattr(_innermost(task), "__qualname__", "") in _RUNNERS
