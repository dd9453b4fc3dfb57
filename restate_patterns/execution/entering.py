"""Entering and leaving the inner loop within a callback or a task of the real one."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import sys
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Final

_set_running_loop: Any = asyncio._set_running_loop
_get_running_loop: Any = asyncio._get_running_loop
_swap_current_task: Any = getattr(asyncio.tasks, "_swap_current_task", None)

_ONE_TASK_PER_THREAD: Final = sys.version_info >= (3, 14)
"""From 3.14 on the current task belongs to the thread: the outer one must step aside."""


class Enterable:
    """A loop that is the running one within a `with` block; the loop outside waits meanwhile."""

    _open = False
    """Whether callbacks may be scheduled now."""
    _outer: asyncio.AbstractEventLoop | None = None
    _outer_task: asyncio.Task[Any] | None = None
    _outer_hooks: Any = (None, None)

    def keep_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """An async generator was started inside."""
        raise NotImplementedError

    def __enter__(self) -> None:
        self._outer = outer = _get_running_loop()
        if _ONE_TASK_PER_THREAD and outer is not None:
            self._outer_task = _swap_current_task(outer, None)
        self._outer_hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self.keep_generator, None)
        _set_running_loop(self)
        self._open = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        _set_running_loop(self._outer)
        sys.set_asyncgen_hooks(*self._outer_hooks)
        if self._outer_task is not None:
            _swap_current_task(self._outer, self._outer_task)
        self._outer = self._outer_task = None
