"""Which invocation a reference names: by its id, by an idempotency key, as the run of a workflow."""

from __future__ import annotations

from restate_patterns.embedded.batch import IdempotencyId
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Record
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.store import Store
from restate_patterns.engine.errors import MalformedId
from restate_patterns.seam import RUN_HANDLER, IdempotencyRef, InvocationRef, WorkflowRef


class Identities:
    """The table of idempotency keys and workflow runs, and the ids of invocations."""

    def __init__(self, store: Store, log: Log, records: RecordsTable, ids: Ids) -> None:
        self._store = store
        self._log = log
        self._records = records
        self._ids = ids

    def holder(self, identity: IdempotencyId) -> int | None:
        """Give the invocation that holds an idempotency or workflow key."""
        latest = self._log.latest(lambda batch: batch.idempotency, identity)
        if latest is not None:
            return latest[0]
        rows = self._store.read(
            "SELECT invocation FROM idempotency WHERE service=? AND key=? AND handler=? AND idempotency_key=?",
            identity,
        )
        return int(rows[0][0]) if rows else None

    def run_of(self, service: str, key: str) -> int | None:
        """Give the run of a workflow key."""
        return self.holder((service, key, RUN_HANDLER, ""))

    def hold(self, record: Record, identity: IdempotencyId) -> None:
        """Let a new invocation hold an idempotency or workflow key."""
        record.idempotency_key = identity[3] or None
        self._log.open.idempotency[identity] = record.num
        self._log.append()

    def free(self, record: Record) -> bool:
        """Free the idempotency key or workflow key that an invocation holds; tells whether it held one."""
        identity = (record.service, record.key or "", record.handler, record.idempotency_key or "")
        held = self.holder(identity) == record.num
        if held:
            self._log.open.idempotency[identity] = None
            self._log.append()
        return held

    def find(self, ref: InvocationRef) -> int | None:
        """Give the number of the invocation a reference names, or None; a malformed id names none."""
        try:
            return self.find_strictly(ref)
        except MalformedId:
            return None

    def find_strictly(self, ref: InvocationRef) -> int | None:
        """Give the number of the invocation a reference names, or None.

        Raises:
            MalformedId: The id is no invocation id.
        """
        match ref:
            case WorkflowRef(service, key):
                return self.run_of(service, key)
            case IdempotencyRef(target, idempotency_key):
                return self.holder((target.service, target.key or "", target.handler, idempotency_key))
            case _:
                identity = self._ids.read_invocation(ref)
        if identity is None:
            return None
        record = self._records.peek(identity.num)
        return identity.num if record is not None and record.epoch == identity.epoch else None
