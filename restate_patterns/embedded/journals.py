"""The journals of invocations: what is appended to them, and that it lets their invocation go on."""

from __future__ import annotations

from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import START_ROW, Record, Row, RowMark, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.run_queue import RunQueue
from restate_patterns.errors import Failure
from restate_patterns.seam import OperationHandle

# As in `run_queue`.
_ACTIVE = Status.ACTIVE
_COMPLETED = Status.COMPLETED


class Journals:
    """Appends to journals; all that is done here becomes durable with what led to it."""

    def __init__(self, log: Log, records: RecordsTable, queue: RunQueue) -> None:
        self._log = log
        self._records = records
        self._queue = queue

    def note(self, record: Record, row: Row) -> None:
        """Note that the drain which begins may change a row's commands; no batch closes within a drain."""
        if self._log.open.change_row(record.num, row):
            self._log.touch(record)

    def append(
        self,
        record: Record,
        handle: OperationHandle | RowMark,
        value: bytes | None = None,
        failure: Failure | None = None,
    ) -> Row:
        """Append a row to the journal of an invocation."""
        rows = record.rows
        if rows is None:
            rows = self._records.load_rows(record)
        row = Row(len(rows), handle, self._log.now_ms(), value, failure)
        rows.append(row)
        self._log.open.add_row(record.num, row)
        self._log.touch(record)
        return row

    def begin(self, record: Record) -> None:
        """Append the start of the first attempt: what a journal begins with."""
        record.start_ms = self.append(record, START_ROW).time_ms
        self._log.append(record)

    def complete(self, record: Record, handle: OperationHandle, value: bytes | None, failure: Failure | None) -> None:
        """Append what an operation came to and let the invocation go on; a second answer is ignored."""
        if record.status is _COMPLETED:
            return
        if record.rows is None:
            self._records.load_rows(record)
        if handle in record.done or handle < record.first_handle:
            return
        record.done.add(handle)
        record.timers.discard(handle)
        self.append(record, handle, value, failure)
        if record.status in (_ACTIVE, Status.SUSPENDED):
            self._queue.wake(record)

    def forget_idle_beginning(self, record: Record) -> None:
        """Write no journal of an invocation that came to be in this batch, did nothing but begin, and has ended."""
        if record.num in self._log.open.created and record.rows is not None and not any(record.commands()):
            self._log.open.new_rows.pop((record.num, 0), None)

    def clear(self, record: Record) -> None:
        """Forget the journal of an invocation, so that it begins anew; its handles are not given again."""
        rows = self._records.load_rows(record)
        self._log.open.clear_journal(record.num, rows)
        record.first_handle += sum(len(row.commands or ()) for row in rows)
        record.rows = []
        record.done, record.calls, record.timers = set(), {}, set()
