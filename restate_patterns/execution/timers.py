"""Handles of the inner loop: a callback that will run, and a timer that the backend keeps."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Callable, Sequence
from typing import Any

from restate_patterns.execution.tasks import UNNUMBERED, InnerFuture, InnerTask
from restate_patterns.seam import OperationHandle

FOREVER_MS = 253_402_300_799_000
"""The end of the year 9999: how long an endless sleep lasts."""

SLEEP_NAME: contextvars.ContextVar[str] = contextvars.ContextVar("sleep_name", default="sleep")
"""What the journal calls a sleep that begins now."""

_FLOAT_ERROR_MS = 0.01
_ends_sleep = getattr(asyncio.futures, "_set_result_unless_cancelled", None)


class InnerHandle(asyncio.Handle):
    """A callback in the ready queue."""

    __slots__ = ("again", "wakes_cancelled")
    _callback: Callable[..., object]
    _args: Sequence[Any]
    _context: contextvars.Context
    _cancelled: bool

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
    ) -> None:
        # Not super().__init__: it asks the loop about debug mode and costs as much as the rest of a step.
        self._context = context
        self._callback = callback
        self._args = args
        self._loop = loop
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self.again = False
        """Whether this callback scheduled itself while it ran."""
        self.wakes_cancelled = False
        """Whether it runs because a future was cancelled."""

    def order(self) -> int:
        """Give the number of the task it wakes, or else of the future it tells about."""
        task = getattr(self._callback, "__self__", None)
        if isinstance(task, InnerTask):
            return task.number
        about = self._args[0] if self._args else None
        return about.number if isinstance(about, (InnerFuture, InnerTask)) else UNNUMBERED


class InnerTimer(asyncio.TimerHandle):
    """A callback at a time, in seconds of loop time; the backend keeps the time, durably."""

    _callback: Callable[..., object]
    _args: Sequence[Any]
    _context: contextvars.Context

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.deadline_ms = deadline_ms(when)
        self.handle: OperationHandle | None = None
        """The backend's handle, while the backend keeps this timer."""
        self.sleeper: InnerFuture[Any] | None = None
        """The future of the `asyncio.sleep` that this timer ends, if it ends one."""
        if callback is _ends_sleep and isinstance(args[0], InnerFuture):
            self.sleeper = args[0]
            self.sleeper.sleeps = True
        self.name = "timeout" if self.sleeper is None else SLEEP_NAME.get()
        """What the journal calls it."""

    def run_if_wanted(self) -> None:
        """Run the callback, unless it was cancelled after its time had come."""
        if not self._cancelled:
            self._callback(*self._args)


def deadline_ms(when: float) -> int:
    """Give the first millisecond at which a time in seconds has been reached.

    A sum of floating-point seconds misses the millisecond it means by some nanoseconds; that is no
    reason to wait one more.
    """
    if math.isnan(when):
        raise ValueError("a timer's time must not be NaN")
    exact_ms = when * 1000
    if exact_ms >= FOREVER_MS:
        return FOREVER_MS
    nearest_ms = round(exact_ms)
    return nearest_ms if abs(exact_ms - nearest_ms) < _FLOAT_ERROR_MS else math.ceil(exact_ms)
