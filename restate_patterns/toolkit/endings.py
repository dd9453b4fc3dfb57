"""Running something to its end although the task that waits for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from restate_patterns.execution.tasks import InnerTask

T = TypeVar("T")


def owed(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run `work` in a task that the end of the handler does not cancel. For use in handlers only."""
    task = asyncio.get_running_loop().create_task(work)
    assert isinstance(task, InnerTask)
    task.runs_to_its_end = True
    return task


async def ended(
    task: asyncio.Future[Any], expired: asyncio.Future[None] | None = None
) -> asyncio.CancelledError | None:
    """Wait until `task` has ended, or time has, whatever cancels this one meanwhile.

    Returns:
        The cancellation of this task (by `asyncio.timeout`, a failing task group), if one came.
    """
    cancelled: asyncio.CancelledError | None = None
    awaited = [task] if expired is None else [task, expired]
    while not any(each.done() for each in awaited):
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


async def to_the_end(work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
    """Run `work` to its end and return its result.

    Args:
        work: What to do.
        timeout_s: How long to wait for it, in seconds; it goes on afterwards.

    Raises:
        asyncio.CancelledError: This task was cancelled meanwhile; raised after `work` has ended. An error of
            `work` wins.
        TimeoutError: The time is over.
    """
    task = owed(work)
    if timeout_s is None:
        cancelled = await ended(task)
    else:
        loop = asyncio.get_running_loop()
        expired: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(timeout_s, expired.set_result, None)
        cancelled = await ended(task, expired)
        timer.cancel()
        if not task.done():
            raise cancelled or TimeoutError
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
