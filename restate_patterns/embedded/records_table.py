"""The invocations in memory, and how one is read back from the file."""

from __future__ import annotations

import json
from collections.abc import Callable

from restate_patterns.embedded.batch import Batch
from restate_patterns.embedded.codec import decode_commands, failure_from_text
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Command, CommandKind, Record, Row, Status
from restate_patterns.embedded.store import Store
from restate_patterns.seam import Deployment, Handle, Target

_COLUMNS = (
    "num, epoch, service, handler, key, body, headers, idempotency_key, caller, caller_handle, created_ms, status, "
    "modified_ms, start_ms, queue_sequence, first_handle, failed_count, failed_at_index, failure, mismatch, "
    "retry_at_ms, waits, attached, output, output_failure, completed_ms, expires_ms"
)
_CALLED = (CommandKind.CALL, CommandKind.ATTACH)


class RecordsTable:
    """Gives records by number; keeps in memory those that live or whose changes are not durable."""

    def __init__(self, store: Store, log: Log, ids: Ids, deployment: Deployment) -> None:
        self._store = store
        self._log = log
        self._ids = ids
        self._deployment = deployment
        self._records: dict[int, Record] = {}

    def add(self, record: Record) -> None:
        """Keep a record that was just made."""
        self._records[record.num] = record

    def forget(self, num: int) -> None:
        """Drop a record from memory."""
        self._records.pop(num, None)

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
                self._records[num] = record
        return record

    def living(self, num: int) -> Record | None:
        """Give a record that has not completed, kept in memory to be changed; a completed one only to look at."""
        found = self.peek(num)
        if found is None or found.status is Status.COMPLETED or num in self._records:
            return found
        self._records[num] = found
        self._log.touch(found)  # the commit that follows drops it from memory again if nothing changes
        return found

    def peek(self, num: int) -> Record | None:
        """Give a record to look at, without keeping it in memory."""
        found = self._records.get(num)
        if found is not None:
            return found
        if any(num in batch.removed for batch in self._log.pending()):
            return None
        rows = self._store.read(f"SELECT {_COLUMNS} FROM invocation WHERE num=?", (num,))
        return self.from_row(rows[0]) if rows else None

    def select(self, where: str, parameters: tuple[object, ...]) -> list[Record]:
        """Give the records that a condition chooses among those in the file, as memory has them."""
        rows = self._store.read(f"SELECT {_COLUMNS} FROM invocation WHERE {where}", parameters)
        return [self._records.get(row[0]) or self.from_row(row) for row in rows]

    def from_row(self, row: tuple[object, ...]) -> Record:
        """Make a record of a row of the file."""
        values = dict(zip(_COLUMNS.split(", "), row, strict=True))
        num, epoch = int(str(values["num"])), int(str(values["epoch"]))
        key = values["key"]
        target = Target(str(values["service"]), str(values["handler"]), None if key is None else str(key))
        body = values["body"]
        record = Record(
            num,
            epoch,
            self._ids.invocation(num, epoch),
            target,
            body if isinstance(body, bytes) else b"",
            json.loads(str(values["headers"])),
        )
        for name in (
            "idempotency_key", "caller", "caller_handle", "created_ms", "modified_ms", "start_ms", "queue_sequence",
            "first_handle", "failed_count", "failed_at_index", "failure", "retry_at_ms",
            "output", "completed_ms", "expires_ms",
        ):  # fmt: skip
            setattr(record, name, values[name])
        record.status = Status(int(str(values["status"])))
        record.mismatch = bool(values["mismatch"])
        record.attached = bool(values["attached"])
        waits, failure = values["waits"], values["output_failure"]
        record.waits = None if waits is None else tuple(json.loads(str(waits)))
        record.output_failure = failure_from_text(None if failure is None else str(failure))
        self.bind(record)
        return record

    def bind(self, record: Record) -> None:
        """Give a record the options of its handler; None when this app does not have it."""
        service = self._deployment.services.get(record.service)
        record.info = None if service is None else service.handlers.get(record.handler)

    def load_rows(self, record: Record) -> list[Row]:
        """Give the journal of a record, reading it when it is not in memory."""
        if record.rows is not None:
            return record.rows
        rows = [
            Row(
                index,
                handle,
                time_ms,
                value,
                failure_from_text(failure),
                None if commands is None else decode_commands(commands),
            )
            for index, handle, time_ms, value, failure, commands in self._store.read(
                "SELECT idx, handle, time_ms, value, failure, commands FROM journal WHERE invocation=? ORDER BY idx",
                (record.num,),
            )
        ]
        record.rows = rows
        record.done = {row.handle for row in rows if row.handle >= 0}
        record.timers = {
            handle
            for (handle,) in self._store.read(
                "SELECT handle FROM timer WHERE invocation=? AND handle >= 0", (record.num,)
            )
        }
        for handle, command in record.commands():
            note_call(record, handle, command)
        return rows

    def release(self, batch: Batch, pinned: Callable[[int], bool]) -> None:
        """Drop from memory what a batch made durable and nobody needs there."""
        for record in (*batch.records.values(), *batch.touched.values()):
            if (
                record.attempt is None
                and record.status is not Status.ACTIVE
                and record.last_sequence <= self._log.durable_sequence
                and not pinned(record.num)
            ):
                self._records.pop(record.num, None)


def note_call(record: Record, handle: Handle, command: Command) -> None:
    """Remember which invocation a call or attach waits for."""
    if command.kind in _CALLED and command.value is not None:
        record.calls[handle] = int(command.value)
