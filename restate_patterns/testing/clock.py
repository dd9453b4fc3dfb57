"""A clock that a test drives."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from typing_extensions import override

from restate_patterns.errors import UsageError
from restate_patterns.system.clock import Cancellable, Clock

START: Final = datetime(2030, 1, 1, tzinfo=UTC)
"""Where the clock of a test stands first, unless the test says otherwise."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def unix_ms(start: datetime) -> int:
    """Return where a clock starts, in Unix milliseconds.

    Raises:
        UsageError: It has no zone, or is before 1970.
    """
    if start.utcoffset() is None:
        raise UsageError(
            f"start={start!r} has no time zone, so it is no point in time; write `datetime(..., tzinfo=UTC)`, or "
            'another zone: `tzinfo=ZoneInfo("Europe/Berlin")`'
        )
    if start < _EPOCH:
        raise UsageError(f"start={start!r} is before 1970, where durable time begins; take a later one")
    return (start - _EPOCH) // timedelta(milliseconds=1)


class _Alarm(Cancellable):
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    @override
    def cancel(self) -> None:
        self.callback = None


class VirtualClock(Clock):
    """Stands still until it is told to go on; what is due then happens in order.

    Args:
        start_ms: Unix milliseconds at which it stands; default `START`.
    """

    def __init__(self, start_ms: int | None = None) -> None:
        if start_ms is None:
            start_ms = unix_ms(START)
        self._now_ms: float = start_ms
        self._wall_ahead_ms = 0.0
        self._alarms: list[tuple[float, int, _Alarm]] = []
        self._watches: list[_Alarm] = []
        self._order = itertools.count()

    @override
    def wall_ms(self) -> int:
        return int(self._now_ms + self._wall_ahead_ms)

    @override
    def monotonic_ms(self) -> float:
        return self._now_ms

    @override
    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable:
        alarm = _Alarm(callback)
        heapq.heappush(self._alarms, (self._now_ms + max(0.0, delay_ms), next(self._order), alarm))
        return alarm

    @override
    async def sleep(self, delay_ms: float) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = self.call_later(delay_ms, lambda: _set(over))
        try:
            await over
        finally:
            alarm.cancel()

    @override
    def watch(self, moved: Callable[[], None]) -> Cancellable:
        watch = _Alarm(moved)
        self._watches = [*(each for each in self._watches if each.callback is not None), watch]
        return watch

    def set_wall(self, wall_ms: float) -> None:
        """Let the wall clock jump, forth (as after a machine's sleep) or back; monotonic time goes on as it was."""
        self._wall_ahead_ms = wall_ms - self._now_ms
        for watch in self._watches:
            if watch.callback is not None:
                watch.callback()

    def next_ms(self) -> float | None:
        """Return when something happens next, or None."""
        while self._alarms and self._alarms[0][2].callback is None:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def step_to(self, time_ms: float) -> bool:
        """Go on to the next alarm that is due by `time_ms` and fire it; False when there is none."""
        due_ms = self.next_ms()
        if due_ms is None or due_ms > time_ms:
            self._now_ms = max(self._now_ms, time_ms)
            return False
        _, _, alarm = heapq.heappop(self._alarms)
        self._now_ms = max(self._now_ms, due_ms)
        callback, alarm.callback = alarm.callback, None
        if callback is not None:
            callback()
        return True


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
