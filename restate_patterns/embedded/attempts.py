"""The attempts that are made of invocations: how one begins, advances, waits in memory, and what follows its end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from typing_extensions import override

from restate_patterns.embedded.endings import Endings
from restate_patterns.embedded.idle import IdleInvocations
from restate_patterns.embedded.journal_cursor import JournalCursor
from restate_patterns.embedded.operations import JournalOperations, Parts
from restate_patterns.embedded.pauses import Pauses
from restate_patterns.embedded.records import CANCEL_ROW, START_ROW, Record, Row, Running, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.run_queue import RunQueue
from restate_patterns.embedded.wait_graph import Deadlock, WaitGraph
from restate_patterns.errors import DeadlockError, Failure
from restate_patterns.execution.failure_reports import FailureReports, following
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import (
    Attempt,
    AttemptEnd,
    Completion,
    Crashed,
    Deployment,
    Failed,
    Invocation,
    MustPause,
    OperationHandle,
    StepExhausted,
    Succeeded,
)
from restate_patterns.text.log_lines import logger_named
from restate_patterns.text.wording import sentence_of
from restate_patterns.values.failures import to_failure

_logger = logger_named("restate_patterns.embedded")
_RETRY: Final = RetryPolicy()


class RunningAttempt(Running):
    """An attempt, and where it is in the journal of its invocation."""

    __slots__ = ("_attempt", "_cursor", "_record")

    def __init__(self, record: Record, attempt: Attempt, cursor: JournalCursor) -> None:
        self._record = record
        self._attempt = attempt
        self._cursor = cursor

    @override
    def deliver(self, row: Row) -> AttemptEnd | None:
        cursor = self._cursor
        cursor.begin(row)
        end: AttemptEnd | None
        try:
            if row.handle == START_ROW:
                end = self._attempt.start()
            elif row.handle == CANCEL_ROW:
                end = self._attempt.deliver_cancel(row.time_ms)
            else:
                end = self._attempt.deliver(Completion(row.handle, row.time_ms, row.value, row.failure))
        except Exception as error:
            _logger.exception("the attempt of %s (%s) broke", self._record.target, self._record.id)
            end = Crashed(error)
        cut_short = end is not None and isinstance(end, Crashed | MustPause)
        mismatch = cursor.finish(cut_short=cut_short)
        return end if mismatch is None else MustPause(mismatch, mismatch=True)

    @override
    def awaited(self) -> Iterable[OperationHandle]:
        return self._attempt.awaited()

    @override
    def close(self) -> None:
        self._cursor.closed = True
        self._attempt.close()


class Attempts:
    """Makes attempts and lets them advance. Each method changes one batch.

    Args:
        deployment: The services.
        parts: What the operations of handlers act on.
        records: The invocations.
        queue: Those that are ready.
        idle: Those that wait in memory.
        wait_graph: Who waits for whom.
        pauses: How they come to rest.
        endings: How they end.
        reports: Who tells of failures that are tried again.
        inactivity_timeout_ms: How long an idle invocation stays in memory by default.
    """

    def __init__(
        self,
        deployment: Deployment,
        parts: Parts,
        records: RecordsTable,
        queue: RunQueue,
        idle: IdleInvocations,
        wait_graph: WaitGraph,
        pauses: Pauses,
        endings: Endings,
        reports: FailureReports,
        *,
        inactivity_timeout_ms: int,
    ) -> None:
        self._deployment = deployment
        self._parts = parts
        self._log = parts.log
        self._steps = parts.steps
        self._records = records
        self._queue = queue
        self._idle = idle
        self._wait_graph = wait_graph
        self._pauses = pauses
        self._endings = endings
        self._reports = reports
        self._inactivity_timeout_ms = inactivity_timeout_ms
        self._may_replay_after_steps = inactivity_timeout_ms == 0 or any(
            handler.options.inactivity_timeout == timedelta(0)
            for service in deployment.services.values()
            for handler in service.handlers.values()
        )

    def advance(self, record: Record) -> None:
        """Deliver all completions that are there, one at a time, each followed by a drain."""
        if record.idle_since_ms is not None:
            self._idle.remove(record)
        rows = record.rows
        if rows is None:
            rows = self._records.load_rows(record)
        if record.broken is not None:
            self._pauses.break_off(record, record.broken)
            return
        running = record.running
        if running is None:
            running = self._begin(record, rows)
            if running is None:
                return
        while record.delivered_count < len(rows):
            row = rows[record.delivered_count]
            record.delivered_count += 1
            end = running.deliver(row)
            if end is not None:
                self._ended(record, end)
                return
        if record.running is not None:
            self._go_idle(record)

    def _begin(self, record: Record, rows: list[Row]) -> Running | None:
        if record.info is None:
            self._pauses.pause(
                record,
                f"this app has no handler {record.service}/{record.handler}: add it again and resume, or kill",
            )
            return None
        parts = self._parts
        if not rows:
            parts.journals.begin(record)
        record.delivered_count = 0
        cursor = JournalCursor(record, parts.journals.note)
        invocation = Invocation(
            record.id,
            record.target,
            record.body,
            record.headers,
            parts.ids.random_seed(record.num, record.epoch),
            record.start_ms,
        )
        attempt = self._deployment.attempt(invocation, JournalOperations(parts, record, cursor))
        record.running = running = RunningAttempt(record, attempt, cursor)
        return running

    def _go_idle(self, record: Record) -> None:
        if self._steps.running(record.num):
            # What its steps come to will move it on, so it is not dead, and stays active: whoever starts this file
            # next has to bring its steps back. Out of memory it goes only where each wait counts.
            if self._may_replay_after_steps and self._timeout_ms(record) == 0:
                self._queue.drop(record)
            return
        deadlock = self._wait_graph.deadlock_of(record)
        if deadlock is not None:
            self._break_deadlock(record, deadlock)
            return
        self._idle.add(record, self._timeout_ms(record))

    def _timeout_ms(self, record: Record) -> int:
        timeout = None if record.info is None else record.info.options.inactivity_timeout
        if timeout is None:
            return self._inactivity_timeout_ms
        return round(timeout.total_seconds() * 1000)

    def suspend(self, record: Record) -> None:
        """Drop the attempt of an idle invocation; it is replayed when something it waits for is there."""
        waits = self._wait_graph.idle_waits_of(record)
        self._queue.drop(record)
        record.suspend(self._log.now_ms(), waits)
        self._log.append(record)

    def _break_deadlock(self, record: Record, deadlock: Deadlock) -> None:
        """Fail the newest wait of an invocation that has closed a cycle of waiting."""
        failure = to_failure(DeadlockError(cycle=deadlock.cycle))
        callee = self._records.living(record.calls[deadlock.handle])
        self._parts.journals.complete(record, deadlock.handle, None, failure)
        if (
            callee is not None
            and callee.status is Status.QUEUED
            and (callee.caller, callee.caller_handle) == (record.num, deadlock.handle)
        ):
            self._endings.remove(callee, failure)

    def _ended(self, record: Record, end: AttemptEnd) -> None:
        """Go on from how an attempt ended."""
        self._queue.drop(record)
        match end:
            case Succeeded(output):
                self._endings.complete(record, output, None)
            case Failed(failure, broken_off):
                if broken_off:
                    self._parts.cancels.abandon(record)
                self._endings.complete(record, None, failure)
            case Crashed(error):
                self._retry(record, error)
            case MustPause(error, mismatch):
                self._pause(record, sentence_of(error), mismatch=mismatch)

    def step_broken(self, record: Record, error: BaseException) -> None:
        """Pause an invocation whose step used up its tries."""
        if record.status is Status.COMPLETED:
            return
        sentence = sentence_of(error)
        if isinstance(error, StepExhausted):
            sentence = sentence.removeprefix(f"{type(error).__name__}: ")
        self._queue.drop(record)
        self._pause(record, sentence)

    def give_up(self, record: Record, error: Exception) -> None:
        """Pause an invocation that the engine itself failed on; the others go on."""
        try:
            self._queue.drop(record)
            if record.status is Status.ACTIVE:
                self._pauses.pause(record, f"the engine failed on it: {sentence_of(error)}")
        except Exception:
            _logger.exception("%s (%s) can't even be paused", record.target, record.id)

    def _pause(self, record: Record, reason: str, *, mismatch: bool = False) -> None:
        _logger.error("%s (%s) is paused: %s", record.target, record.id, reason)
        self._pauses.pause(record, reason, mismatch=mismatch)

    def _retry(self, record: Record, error: BaseException) -> None:
        rows = record.rows or ()
        if len(rows) > record.failed_at_index:
            record.failed_count = 0
        record.failed_at_index = len(rows)
        record.failed_count += 1
        record.failure = sentence_of(error)
        policy = (record.info.options.retry if record.info is not None else None) or _RETRY
        delay_ms = policy.delay_ms(record.failed_count, error)
        which = following("attempt", record.failed_count, delay_ms)
        self._reports.attempt_failed(record.target, record.id, error, which)
        if delay_ms is not None:
            self._pauses.back_off(record, delay_ms)
        elif policy.then == "fail":
            self._steps.drop(record.num)
            self._endings.complete(record, None, Failure(500, record.failure))
        else:
            count = record.failed_count
            _logger.error(
                "%s (%s) is paused after %d failed attempts: %s", record.target, record.id, count, record.failure
            )
            self._pauses.pause(record, record.failure)
