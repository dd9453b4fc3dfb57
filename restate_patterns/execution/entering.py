"""Entering and leaving the inner loop within a callback or a task of the real one."""

from __future__ import annotations

import asyncio
import asyncio.events
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restate_patterns.execution.loop import InnerLoop

_set_running_loop: Any = asyncio._set_running_loop
_get_running_loop: Any = asyncio._get_running_loop
_swap_current_task: Any = getattr(asyncio.tasks, "_swap_current_task", None)

ONE_TASK_PER_THREAD = sys.version_info >= (3, 14)
"""From 3.14 on the current task belongs to the thread: the outer one must step aside."""


class Entered:
    """Makes an inner loop the running one within a `with` block."""

    __slots__ = ("_hooks", "_loop", "_outer", "_outer_task")

    def __init__(self, loop: InnerLoop) -> None:
        self._loop = loop
        self._outer_task: asyncio.Task[Any] | None = None

    def __enter__(self) -> None:
        loop = self._loop
        self._outer = outer = _get_running_loop()
        if ONE_TASK_PER_THREAD and outer is not None:
            self._outer_task = _swap_current_task(outer, None)
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(loop.keep_generator, None)
        _set_running_loop(loop)
        loop.set_open(True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.set_open(False)
        _set_running_loop(self._outer)
        sys.set_asyncgen_hooks(*self._hooks)
        if self._outer_task is not None:
            _swap_current_task(self._outer, self._outer_task)
