"""The invocations in memory, and how one is read back from the file."""

from __future__ import annotations

from collections.abc import Callable

from restate_patterns.embedded.batch import Batch
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.readback import COLUMNS, record_of, rows_of
from restate_patterns.embedded.records import Record, Row, Status
from restate_patterns.embedded.store import Store
from restate_patterns.seam import Deployment
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")


class RecordsTable:
    """Gives records by number; keeps in memory those that live or whose changes are not durable."""

    def __init__(self, store: Store, log: Log, ids: Ids, deployment: Deployment) -> None:
        self._store = store
        self._log = log
        self._ids = ids
        self._services = deployment.services
        self._records: dict[int, Record] = {}
        self._told: set[int] = set()
        """Invocations that could not be read, of which people were told."""

    def create(self, record: Record) -> None:
        """Take a record that was just made."""
        self.bind(record)
        self._records[record.num] = record
        self._log.open.created.add(record.num)
        self._log.append(record)

    def remove(self, num: int) -> int:
        """Take an invocation out of memory and the file; gives the sequence number of that."""
        self._log.open.remove(num)
        self._records.pop(num, None)
        return self._log.append()

    @property
    def count(self) -> int:
        """How many records are in memory."""
        return len(self._records)

    def in_memory(self) -> list[Record]:
        """Give the records in memory."""
        return list(self._records.values())

    def get(self, num: int) -> Record | None:
        """Give a record and keep it in memory; None when there is no such invocation."""
        record = self._records.get(num)
        if record is None:
            record = self.peek(num)
            if record is not None:
                self._keep(record)
        return record

    def living(self, num: int) -> Record | None:
        """Give a record that has not completed, kept in memory to be changed; a completed one only to look at."""
        found = self.peek(num)
        if found is None or found.status is Status.COMPLETED or num in self._records:
            return found
        self._keep(found)
        self._log.touch(found)  # the commit that follows drops it from memory again if nothing changes
        return found

    def _keep(self, record: Record) -> None:
        self._records[record.num] = record
        if record.broken is not None and record.num not in self._told:
            self._told.add(record.num)
            _logger.error("%s (%s) is paused: %s", record.target, record.id, record.broken)
            self._log.append(record)

    def peek(self, num: int) -> Record | None:
        """Give a record to look at, without keeping it in memory."""
        found = self._records.get(num)
        if found is not None:
            return found
        if self._log.removed(num):
            return None
        rows = self._store.read(f"SELECT {COLUMNS} FROM invocation WHERE num=?", (num,))
        return self.from_row(rows[0]) if rows else None

    def select(self, where: str, parameters: tuple[object, ...]) -> list[Record]:
        """Give the records that a condition chooses among those in the file, as memory has them."""
        rows = self._store.read(f"SELECT {COLUMNS} FROM invocation WHERE {where}", parameters)
        return [self._records.get(row[0]) or self.from_row(row) for row in rows]

    def newest(self, limit: int) -> list[tuple[int, int]]:
        """Give the numbers and epochs of what was accepted last in the file, newest first."""
        rows = self._store.read("SELECT num, epoch FROM invocation ORDER BY num DESC LIMIT ?", (limit,))
        return [(num, epoch) for num, epoch in rows]

    def from_row(self, row: tuple[object, ...]) -> Record:
        """Make a record of a row of the file."""
        record = record_of(row, self._ids)
        self.bind(record)
        return record

    def bind(self, record: Record) -> None:
        """Give a record the options of its handler; None when this app does not have it."""
        service = self._services.get(record.service)
        record.info = None if service is None else service.handlers.get(record.handler)

    def load_rows(self, record: Record) -> list[Row]:
        """Give the journal of a record, reading it when it is not in memory."""
        if record.rows is not None:
            return record.rows
        rows, unreadable = rows_of(
            self._store.read(
                "SELECT idx, handle, time_ms, value, failure, commands FROM journal WHERE invocation=? ORDER BY idx",
                (record.num,),
            )
        )
        record.broken = record.broken or unreadable
        record.rows = rows
        record.done = {row.handle for row in rows if row.handle >= 0}
        record.timers = {
            handle
            for (handle,) in self._store.read(
                "SELECT handle FROM timer WHERE invocation=? AND handle >= 0", (record.num,)
            )
        }
        if record.broken is None:
            self._note_calls(record)
        return rows

    def _note_calls(self, record: Record) -> None:
        try:
            for handle, command in record.commands():
                record.note_call(handle, command)
        except ValueError as error:
            record.broken = f"its journal has a call whose invocation can't be read: {error}"

    def unreadable(self, num: int) -> str | None:
        """Give why the row of an invocation can't be read; its journal is another matter."""
        rows = self._store.read(f"SELECT {COLUMNS} FROM invocation WHERE num=?", (num,))
        return record_of(rows[0], self._ids).broken if rows else None

    def read_again(self, record: Record) -> Record:
        """Give a record that could not be read as the file has it now; what is not durable stays as it is."""
        if record.last_sequence > self._log.durable_sequence or record.running is not None:
            return record
        del self._records[record.num]
        found = self.get(record.num)
        if found is None:
            self._records[record.num] = record
            return record
        self.load_rows(found)
        return found

    def release(self, batch: Batch, pinned: Callable[[int], bool]) -> None:
        """Drop from memory what a batch made durable and nobody needs there."""
        for record in (*batch.records.values(), *batch.touched.values()):
            if (
                record.running is None
                and record.status is not Status.ACTIVE
                and record.last_sequence <= self._log.durable_sequence
                and not pinned(record.num)
            ):
                self._records.pop(record.num, None)
