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


async def ended(task: asyncio.Task[Any]) -> asyncio.CancelledError | None:
    """Wait until `task` has ended, whatever cancels this one meanwhile.

    Returns:
        The cancellation of this task (by `asyncio.timeout`, a failing task group), if one came.
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end and give its result.

    Raises:
        asyncio.CancelledError: This task was cancelled meanwhile; raised after `work` has ended. An error of
            `work` wins.
    """
    task = owed(work)
    cancelled = await ended(task)
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
