"""Durable timers: in the file all of them, in memory the ones due soonest.

Memory holds every timer due before the horizon; the rest is read from the file when its time comes
near. Timers fire in the order (due, sequence).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final

from restate_patterns.embedded.batch import Due, TimerId, TimerMark
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.store import Store
from restate_patterns.limits import TIMERS_LOADED_MAX
from restate_patterns.seam import OperationHandle
from restate_patterns.system.clock import Cancellable, Clock
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")

START_TIMER: Final = TimerMark(-1)
"""The timer that starts a delayed invocation."""
RETRY_TIMER: Final = TimerMark(-2)
"""The timer that ends a back-off."""

_Entry = tuple[int, int, int, OperationHandle | TimerMark]


class Timers:
    """Starts, drops and fires timers.

    Args:
        store: Where those not in memory are read.
        log: Where changes go, and durable time comes from.
        clock: Wakes us when the next one is due.
        fire: Called with the invocation number and the handle of each timer that is over.
    """

    def __init__(
        self, store: Store, log: Log, clock: Clock, fire: Callable[[int, OperationHandle | TimerMark], None]
    ) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._fire = fire
        self._heap: list[_Entry] = []
        self._heap_max = 2 * TIMERS_LOADED_MAX
        self._live: dict[TimerId, int] = {}
        self._horizon_ms = -math.inf
        self._alarm: Cancellable | None = None
        self._alarm_ms = math.inf
        self._running = False

    def unreadable(self) -> list[int]:
        """Give the invocations that have a timer whose time is no number; those sort behind all that are."""
        rows = self._store.read("SELECT DISTINCT invocation FROM timer WHERE due_ms > 9223372036854775807")
        return [num for (num,) in rows]

    def start(self) -> None:
        """Fire what is overdue, in order, and keep firing."""
        self._running = True
        self._on_alarm()

    def stop(self) -> None:
        """Fire nothing any more."""
        self._running = False
        self._drop_alarm()

    def catch_up(self) -> None:
        """Fire what became due at once, when time has jumped."""
        self._drop_alarm()
        self._on_alarm()

    def _drop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def add(self, invocation: int, handle: OperationHandle | TimerMark, due_ms: int) -> None:
        """Start a timer, or move it."""
        sequence = self._log.append()
        self._log.open.timers[(invocation, handle)] = (due_ms, sequence)
        if due_ms < self._horizon_ms:
            self._keep((due_ms, sequence, invocation, handle))
            self._set_alarm()

    def drop(self, invocation: int, handle: OperationHandle | TimerMark) -> None:
        """Forget a timer; does nothing when there is none."""
        self._live.pop((invocation, handle), None)
        self._log.open.timers[(invocation, handle)] = None
        self._log.append()

    def due_ms(self, invocation: int, handle: OperationHandle | TimerMark) -> int | None:
        """Give when a timer is due (Unix ms); None when there is none."""
        latest = self._log.latest(lambda batch: batch.timers, (invocation, handle))
        if latest is not None:
            return None if latest[0] is None else latest[0][0]
        rows = self._store.read("SELECT due_ms FROM timer WHERE invocation=? AND handle=?", (invocation, handle))
        return rows[0][0] if rows else None

    def _keep(self, entry: _Entry) -> None:
        _, sequence, invocation, handle = entry
        self._live[(invocation, handle)] = sequence
        heapq.heappush(self._heap, entry)
        if len(self._heap) > self._heap_max:
            self._shrink()

    def _shrink(self) -> None:
        """Keep the timers due soonest, with all that are due with the last of them; leave the rest to the file."""
        kept = sorted(entry for entry in self._heap if self._live.get(entry[2:]) == entry[1])
        if len(kept) > TIMERS_LOADED_MAX:
            horizon_ms = kept[TIMERS_LOADED_MAX - 1][0] + 1
            if kept[-1][0] >= horizon_ms:
                self._horizon_ms = horizon_ms
                kept = [entry for entry in kept if entry[0] < horizon_ms]
        self._heap = kept
        self._heap_max = 2 * max(len(kept), TIMERS_LOADED_MAX)
        self._live = {entry[2:]: entry[1] for entry in kept}

    def _load(self) -> None:
        """Read the next timers from the file and what is not yet in it, and move the horizon."""
        rows = self._store.read(
            "SELECT due_ms, CAST(sequence AS INTEGER), invocation, handle FROM timer "
            "WHERE due_ms BETWEEN ? AND 9223372036854775807 ORDER BY due_ms, sequence LIMIT ?",
            (max(self._horizon_ms, 0), TIMERS_LOADED_MAX),
        )
        found: dict[TimerId, Due] = {(row[2], row[3]): (row[0], row[1]) for row in rows}
        if len(rows) == TIMERS_LOADED_MAX and rows[-1][0] == rows[0][0]:
            same = self._store.read(
                "SELECT due_ms, CAST(sequence AS INTEGER), invocation, handle FROM timer WHERE due_ms = ?",
                (rows[0][0],),
            )
            found.update({(row[2], row[3]): (row[0], row[1]) for row in same})
            horizon_ms: float = rows[0][0] + 1
        else:
            horizon_ms = rows[-1][0] if len(rows) == TIMERS_LOADED_MAX else math.inf
        for identity, timer in self._log.changes(lambda batch: batch.timers):
            if timer is None:
                found.pop(identity, None)
            else:
                found[identity] = timer
        old_horizon_ms, self._horizon_ms = self._horizon_ms, horizon_ms
        for (invocation, handle), (due_ms, sequence) in found.items():
            if old_horizon_ms <= due_ms < self._horizon_ms:
                self._keep((due_ms, sequence, invocation, handle))

    def _on_alarm(self) -> None:
        self._alarm, self._alarm_ms = None, math.inf
        if not self._running:
            return
        while True:
            now_ms = self._log.now_ms()
            while self._heap and self._heap[0][0] <= now_ms:
                _, sequence, invocation, handle = heapq.heappop(self._heap)
                if self._live.get((invocation, handle)) == sequence:
                    self.drop(invocation, handle)
                    self._fire_one(invocation, handle)
            if self._heap or self._horizon_ms == math.inf:
                break
            self._load()
        self._set_alarm()

    def _fire_one(self, invocation: int, handle: OperationHandle | TimerMark) -> None:
        try:
            self._fire(invocation, handle)
        except Exception:
            _logger.exception("a timer of invocation number %d broke; the others go on", invocation)

    def _set_alarm(self) -> None:
        if not self._running:
            return
        due_ms = min(self._heap[0][0] if self._heap else math.inf, self._horizon_ms)
        if due_ms >= self._alarm_ms or due_ms == math.inf:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_ms = due_ms
        self._alarm = self._clock.call_later(max(0.0, due_ms - self._log.now_ms()), self._on_alarm)
