"""How an invocation ends: its result, for its caller and whoever waits, and what it gives free."""

from __future__ import annotations

from restate_patterns.embedded.identities import Identities
from restate_patterns.embedded.journals import Journals
from restate_patterns.embedded.keys import Keys
from restate_patterns.embedded.lines import Lines
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.pauses import Pauses
from restate_patterns.embedded.records import SENT, Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.results import Results
from restate_patterns.embedded.timers import START_TIMER, Timers
from restate_patterns.embedded.waiters import Waiters
from restate_patterns.errors import Failure
from restate_patterns.execution.timers import FOREVER_MS
from restate_patterns.limits import RETENTION_MS


class Endings:
    """Completes invocations, or removes them before they begin. Each method changes one batch."""

    def __init__(
        self,
        log: Log,
        records: RecordsTable,
        keys: Keys,
        timers: Timers,
        journals: Journals,
        identities: Identities,
        lines: Lines,
        waiters: Waiters,
        pauses: Pauses,
        results: Results,
    ) -> None:
        self._log = log
        self._records = records
        self._keys = keys
        self._timers = timers
        self._journals = journals
        self._identities = identities
        self._lines = lines
        self._waiters = waiters
        self._pauses = pauses
        self._results = results

    def complete(self, record: Record, output: bytes | None, failure: Failure | None) -> None:
        """Give an invocation its result: for its caller, whoever waits, and the next in line for its key."""
        self._pauses.end_back_off(record)
        now_ms = self._log.now_ms()
        retention = None if record.info is None else record.info.options.retention
        retention_ms = RETENTION_MS if retention is None else round(retention.total_seconds() * 1000)
        record.complete(now_ms, output, failure, min(now_ms + retention_ms, FOREVER_MS))
        sequence = self._log.append(record)
        for handle in record.timers:
            self._timers.drop(record.num, handle)
        self._tell(record, output, failure)
        self._lines.leave(record)
        self._journals.forget_idle_beginning(record)
        record.rows = None
        self._results.answer(record, output, failure, sequence)

    def remove(self, record: Record, failure: Failure) -> None:
        """Take an invocation that has not started out of the world, and fail whoever waits for it."""
        if record.status is Status.SCHEDULED:
            self._timers.drop(record.num, START_TIMER)
        self._lines.leave(record)
        now_ms = self._log.now_ms()
        record.complete(now_ms, None, failure, None)
        sequence = self._records.remove(record.num)
        if self._identities.free(record) and record.idempotency_key is None:
            entry = self._keys.entry(record.service, record.key or "")
            self._keys.keep_promises(entry, now_ms + RETENTION_MS)
        self._tell(record, None, failure)
        self._results.answer(record, None, failure, sequence)

    def _tell(self, record: Record, output: bytes | None, failure: Failure | None) -> None:
        if record.caller is not None and record.caller_handle != SENT:
            caller = self._records.living(record.caller)
            if caller is not None:
                self._journals.complete(caller, record.caller_handle, output, failure)
        self._waiters.invocation_ended(record)
