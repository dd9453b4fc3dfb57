"""The heart of the engine: which invocation advances next, and what a drain of it leads to.

Everything here is synchronous and runs on the loop. What it decides is put in the log's open batch;
nothing here waits for the disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta

from restate_patterns.clock import Clock
from restate_patterns.embedded.admission import Admission
from restate_patterns.embedded.batch import Batch
from restate_patterns.embedded.callers import Callers
from restate_patterns.embedded.control import Control
from restate_patterns.embedded.endings import Endings
from restate_patterns.embedded.idle import IdleInvocations
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.keys import KeyEntry, Keys
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.operations import JournalOperations
from restate_patterns.embedded.records import CANCEL_ROW, START_ROW, Record, Row, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.salvage import Salvage
from restate_patterns.embedded.steps import Steps
from restate_patterns.embedded.store import Store
from restate_patterns.embedded.timers import RETRY_TIMER, START_TIMER, Timers
from restate_patterns.embedded.wait_graph import Deadlock, WaitGraph
from restate_patterns.embedded.waits import Waits
from restate_patterns.errors import ContextError, DeadlockError, Failure
from restate_patterns.failures import to_failure
from restate_patterns.limits import ADVANCES_MAX
from restate_patterns.log_lines import logger_named
from restate_patterns.seam import (
    AttemptEnd,
    Completion,
    Crashed,
    Deployment,
    Handle,
    Invocation,
    Stuck,
)
from restate_patterns.wording import sentence_of

_logger = logger_named("restate_patterns.embedded")
# Looking a member up in its enumeration costs 60 ns, and the way of a step has several of them.
_ACTIVE = Status.ACTIVE
_COMPLETED = Status.COMPLETED


class Core:
    """Owns the parts of one running engine and advances invocations.

    Args:
        deployment: The services.
        store: The open store.
        clock: Where time comes from.
        epoch: The boot epoch: one more than at the last start of this file.
        secret: The file's secret for ids.
        next_num: The first free invocation number.
        inactivity_timeout_ms: How long an idle invocation stays in memory by default.
        fatal: Called when the file can't be written any more.
    """

    def __init__(
        self,
        deployment: Deployment,
        store: Store,
        clock: Clock,
        *,
        epoch: int,
        secret: bytes,
        next_num: int,
        inactivity_timeout_ms: int,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self.deployment = deployment
        self.store = store
        self.clock = clock
        self.epoch = epoch
        self.ids = Ids(secret)
        self.log = Log(store, clock, self._committed, self._about_to_advance, self._alone, fatal, self._salvaged)
        self.records = RecordsTable(store, self.log, self.ids, deployment)
        self.keys = Keys(store, self.log)
        self.timers = Timers(store, self.log, clock, self._timer_fired)
        self._clock_watch = clock.watch(self._clocks_moved)
        self.callers = Callers()
        self.endings = Endings(self)
        self.steps = Steps(store, self.log, clock, self.complete_operation, self.endings.step_broken)
        self.waits = Waits(self)
        self.wait_graph = WaitGraph(self)
        self.admission = Admission(self, next_num)
        self.control = Control(self)
        self.idle = IdleInvocations(clock, self.suspend)
        self.recovery: deque[int] = deque()
        self.stopped = False
        self._inactivity_timeout_ms = inactivity_timeout_ms
        self._may_replay_after_steps = inactivity_timeout_ms == 0 or any(
            handler.options.inactivity_timeout == timedelta(0)
            for service in deployment.services.values()
            for handler in service.handlers.values()
        )
        self.loop = asyncio.get_running_loop()
        self._ready: deque[Record] = deque()
        self._pump_scheduled = False

    def key_of(self, record: Record) -> KeyEntry:
        """Give the key entry of an invocation of an object or workflow."""
        if record.key is None:
            raise ContextError(f"{record.target} is a service handler: it has no key and no state")
        return self.keys.entry(record.service, record.key)

    def _committed(self, batch: Batch) -> None:
        self.records.release(batch, self.steps.running)

    def _salvaged(self, left: Salvage) -> None:
        """Bring memory to what could be written."""
        for service, key, name in left.lost_states:
            self.keys.take_back_state(service, key, name)
        for service, key, name in left.lost_promises:
            self.keys.take_back_promise(service, key, name)
        for num, reason in left.costs.items():
            record = self.records.get(num)
            if record is not None and (record.status is not _COMPLETED or num in left.unwritten):
                self.endings.break_off(record, reason)

    def _about_to_advance(self) -> bool:
        return self._pump_scheduled

    def _alone(self) -> bool:
        return self.records.count <= 1

    def note_row(self, record: Record, row: Row) -> None:
        """Note that the drain which begins may change a row's commands; no batch closes within a drain."""
        identity = (record.num, row.index)
        if identity not in self.log.open.new_rows:
            self.log.open.rows[identity] = row
            self.log.touch(record)

    def append_row(
        self, record: Record, handle: Handle, value: bytes | None = None, failure: Failure | None = None
    ) -> Row:
        """Append a completion to a journal."""
        rows = record.rows
        if rows is None:
            rows = self.records.load_rows(record)
        row = Row(len(rows), handle, self.log.now_ms(), value, failure)
        rows.append(row)
        self.log.open.new_rows[(record.num, row.index)] = row
        self.log.touch(record)
        return row

    def begin_journal(self, record: Record) -> None:
        """Append the start of the first attempt: what a journal begins with."""
        record.start_ms = self.append_row(record, START_ROW).time_ms
        self.log.append(record)

    def complete_operation(self, record: Record, handle: Handle, value: bytes | None, failure: Failure | None) -> None:
        """Append what an operation came to and let the invocation go on; a second answer is ignored."""
        if record.status is _COMPLETED:
            return
        if record.rows is None:
            self.records.load_rows(record)
        if handle in record.done or handle < record.first_handle:
            return
        record.done.add(handle)
        record.timers.discard(handle)
        self.append_row(record, handle, value, failure)
        if record.status in (_ACTIVE, Status.SUSPENDED):
            self.wake(record)

    def _clocks_moved(self) -> None:
        self.log.time.compare()
        self.timers.catch_up()

    def _timer_fired(self, num: int, handle: Handle, due_ms: int) -> None:
        record = self.records.living(num)
        if record is None:
            return
        if handle == START_TIMER:
            if record.status is Status.SCHEDULED:
                self.admission.enqueue(record)
        elif handle == RETRY_TIMER:
            if record.status is Status.BACKING_OFF:
                self.wake(record)
        else:
            self.complete_operation(record, handle, None, None)

    def wake(self, record: Record) -> None:
        """Let an invocation advance as soon as possible."""
        if record.status is not _ACTIVE:
            record.status = _ACTIVE
            record.retry_at_ms = None
            record.modified_ms = self.log.now_ms()
            self.log.append(record)
        if not record.in_ready_queue:
            if record.idle_since_ms is not None:
                self.idle.remove(record)
            record.in_ready_queue = True
            self._ready.append(record)
            if not self._pump_scheduled:
                self._schedule_pump()

    def break_off_unreadable(self) -> None:
        """Pause the invocations that wait for a timer which can't be read."""
        for num in self.timers.unreadable():
            record = self.records.living(num)
            if record is not None and record.status is not _COMPLETED:
                self.endings.break_off(record, "the stored time of one of its timers can't be read")

    def recover(self, nums: Sequence[int]) -> None:
        """Bring back invocations that were active when the last process ended, bit by bit."""
        self.recovery.extend(nums)
        self._schedule_pump()

    def _schedule_pump(self) -> None:
        if not self._pump_scheduled and not self.stopped:
            self._pump_scheduled = True
            self.loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        ready = self._ready
        try:
            for _ in range(ADVANCES_MAX):
                if self.stopped or not (ready or self.recovery):
                    return
                if not ready:
                    self._recover_next()
                    continue
                record = ready.popleft()
                record.in_ready_queue = False
                if record.status is _ACTIVE:
                    try:
                        self._advance(record)
                    except Exception as error:
                        _logger.exception("the engine failed on %s (%s)", record.target, record.id)
                        self._give_up(record, f"the engine failed on it: {sentence_of(error)}")
        finally:
            if self._ready or self.recovery:  # also when one broke: the others go on
                self._schedule_pump()

    def _give_up(self, record: Record, reason: str) -> None:
        """Pause an invocation that the engine itself failed on; the others go on."""
        try:
            self.drop_attempt(record)
            if record.status is _ACTIVE:
                self.endings.pause(record, reason)
        except Exception:
            _logger.exception("%s (%s) can't even be paused", record.target, record.id)

    def _recover_next(self) -> None:
        found = self.records.get(self.recovery.popleft())
        if found is not None and found.status is _ACTIVE and found.attempt is None:
            self.wake(found)

    def _advance(self, record: Record) -> None:
        """Deliver all completions that are there, one at a time, each followed by a drain."""
        if record.idle_since_ms is not None:
            self.idle.remove(record)
        rows = record.rows
        if rows is None:
            rows = self.records.load_rows(record)
        if record.broken is not None:
            self.endings.break_off(record, record.broken)
            return
        if record.attempt is None and not self._begin_attempt(record, rows):
            return
        attempt, operations = record.attempt, record.operations
        if attempt is None or operations is None:
            return
        while record.delivered_count < len(rows):
            row = rows[record.delivered_count]
            record.delivered_count += 1
            operations.begin(row)
            end: AttemptEnd | None
            try:
                if row.handle == START_ROW:
                    end = attempt.start()
                elif row.handle == CANCEL_ROW:
                    end = attempt.deliver_cancel(row.time_ms)
                else:
                    end = attempt.deliver(Completion(row.handle, row.time_ms, row.value, row.failure))
            except Exception as error:
                _logger.exception("the attempt of %s (%s) broke", record.target, record.id)
                end = Crashed(error)
            cut_short = end is not None and isinstance(end, Crashed | Stuck)
            mismatch = operations.finish(cut_short=cut_short)
            if mismatch is not None:
                end = Stuck(mismatch, mismatch=True)
            if end is not None:
                self.endings.attempt_ended(record, end)
                return
        self._go_idle(record)

    def _begin_attempt(self, record: Record, rows: list[Row]) -> bool:
        if record.info is None:
            self.endings.pause(
                record,
                f"this app has no handler {record.service}/{record.handler}: add it again and resume, or kill",
            )
            return False
        if not rows:
            self.begin_journal(record)
        record.delivered_count = 0
        record.operations = JournalOperations(self, record)
        invocation = Invocation(
            record.id,
            record.target,
            record.body,
            record.headers,
            self.ids.random_seed(record.num, record.epoch),
            record.start_ms,
        )
        record.attempt = self.deployment.attempt(invocation, record.operations)
        return True

    def drop_attempt(self, record: Record) -> None:
        """End an attempt without running any of its code."""
        if record.idle_since_ms is not None:
            self.idle.remove(record)
        attempt, operations = record.attempt, record.operations
        record.attempt = record.operations = None
        record.waits = None
        if operations is not None:
            operations.closed = True
        if attempt is not None:
            attempt.close()

    def _go_idle(self, record: Record) -> None:
        if record.attempt is None:
            return
        if self.steps.running(record.num):
            # What its steps come to will move it on, so it is not dead, and stays active: whoever starts this file
            # next has to bring its steps back. Out of memory it goes only where each wait counts.
            if self._may_replay_after_steps and self._timeout_ms(record) == 0:
                self.drop_attempt(record)
            return
        deadlock = self.wait_graph.deadlock_of(record)
        if deadlock is not None:
            self._break_deadlock(record, deadlock)
            return
        self.idle.add(record, self._timeout_ms(record))

    def _timeout_ms(self, record: Record) -> int:
        timeout = None if record.info is None else record.info.options.inactivity_timeout
        if timeout is None:
            return self._inactivity_timeout_ms
        return round(timeout.total_seconds() * 1000)

    def suspend(self, record: Record) -> None:
        """Drop the attempt of an idle invocation; it is replayed when something it waits for is there."""
        waits = self.wait_graph.idle_waits_of(record)
        self.drop_attempt(record)
        record.status = Status.SUSPENDED
        record.waits = waits
        record.modified_ms = self.log.now_ms()
        self.log.append(record)

    def _break_deadlock(self, record: Record, deadlock: Deadlock) -> None:
        """Fail the newest wait of an invocation that has closed a cycle of waiting."""
        failure = to_failure(DeadlockError(cycle=deadlock.cycle))
        callee = self.records.living(record.calls[deadlock.handle])
        self.complete_operation(record, deadlock.handle, None, failure)
        if (
            callee is not None
            and callee.status is Status.QUEUED
            and (callee.caller, callee.caller_handle) == (record.num, deadlock.handle)
        ):
            self.endings.remove(callee, failure)

    @property
    def quiet(self) -> bool:
        """Whether nothing is left to do until a timer or somebody outside brings something."""
        return not self.busy and not self.steps.working()

    @property
    def busy(self) -> bool:
        """Whether invocations are about to advance, or something is on its way to the disk."""
        return bool(
            self._ready or self._pump_scheduled or self.recovery or self.log.sequence > self.log.durable_sequence
        )

    def halt(self) -> None:
        """Advance nothing any more and drop all attempts, without recording anything."""
        self.stopped = True
        self._clock_watch.cancel()
        self.timers.stop()
        self.idle.stop()
        for record in self.records.in_memory():
            self.drop_attempt(record)
        self._ready.clear()
