"""The parts of one running engine, put together.

All of it is synchronous and runs on the loop: what it decides is put in the log's open batch, and nothing here waits
for the disk. Each part is given those that it takes; what calls back from below comes through here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from restate_patterns.embedded.admission import Admission
from restate_patterns.embedded.attempts import Attempts
from restate_patterns.embedded.batch import Batch, TimerMark
from restate_patterns.embedded.callers import Callers
from restate_patterns.embedded.cancels import Cancels
from restate_patterns.embedded.control import Control
from restate_patterns.embedded.endings import Endings
from restate_patterns.embedded.identities import Identities
from restate_patterns.embedded.idle import IdleInvocations
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.journals import Journals
from restate_patterns.embedded.keys import Keys
from restate_patterns.embedded.lines import Lines
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.operations import Parts
from restate_patterns.embedded.pauses import Pauses
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.results import Results
from restate_patterns.embedded.run_queue import RunQueue
from restate_patterns.embedded.salvage import Salvage
from restate_patterns.embedded.signals import Signals
from restate_patterns.embedded.steps import Steps
from restate_patterns.embedded.store import Store
from restate_patterns.embedded.timers import RETRY_TIMER, START_TIMER, Timers
from restate_patterns.embedded.wait_graph import WaitGraph
from restate_patterns.embedded.waiters import Waiters
from restate_patterns.execution.failure_reports import FailureReports
from restate_patterns.seam import Deployment, OperationHandle
from restate_patterns.system.clock import Clock
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")


class Core:
    """Owns the parts of one running engine.

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
        self.loop = asyncio.get_running_loop()
        self.store = store
        self.clock = clock
        self.ids = Ids(secret)
        self.log = log = Log(store, clock, self._committed, self._about_to_advance, self._alone, fatal, self._salvaged)
        self.records = records = RecordsTable(store, log, self.ids, deployment)
        self.keys = keys = Keys(store, log)
        self.timers = timers = Timers(store, log, clock, self._timer_fired)
        self._clock_watch = clock.watch(self._clocks_moved)
        self.idle = IdleInvocations(clock, self._suspend)
        self.queue = queue = RunQueue(log, records, self.idle, self._advance)
        self.journals = journals = Journals(log, records, queue)
        reports = FailureReports(clock)
        self.steps = steps = Steps(store, log, clock, reports, journals.complete, self._step_broken)
        self.identities = identities = Identities(store, log, records, self.ids)
        self.lines = lines = Lines(log, records, keys, queue)
        self.waiters = waiters = Waiters(store, log, records, keys, self.ids, journals, identities)
        self.signals = signals = Signals(store, log, records, journals)
        self.callers = Callers()
        self.results = results = Results(log, self.callers)
        self.pauses = pauses = Pauses(log, timers, queue, results)
        self.endings = endings = Endings(
            log, records, keys, timers, journals, identities, lines, waiters, pauses, results
        )
        self.cancels = cancels = Cancels(records, journals, queue, steps, pauses, endings)
        self.admission = admission = Admission(
            deployment.services, log, records, keys, timers, self.ids, journals, identities, lines, waiters,
            epoch=epoch, next_num=next_num,
        )  # fmt: skip
        self.control = Control(records, keys, timers, queue, journals, identities, lines, pauses, admission, cancels)
        parts = Parts(
            log, keys, timers, steps, self.ids, journals, identities, waiters, signals, admission, cancels, epoch
        )
        self.attempts = Attempts(
            deployment, parts, records, queue, self.idle, WaitGraph(records, keys, steps), pauses, endings, reports,
            inactivity_timeout_ms=inactivity_timeout_ms,
        )  # fmt: skip

    def _advance(self, record: Record) -> None:
        try:
            self.attempts.advance(record)
        except Exception as error:
            _logger.exception("the engine failed on %s (%s)", record.target, record.id)
            self.attempts.give_up(record, error)

    def _suspend(self, record: Record) -> None:
        self.attempts.suspend(record)

    def _step_broken(self, record: Record, error: BaseException) -> None:
        self.attempts.step_broken(record, error)

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
            if record is not None and (record.status is not Status.COMPLETED or num in left.unwritten):
                self.pauses.break_off(record, reason)

    def _about_to_advance(self) -> bool:
        return self.queue.scheduled

    def _alone(self) -> bool:
        return self.records.count <= 1

    def _clocks_moved(self) -> None:
        self.log.time.compare()
        self.timers.catch_up()

    def _timer_fired(self, num: int, handle: OperationHandle | TimerMark) -> None:
        record = self.records.living(num)
        if record is None:
            return
        if handle == START_TIMER:
            if record.status is Status.SCHEDULED:
                self.lines.enter(record)
        elif handle == RETRY_TIMER:
            if record.status is Status.BACKING_OFF:
                self.queue.wake(record)
        else:
            self.journals.complete(record, handle, None, None)

    def break_off_unreadable(self) -> None:
        """Pause the invocations that wait for a timer which can't be read."""
        for num in self.timers.unreadable():
            record = self.records.living(num)
            if record is not None and record.status is not Status.COMPLETED:
                self.pauses.break_off(record, "the stored time of one of its timers can't be read")

    @property
    def quiet(self) -> bool:
        """Whether nothing is left to do until a timer or somebody outside brings something."""
        return not self.busy and not self.steps.working()

    @property
    def busy(self) -> bool:
        """Whether invocations are about to advance, or something is on its way to the disk."""
        return self.queue.busy or self.log.sequence > self.log.durable_sequence

    def halt(self) -> None:
        """Advance nothing any more and drop all attempts, without recording anything."""
        self.queue.stop()
        self._clock_watch.cancel()
        self.timers.stop()
        self.idle.stop()
        for record in self.records.in_memory():
            self.queue.drop(record)
