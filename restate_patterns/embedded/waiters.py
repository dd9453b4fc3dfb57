"""Who waits for an invocation or a promise, and telling them when it is there."""

from __future__ import annotations

import json

from restate_patterns.embedded.identities import Identities
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.journals import Journals
from restate_patterns.embedded.keys import Keys, PromiseAnswer
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import CommandKind, Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.store import Store
from restate_patterns.engine.errors import MalformedId
from restate_patterns.errors import AlreadyCompleted, Failure, InvocationNotFound
from restate_patterns.limits import RETENTION_MS
from restate_patterns.seam import OperationHandle, ValueOrFailure
from restate_patterns.values.failures import to_failure


class Waiters:
    """Registers waits of handlers and completes them."""

    def __init__(
        self,
        store: Store,
        log: Log,
        records: RecordsTable,
        keys: Keys,
        ids: Ids,
        journals: Journals,
        identities: Identities,
    ) -> None:
        self._store = store
        self._log = log
        self._records = records
        self._keys = keys
        self._ids = ids
        self._journals = journals
        self._identities = identities

    def for_invocation(self, record: Record, handle: OperationHandle, num: int | None) -> None:
        """Complete `handle` with the output of invocation `num`, now or when it has one; 404 for None."""
        target = None if num is None else self._records.living(num)
        if target is None:
            self._journals.complete(record, handle, None, to_failure(InvocationNotFound()))
        elif target.status is Status.COMPLETED:
            self._journals.complete(record, handle, target.output, target.output_failure)
        else:
            target.attached = True
            self._log.append(target)
            self._add(f"i/{num}", record, handle)

    def for_promise(self, record: Record, handle: OperationHandle, name: str) -> None:
        """Complete `handle` with a promise of the record's workflow, now or when it is completed."""
        entry = self._keys.of(record)
        answer = entry.promises.get(name)
        if answer is not None:
            self._journals.complete(record, handle, answer.value, answer.failure)
        else:
            self._add(_promise_target(entry.service, entry.key, name), record, handle)

    def complete_promise(self, record: Record, name: str, result: ValueOrFailure) -> Failure | None:
        """Complete a promise and whoever waits for it; gives the failure when it was completed before."""
        entry = self._keys.of(record)
        if name in entry.promises:
            return to_failure(AlreadyCompleted())
        run = self._identities.run_of(entry.service, entry.key)
        expires_ms = None if run is not None else self._log.now_ms() + RETENTION_MS
        self._keys.set_promise(entry, name, PromiseAnswer(result.value, result.failure, expires_ms))
        self.tell(_promise_target(entry.service, entry.key, name), result.value, result.failure)
        return None

    def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> bool:
        """Complete the wait an awakeable id names; gives False when it names none."""
        try:
            identity = self._ids.read_awakeable(awakeable_id)
        except MalformedId:
            return False
        record = None if identity is None else self._records.living(identity.num)
        if identity is None or record is None:
            return False
        if record.status is Status.COMPLETED:
            return True
        self._records.load_rows(record)
        for handle, command in record.commands():
            if handle == identity.handle:
                if command.kind is not CommandKind.AWAKEABLE or command.value != awakeable_id.encode():
                    return False
                self._journals.complete(record, identity.handle, result.value, result.failure)
                return True
        return False

    def peek_output(self, num: int | None) -> tuple[bytes | None, Failure | None]:
        """Give the output of an invocation as it is now: nothing, a value or a failure."""
        record = None if num is None else self._records.peek(num)
        if record is None:
            return None, to_failure(InvocationNotFound())
        return record.output, record.output_failure

    def invocation_ended(self, record: Record) -> None:
        """Tell whoever waits for an invocation that just got its output."""
        if record.attached:
            self.tell(f"i/{record.num}", record.output, record.output_failure)

    def _add(self, target: str, record: Record, handle: OperationHandle) -> None:
        self._log.open.waiters[(target, record.num, handle)] = True
        self._log.touch(record)

    def tell(self, target: str, value: bytes | None, failure: Failure | None) -> None:
        """Complete every wait for a target and forget them."""
        stored = self._store.read(
            "SELECT invocation, handle FROM waiter WHERE target=? ORDER BY invocation, handle", (target,)
        )
        waiting = dict.fromkeys(stored, True)
        for (of, num, handle), waits in self._log.changes(lambda batch: batch.waiters):
            if of == target:
                waiting[(num, handle)] = waits
        for (num, handle), waits in waiting.items():
            self._log.open.waiters[(target, num, handle)] = False
            record = self._records.living(num) if waits else None
            if record is not None:
                self._journals.complete(record, handle, value, failure)
        self._log.append()


def _promise_target(service: str, key: str, name: str) -> str:
    return "p/" + json.dumps([service, key, name])
