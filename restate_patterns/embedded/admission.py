"""How invocations come to be: from outside and from handlers, now, delayed, once per idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from restate_patterns.embedded.batch import IdempotencyId
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.timers import START_TIMER
from restate_patterns.engine_errors import MalformedId
from restate_patterns.errors import AlreadyInvoked, Failure, TerminalError
from restate_patterns.execution.timers import FOREVER_MS
from restate_patterns.failures import to_failure
from restate_patterns.seam import (
    RUN_HANDLER,
    Handle,
    HandlerKind,
    IdempotencyRef,
    InvocationRef,
    Request,
    Target,
    WorkflowRef,
)

if TYPE_CHECKING:
    from restate_patterns.embedded.core import Core

SENT: Handle = -1
"""The caller's handle of an invocation that was sent: nobody waits for its output."""


class TargetNotFoundError(TerminalError, code=404):
    """The app has no such service or handler."""


class Submitted(NamedTuple):
    """An invocation that a client asked for."""

    record: Record
    previously: bool
    """Whether it existed before."""
    due_ms: int | None = None
    """When it starts, where it was asked for with a delay."""


class Admission:
    """Makes invocations and finds the ones that exist."""

    def __init__(self, core: Core, next_num: int) -> None:
        self._core = core
        self._services = core.deployment.services
        self._next_num = next_num

    def call_from(self, caller: Record, handle: Handle, request: Request) -> int | None:
        """Make or join the invocation a handler calls; gives its number, or None when the call failed."""
        refusal = self.refusal(request.target)
        if refusal is not None:
            self._core.complete_operation(caller, handle, None, to_failure(refusal))
            return None
        identity = self._identity(request)
        num = None if identity is None else self.idempotent(identity)
        if num is None:
            return self.create(request, identity, caller=caller.num, caller_handle=handle).num
        if request.idempotency_key is None:
            self._core.complete_operation(caller, handle, None, to_failure(AlreadyInvoked()))
            return None
        self._core.waits.for_invocation(caller, handle, num)
        return num

    def send_from(self, caller: Record, request: Request, due_ms: int | None) -> tuple[bytes | None, Failure | None]:
        """Make or find the invocation a handler sends; gives its id, or the failure."""
        refusal = self.refusal(request.target)
        if refusal is not None:
            return None, to_failure(refusal)
        identity = self._identity(request)
        num = None if identity is None else self.idempotent(identity)
        found = None if num is None else self._core.records.peek(num)
        record = found or self.create(request, identity, caller=caller.num, caller_handle=SENT, due_ms=due_ms)
        return record.id.encode(), None

    def refusal(self, target: Target) -> TargetNotFoundError | None:
        """Give the error for a target that this app does not have."""
        service = self._services.get(target.service)
        if service is None:
            return TargetNotFoundError(message=f"service '{target.service}' not found, make sure to add it to the App")
        if target.handler not in service.handlers:
            return TargetNotFoundError(
                message=f"the service '{target.service}' exists, but the handler '{target.handler}' was not found"
            )
        return None

    def _identity(self, request: Request) -> IdempotencyId | None:
        target = request.target
        kind = self._services[target.service].handlers[target.handler].kind
        if kind is HandlerKind.WORKFLOW:
            return (target.service, target.key or "", target.handler, "")
        if request.idempotency_key:
            return (target.service, target.key or "", target.handler, request.idempotency_key)
        return None

    def submit(self, request: Request, delay_ms: int | None) -> Submitted:
        """Make or find the invocation that a client asks for."""
        identity = self._identity(request)
        num = None if identity is None else self.idempotent(identity)
        found = None if num is None else self._core.records.peek(num)
        if found is not None:
            return Submitted(found, previously=True)
        due_ms = min(self._core.log.now_ms() + delay_ms, FOREVER_MS) if delay_ms else None
        return Submitted(self.create(request, identity, due_ms=due_ms), previously=False, due_ms=due_ms)

    def create(
        self,
        request: Request,
        identity: IdempotencyId | None,
        *,
        caller: int | None = None,
        caller_handle: Handle = SENT,
        due_ms: int | None = None,
    ) -> Record:
        """Make an invocation; it is ready, in its key's line, or scheduled.

        Also where it is due already a timer starts it: so it overtakes nothing that is due before it.
        """
        core = self._core
        num = self._next_num
        self._next_num += 1
        invocation_id = core.ids.invocation(num, core.epoch)
        record = Record(num, core.epoch, invocation_id, request.target, request.body, request.headers)
        record.caller = caller
        record.caller_handle = caller_handle
        record.created_ms = record.modified_ms = core.log.now_ms()
        record.rows = []
        core.records.bind(record)
        core.records.add(record)
        core.log.open.created.add(num)
        core.log.append(record)
        if identity is not None:
            record.idempotency_key = identity[3] or None
            core.log.open.idempotency[identity] = num
            if identity[3] == "":
                self.keep_promises(request.target, None)
        if due_ms is not None:
            record.status = Status.SCHEDULED
            core.timers.add(num, START_TIMER, min(due_ms, FOREVER_MS))
        else:
            self.enqueue(record)
        return record

    def keep_promises(self, target: Target, expires_ms: int | None) -> None:
        """Let promises that were completed before the run keep as long as the workflow (None), or until a time."""
        entry = self._core.keys.entry(target.service, target.key or "")
        for name, answer in list(entry.promises.items()):
            self._core.keys.set_promise(entry, name, answer._replace(expires_ms=expires_ms))

    def enqueue(self, record: Record) -> None:
        """Put an invocation in its key's line, or let it start when it needs none."""
        core = self._core
        if record.info is None or record.info.kind is not HandlerKind.EXCLUSIVE or record.key is None:
            core.wake(record)
            return
        entry = core.keys.entry(record.service, record.key)
        record.queue_sequence = core.log.append(record)
        entry.line.append(record.num)
        core.keys.touch(entry)
        if entry.holder == record.num:
            core.wake(record)
        else:
            record.status = Status.QUEUED

    def idempotent(self, identity: IdempotencyId) -> int | None:
        """Give the invocation that holds an idempotency or workflow key; memory before the file."""
        for batch in reversed(list(self._core.log.pending())):
            if identity in batch.idempotency:
                return batch.idempotency[identity]
        rows = self._core.store.read(
            "SELECT invocation FROM idempotency WHERE service=? AND key=? AND handler=? AND idempotency_key=?",
            identity,
        )
        return int(rows[0][0]) if rows else None

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
                return self.idempotent((service, key, RUN_HANDLER, ""))
            case IdempotencyRef(target, idempotency_key):
                return self.idempotent((target.service, target.key or "", target.handler, idempotency_key))
            case _:
                identity = self._core.ids.read_invocation(ref)
        if identity is None:
            return None
        record = self._core.records.peek(identity.num)
        return identity.num if record is not None and record.epoch == identity.epoch else None
