"""How an invocation comes to rest before its end: for a while after a failed attempt, or until a person resumes it."""

from __future__ import annotations

from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.results import Results
from restate_patterns.embedded.run_queue import RunQueue
from restate_patterns.embedded.timers import RETRY_TIMER, Timers
from restate_patterns.engine.errors import InvocationPaused
from restate_patterns.errors import Failure
from restate_patterns.execution.timers import FOREVER_MS
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")


class Pauses:
    """Lets invocations rest. Each method changes one batch."""

    def __init__(self, log: Log, timers: Timers, queue: RunQueue, results: Results) -> None:
        self._log = log
        self._timers = timers
        self._queue = queue
        self._results = results

    def back_off(self, record: Record, delay_ms: int) -> None:
        """Make the next attempt after a delay."""
        now_ms = self._log.now_ms()
        retry_at_ms = min(now_ms + delay_ms, FOREVER_MS)
        record.back_off(now_ms, retry_at_ms)
        self._timers.add(record.num, RETRY_TIMER, retry_at_ms)
        self._log.append(record)

    def end_back_off(self, record: Record) -> None:
        """Let the time of the next attempt pass unused; does nothing when there is none."""
        if record.status is Status.BACKING_OFF:
            self._timers.drop(record.num, RETRY_TIMER)

    def pause(self, record: Record, reason: str, *, mismatch: bool = False) -> None:
        """Make no more attempts until a person resumes the invocation; who waits outside is told."""
        self.end_back_off(record)
        record.pause(self._log.now_ms(), reason, mismatch=mismatch)
        sequence = self._log.append(record)
        self._results.refuse(record, lambda: InvocationPaused(record.id, reason), sequence)

    def break_off(self, record: Record, reason: str) -> None:
        """Pause an invocation that can't go on from what is stored of it; one that has completed has failed."""
        _logger.error("%s (%s) can't go on: %s", record.target, record.id, reason)
        if record.status is Status.COMPLETED:
            record.output, record.output_failure = None, Failure(500, reason)
            self._log.append(record)
            return
        record.broken = reason
        self._queue.drop(record)
        self.pause(record, reason, mismatch=True)
