"""The signals of invocations: kept under their names, and handed to the handlers that ask for them."""

from __future__ import annotations

from typing import Any

from restate_patterns.embedded.codec import failure_from_text
from restate_patterns.embedded.journals import Journals
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import CommandKind, Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.store import Store
from restate_patterns.errors import UnreadableValue
from restate_patterns.seam import ValueOrFailure
from restate_patterns.text.wording import sentence_of


class Signals:
    """Answers signals. One that came stays with its invocation, also when that is restarted from its beginning."""

    def __init__(self, store: Store, log: Log, records: RecordsTable, journals: Journals) -> None:
        self._store = store
        self._log = log
        self._records = records
        self._journals = journals

    def answer(self, record: Record, name: str, result: ValueOrFailure) -> None:
        """Answer a signal; does nothing when it has its answer, or the invocation is over."""
        if record.status is Status.COMPLETED or self._kept(record.num, name):
            return
        self._log.open.signals[(record.num, name)] = result
        self._log.touch(record)
        self._records.load_rows(record)
        for handle, command in record.commands():
            if command.kind is CommandKind.SIGNAL and command.name == name:
                self._journals.complete(record, handle, result.value, result.failure)

    def answer_of(self, num: int, name: str, result: ValueOrFailure) -> None:
        """Answer a signal of an invocation that may be gone; for answers that come from handlers."""
        record = self._records.living(num)
        if record is not None:
            self.answer(record, name, result)

    def came(self, num: int, name: str) -> ValueOrFailure | None:
        """Give the answer of a signal that has come to an invocation; None while it has not.

        Raises:
            UnreadableValue: What is stored of it can't be read.
        """
        latest = self._log.latest(lambda batch: batch.signals, (num, name))
        if latest is not None:
            return latest[0]
        for value, failure in self._stored("CAST(value AS BLOB), failure", num, name):
            try:
                return ValueOrFailure(value, failure_from_text(failure))
            except Exception as error:
                raise UnreadableValue(f"the stored answer of the signal {name!r}", sentence_of(error)) from error
        return None

    def _kept(self, num: int, name: str) -> bool:
        latest = self._log.latest(lambda batch: batch.signals, (num, name))
        return latest is not None or bool(self._stored("1", num, name))

    def _stored(self, columns: str, num: int, name: str) -> list[tuple[Any, ...]]:
        return self._store.read(f"SELECT {columns} FROM signal WHERE invocation=? AND name=?", (num, name))
