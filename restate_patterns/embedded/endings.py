"""What follows when an attempt or an invocation ends: its result, a retry, a pause, the next in line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from restate_patterns.embedded.admission import SENT
from restate_patterns.embedded.keys import KeyEntry
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.timers import RETRY_TIMER, START_TIMER
from restate_patterns.engine_errors import EngineError, EngineStopped, InvocationPaused
from restate_patterns.engine_port import CompletedResult
from restate_patterns.errors import Failure
from restate_patterns.execution.timers import FOREVER_MS
from restate_patterns.limits import RETENTION_MS
from restate_patterns.log_lines import logger_named
from restate_patterns.options import RetryPolicy
from restate_patterns.seam import AttemptEnd, Crashed, Failed, StepExhausted, Stuck, Succeeded
from restate_patterns.wording import sentence_of

if TYPE_CHECKING:
    from restate_patterns.embedded.core import Core

_logger = logger_named("restate_patterns.embedded")
_RETRY = RetryPolicy()


class Endings:
    """Ends attempts and invocations. Each method changes one batch."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._outcomes: dict[int, list[asyncio.Future[CompletedResult]]] = {}

    def attempt_ended(self, record: Record, end: AttemptEnd) -> None:
        """Go on from how an attempt ended."""
        self._core.drop_attempt(record)
        match end:
            case Succeeded(output):
                self.complete(record, output, None)
            case Failed(failure, broken_off):
                if broken_off:
                    self._core.control.abandon(record)
                self.complete(record, None, failure)
            case Crashed(error):
                self._retry(record, error)
            case Stuck(error, mismatch):
                reason = sentence_of(error)
                _logger.error("%s (%s) is paused: %s", record.target, record.id, reason)
                self.pause(record, reason, mismatch=mismatch)

    def step_broken(self, record: Record, error: BaseException) -> None:
        """Pause an invocation whose step used up its tries."""
        if record.status is Status.COMPLETED:
            return
        sentence = sentence_of(error)
        if isinstance(error, StepExhausted):
            sentence = sentence.removeprefix(f"{type(error).__name__}: ")
        _logger.error("%s (%s) is paused: %s", record.target, record.id, sentence)
        self._core.drop_attempt(record)
        self.pause(record, sentence)

    def _retry(self, record: Record, error: BaseException) -> None:
        rows = record.rows or ()
        if len(rows) > record.failed_at_index:
            record.failed_count = 0
        record.failed_at_index = len(rows)
        record.failed_count += 1
        record.failure = sentence_of(error)
        policy = (record.info.options.retry if record.info is not None else None) or _RETRY
        delay_ms = policy.delay_ms(record.failed_count)
        if delay_ms is None:
            if policy.then == "fail":
                self._core.steps.drop(record.num)
                self.complete(record, None, Failure(500, record.failure))
            else:
                _logger.error(
                    "%s (%s) is paused after %d failed attempts: %s",
                    record.target,
                    record.id,
                    record.failed_count,
                    record.failure,
                )
                self.pause(record, record.failure)
            return
        _logger.warning(
            "%s (%s) failed, attempt %d, next in %d ms",
            record.target,
            record.id,
            record.failed_count,
            delay_ms,
            exc_info=error,
        )
        record.status = Status.BACKING_OFF
        record.retry_at_ms = record.modified_ms = self._core.log.now_ms()
        record.retry_at_ms = min(record.retry_at_ms + delay_ms, FOREVER_MS)
        self._core.timers.add(record.num, RETRY_TIMER, record.retry_at_ms)
        self._core.log.append(record)

    def pause(self, record: Record, reason: str, *, mismatch: bool = False) -> None:
        """Make no more attempts until a person resumes the invocation; who waits outside is told."""
        record.status = Status.PAUSED
        record.failure = reason
        record.mismatch = mismatch
        record.modified_ms = self._core.log.now_ms()
        sequence = self._core.log.append(record)
        waiting = self._outcomes.pop(record.num, None)
        if waiting is not None:
            self._core.log.when_durable(sequence, lambda: _refuse(waiting, lambda: InvocationPaused(record.id, reason)))

    def break_off(self, record: Record, reason: str) -> None:
        """Pause an invocation that can't go on from what is stored of it; one that has completed has failed."""
        _logger.error("%s (%s) can't go on: %s", record.target, record.id, reason)
        if record.status is Status.COMPLETED:
            record.output, record.output_failure = None, Failure(500, reason)
            self._core.log.append(record)
            return
        record.broken = reason
        self._core.drop_attempt(record)
        if record.status is Status.BACKING_OFF:
            self._core.timers.drop(record.num, RETRY_TIMER)
            record.retry_at_ms = None
        self.pause(record, reason, mismatch=True)

    def complete(self, record: Record, output: bytes | None, failure: Failure | None) -> None:
        """Give an invocation its result: for its caller, whoever waits, and the next in line for its key."""
        core = self._core
        backed_off = record.retry_at_ms is not None
        record.status = Status.COMPLETED
        record.output, record.output_failure = output, failure
        record.completed_ms = record.modified_ms = core.log.now_ms()
        retention = None if record.info is None else record.info.options.retention
        retention_ms = RETENTION_MS if retention is None else round(retention.total_seconds() * 1000)
        record.expires_ms = min(record.completed_ms + retention_ms, FOREVER_MS)
        record.retry_at_ms = None
        sequence = core.log.append(record)
        for handle in record.timers:
            core.timers.drop(record.num, handle)
        if backed_off:
            core.timers.drop(record.num, RETRY_TIMER)
        self._tell_caller(record, output, failure)
        core.waits.invocation_ended(record)
        self._release_key(record)
        if record.num in core.log.open.created and record.rows is not None and not any(record.commands()):
            core.log.open.new_rows.pop((record.num, 0), None)  # it began and ended in one batch, and did nothing
        record.rows = None
        waiting = self._outcomes.pop(record.num, None)
        if waiting is not None:
            result = CompletedResult(record.id, output, failure, None, record.target)
            core.log.when_durable(sequence, lambda: _answer(waiting, result))

    def remove(self, record: Record, failure: Failure) -> None:
        """Take an invocation that has not started out of the world, and fail whoever waits for it."""
        core = self._core
        batch = core.log.open
        record.output_failure = failure
        if record.status is Status.SCHEDULED:
            core.timers.drop(record.num, START_TIMER)
        self._release_key(record)
        record.status = Status.COMPLETED
        sequence = core.log.append()
        batch.removed.add(record.num)
        batch.records.pop(record.num, None)
        core.records.forget(record.num)
        if self.free_identity(record) and record.idempotency_key is None:
            core.admission.keep_promises(record.target, core.log.now_ms() + RETENTION_MS)
        self._tell_caller(record, None, failure)
        core.waits.invocation_ended(record)
        waiting = self._outcomes.pop(record.num, None)
        if waiting is not None:
            result = CompletedResult(record.id, None, failure, None, record.target)
            core.log.when_durable(sequence, lambda: _answer(waiting, result))

    def free_identity(self, record: Record) -> bool:
        """Free the idempotency key or workflow key that an invocation holds; tells whether it held one."""
        identity = (record.service, record.key or "", record.handler, record.idempotency_key or "")
        held = self._core.admission.idempotent(identity) == record.num
        if held:
            self._core.log.open.idempotency[identity] = None
            self._core.log.append()
        return held

    def _tell_caller(self, record: Record, output: bytes | None, failure: Failure | None) -> None:
        if record.caller is None or record.caller_handle == SENT:
            return
        caller = self._core.records.living(record.caller)
        if caller is not None:
            self._core.complete_operation(caller, record.caller_handle, output, failure)

    def _release_key(self, record: Record) -> None:
        if record.queue_sequence is None or record.key is None:
            return
        entry = self._core.keys.entry(record.service, record.key)
        if record.broken is not None and record.num not in entry.line:
            return  # whose it is can't be read
        held = entry.holder == record.num
        entry.line.remove(record.num)
        record.queue_sequence = None
        self._core.keys.touch(entry)
        if held:
            self.next_in_line(entry)

    def next_in_line(self, entry: KeyEntry) -> None:
        """Give a free key to who waits for a turn on it, and then to the next invocation."""
        while entry.turn_waiters:
            entry.turn_waiters.popleft()()
        if entry.holder is not None:
            following = self._core.records.get(entry.holder)
            if following is not None and following.status is Status.QUEUED:
                self._core.wake(following)

    async def outcome(self, record: Record) -> CompletedResult:
        """Wait for the result of a running invocation, until it is durable."""
        future: asyncio.Future[CompletedResult] = asyncio.get_running_loop().create_future()
        waiting = self._outcomes.get(record.num)
        if waiting is None:
            self._outcomes[record.num] = [future]
        else:
            waiting.append(future)
        callers = self._core.callers.open
        callers.add(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._forget_outcome(record.num, future)
            raise
        finally:
            callers.discard(future)

    def leave_callers(self) -> None:
        """Tell who waits for a result that none will come: nothing advances any more."""
        for waiting in self._outcomes.values():
            _refuse(waiting, EngineStopped)
        self._outcomes.clear()

    def _forget_outcome(self, num: int, future: asyncio.Future[CompletedResult]) -> None:
        waiting = self._outcomes.get(num)
        if waiting is not None and future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._outcomes[num]


def _answer(waiting: list[asyncio.Future[CompletedResult]], result: CompletedResult) -> None:
    for future in list(waiting):
        if not future.done():
            future.set_result(result)


def _refuse(waiting: Iterable[asyncio.Future[CompletedResult]], error: Callable[[], EngineError]) -> None:
    for future in list(waiting):
        if not future.done():
            future.set_exception(error())
