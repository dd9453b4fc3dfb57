"""Invocations that wait in memory, and when they have waited there long enough."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from restate_patterns.embedded.records import Record
from restate_patterns.limits import IDLE_ATTEMPTS_MAX
from restate_patterns.system.clock import Cancellable, Clock


class IdleInvocations:
    """Suspends what has been idle for its timeout, and what has been idle longest when there is too much.

    Args:
        clock: Wakes us when the next one has been idle long enough.
        suspend: Takes an invocation out of memory.
    """

    def __init__(self, clock: Clock, suspend: Callable[[Record], None]) -> None:
        self._clock = clock
        self._suspend = suspend
        self._lines: dict[int, OrderedDict[int, Record]] = {}
        """By timeout; within one timeout, who has been idle longest comes first."""
        self._timeouts: dict[int, int] = {}
        self._alarm: Cancellable | None = None
        self._alarm_ms = 0.0

    def add(self, record: Record, timeout_ms: int) -> None:
        """Note that an invocation is idle from now on."""
        record.idle_since_ms = self._clock.monotonic_ms()
        self._lines.setdefault(timeout_ms, OrderedDict())[record.num] = record
        self._timeouts[record.num] = timeout_ms
        if timeout_ms == 0 or len(self._timeouts) > IDLE_ATTEMPTS_MAX:
            self._sweep()
        else:
            self._set_alarm(record.idle_since_ms + timeout_ms)

    def remove(self, record: Record) -> None:
        """Note that an invocation is not idle, or not in memory, any more; does nothing when it was not."""
        timeout_ms = self._timeouts.pop(record.num, None)
        if timeout_ms is not None:
            del self._lines[timeout_ms][record.num]
            record.idle_since_ms = None

    def stop(self) -> None:
        """Suspend nothing any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _set_alarm(self, time_ms: float) -> None:
        if self._alarm is not None:
            if self._alarm_ms <= time_ms:
                return
            self._alarm.cancel()
        self._alarm_ms = time_ms
        self._alarm = self._clock.call_later(max(0.0, time_ms - self._clock.monotonic_ms()), self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._sweep()

    def _sweep(self) -> None:
        now_ms = self._clock.monotonic_ms()
        next_ms = math.inf
        for timeout_ms, line in self._lines.items():
            while line:
                record = next(iter(line.values()))
                due_ms = (record.idle_since_ms or 0.0) + timeout_ms
                if due_ms > now_ms and len(self._timeouts) <= IDLE_ATTEMPTS_MAX:
                    next_ms = min(next_ms, due_ms)
                    break
                self.remove(record)
                self._suspend(record)
        if next_ms < math.inf:
            self._set_alarm(next_ms)
