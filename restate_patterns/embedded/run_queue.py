"""Which invocation advances next: those that are ready, a bounded number of them in each turn of the loop.

How they come here and leave again:

- `wake` puts an invocation in the queue once, however much comes for it meanwhile: an answer of a step, a timer, a
  call's output, a cancel. What came is in its journal already; the queue knows only that something did.
- The pump takes from the front and lets each advance: it gets what is new in its journal, one row at a time, each
  followed by a drain of its handler's loop, until it is idle or has ended. What that leads to for others wakes them,
  behind all that wait already.
- After `ADVANCES_MAX` of them the pump gives the real loop a turn, so that sockets and disk are served under any load.
  A batch of the log is not closed while the pump has something to do (see `scheduled`): what one turn leads to
  becomes durable together, with one fsync.
- What was active when the last process died comes back last, one at a time and only while nothing is ready: a start
  on a million of them answers at once, and loads each of their journals when its turn comes.

An invocation whose advancing breaks costs itself alone: the next turn goes on with the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from restate_patterns.embedded.idle import IdleInvocations
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.limits import ADVANCES_MAX

# Looking a member up in its enumeration costs 60 ns, and the way of a step has several of them.
_ACTIVE = Status.ACTIVE


class RunQueue:
    """The invocations that are ready, in the order in which they became so.

    Args:
        log: Where changes go.
        records: Where those that come back are read.
        idle: Those that wait in memory.
        advance: Called with each invocation whose turn it is.
    """

    def __init__(
        self, log: Log, records: RecordsTable, idle: IdleInvocations, advance: Callable[[Record], None]
    ) -> None:
        self._log = log
        self._records = records
        self._idle = idle
        self._advance = advance
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Record] = deque()
        self._recovery: deque[int] = deque()
        self.scheduled = False
        """Whether invocations are about to advance."""
        self.stopped = False

    @property
    def busy(self) -> bool:
        """Whether anything is left to advance."""
        return bool(self._ready or self.scheduled or self._recovery)

    def wake(self, record: Record) -> None:
        """Let an invocation advance as soon as possible."""
        if record.status is not _ACTIVE:
            record.activate(self._log.now_ms())
            self._log.append(record)
        if not record.in_ready_queue:
            if record.idle_since_ms is not None:
                self._idle.remove(record)
            record.in_ready_queue = True
            self._ready.append(record)
            if not self.scheduled:
                self._schedule()

    def drop(self, record: Record) -> None:
        """End the attempt of an invocation, if one is being made, without running any of its code."""
        if record.idle_since_ms is not None:
            self._idle.remove(record)
        running, record.running = record.running, None
        record.waits = None
        if running is not None:
            running.close()

    def recover(self, nums: Sequence[int]) -> None:
        """Bring back invocations that were active when the last process ended, bit by bit."""
        self._recovery.extend(nums)
        self._schedule()

    def stop(self) -> None:
        """Advance nothing any more."""
        self.stopped = True
        self._ready.clear()

    def _schedule(self) -> None:
        if not self.scheduled and not self.stopped:
            self.scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self.scheduled = False
        ready = self._ready
        try:
            for _ in range(ADVANCES_MAX):
                if self.stopped or not (ready or self._recovery):
                    return
                if not ready:
                    self._recover_next()
                    continue
                record = ready.popleft()
                record.in_ready_queue = False
                if record.status is _ACTIVE:
                    self._advance(record)
        finally:
            if self._ready or self._recovery:  # also when one broke: the others go on
                self._schedule()

    def _recover_next(self) -> None:
        found = self._records.get(self._recovery.popleft())
        if found is not None and found.status is _ACTIVE and found.running is None:
            self.wake(found)
