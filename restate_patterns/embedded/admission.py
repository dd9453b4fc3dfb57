"""How invocations come to be: from outside and from handlers, now, delayed, once per idempotency key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from restate_patterns.embedded.batch import IdempotencyId
from restate_patterns.embedded.identities import Identities
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.journals import Journals
from restate_patterns.embedded.keys import Keys
from restate_patterns.embedded.lines import Lines
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import SENT, CallerMark, Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.timers import START_TIMER, Timers
from restate_patterns.embedded.waiters import Waiters
from restate_patterns.errors import AlreadyInvoked, Failure, IdempotencyKeyReused, TerminalError
from restate_patterns.execution.timers import FOREVER_MS
from restate_patterns.seam import HandlerInfo, HandlerKind, OperationHandle, Request, ServiceInfo, Target
from restate_patterns.values.failures import to_failure
from restate_patterns.values.json_text import same_json
from restate_patterns.values.targets import fits, key_refusal


class Submitted(NamedTuple):
    """An invocation that a client asked for."""

    record: Record
    previously: bool
    """Whether it existed before."""
    due_ms: int | None = None
    """When it starts, where that is still to come."""


class Admission:
    """Makes invocations and finds the ones that exist."""

    def __init__(
        self,
        services: Mapping[str, ServiceInfo],
        log: Log,
        records: RecordsTable,
        keys: Keys,
        timers: Timers,
        ids: Ids,
        journals: Journals,
        identities: Identities,
        lines: Lines,
        waiters: Waiters,
        *,
        epoch: int,
        next_num: int,
    ) -> None:
        self._services = services
        self._log = log
        self._records = records
        self._keys = keys
        self._timers = timers
        self._ids = ids
        self._journals = journals
        self._identities = identities
        self._lines = lines
        self._waiters = waiters
        self._epoch = epoch
        self._next_num = next_num

    def call_from(self, caller: Record, handle: OperationHandle, request: Request) -> int | None:
        """Make or join the invocation a handler calls; gives its number, or None when the call failed."""
        refusal = self.refusal(request.target)
        if refusal is not None:
            self._journals.complete(caller, handle, None, to_failure(refusal))
            return None
        identity = self.identity_of(request)
        num = None if identity is None else self._identities.holder(identity)
        if num is not None and request.idempotency_key is None:
            self._journals.complete(caller, handle, None, to_failure(AlreadyInvoked()))
            return None
        error = None if identity is None else self._why_not(request, num)
        if error is not None:
            self._journals.complete(caller, handle, None, to_failure(error))
            return None
        if num is None:
            return self.create(request, identity, caller=caller.num, caller_handle=handle).num
        self._waiters.for_invocation(caller, handle, num)
        return num

    def send_from(self, caller: Record, request: Request, due_ms: int | None) -> tuple[bytes | None, Failure | None]:
        """Make or find the invocation a handler sends; gives its id, or the failure."""
        refusal = self.refusal(request.target)
        if refusal is not None:
            return None, to_failure(refusal)
        identity = self.identity_of(request)
        num = None if identity is None else self._identities.holder(identity)
        error = None if identity is None else self._why_not(request, num)
        if error is not None:
            return None, to_failure(error)
        found = None if num is None else self._records.peek(num)
        record = found or self.create(request, identity, caller=caller.num, caller_handle=SENT, due_ms=due_ms)
        return record.id.encode(), None

    def refusal(self, target: Target) -> TerminalError | None:
        """Give the error for a target that this app does not have, or whose key is missing or too many."""
        service = self._services.get(target.service)
        if service is None:
            return TerminalError(f"service '{target.service}' not found, make sure to add it to the App", code=404)
        if target.handler not in service.handlers:
            said = f"the service '{target.service}' exists, but the handler '{target.handler}' was not found"
            return TerminalError(said, code=404)
        return None if fits(service, target.key) else key_refusal(service, target.key)

    def identity_of(self, request: Request) -> IdempotencyId | None:
        """Give the idempotency or workflow key by which an invocation joins one that exists; None without."""
        target = request.target
        kind = self._services[target.service].handlers[target.handler].kind
        if kind is HandlerKind.WORKFLOW:
            return (target.service, target.key or "", target.handler, "")
        if request.idempotency_key:
            return (target.service, target.key or "", target.handler, request.idempotency_key)
        return None

    def _why_not(self, request: Request, num: int | None) -> TerminalError | None:
        """Give why a request with a key is refused: before it uses up its key, or joins what was not asked for.

        Args:
            request: The request.
            num: The invocation that has the key; None where none has.
        """
        target = request.target
        handler = self._services[target.service].handlers[target.handler]
        found = None if num is None else self._records.peek(num)
        if found is None:
            return handler.argument_error(request.body)
        return IdempotencyKeyReused() if _differs(found, request, handler) else None

    def submit(self, request: Request, delay_ms: int | None) -> Submitted:
        """Make or find the invocation that a client asks for.

        Raises:
            InvalidInput: Its argument is none of the handler, and would use up its key.
            IdempotencyKeyReused: The one it would find was asked for with another argument.
        """
        identity = self.identity_of(request)
        num = None if identity is None else self._identities.holder(identity)
        error = None if identity is None else self._why_not(request, num)
        if error is not None:
            raise error
        found = None if num is None else self._records.peek(num)
        if found is not None:
            waits = found.status is Status.SCHEDULED
            due_ms = self._timers.due_ms(found.num, START_TIMER) if waits else None
            return Submitted(found, previously=True, due_ms=due_ms)
        due_ms = min(self._log.now_ms() + delay_ms, FOREVER_MS) if delay_ms else None
        return Submitted(self.create(request, identity, due_ms=due_ms), previously=False, due_ms=due_ms)

    def create(
        self,
        request: Request,
        identity: IdempotencyId | None,
        *,
        caller: int | None = None,
        caller_handle: OperationHandle | CallerMark = SENT,
        due_ms: int | None = None,
    ) -> Record:
        """Make an invocation; it is ready, in its key's line, or scheduled.

        Also where it is due already a timer starts it: so it overtakes nothing that is due before it.
        """
        num = self._next_num
        self._next_num += 1
        invocation_id = self._ids.invocation(num, self._epoch)
        record = Record(num, self._epoch, invocation_id, request.target, request.body, request.headers)
        record.caller = caller
        record.caller_handle = caller_handle
        record.created_ms = record.modified_ms = self._log.now_ms()
        record.rows = []
        self._records.create(record)
        if identity is not None:
            self._identities.hold(record, identity)
            if identity[3] == "":
                self._keys.keep_promises(self._keys.entry(record.service, record.key or ""), None)
        if due_ms is not None:
            record.schedule()
            self._timers.add(num, START_TIMER, min(due_ms, FOREVER_MS))
        else:
            self._lines.enter(record)
        return record


def _differs(found: Record, request: Request, handler: HandlerInfo) -> bool:
    """Tell whether a request under an idempotency key is another one than the first. A workflow's run has none."""
    one, other = found.body, request.body
    if one == other or found.idempotency_key is None:
        return False
    if found.mismatch and not one:  # one that could not be written has lost its body
        return False
    return not (handler.input_content_type == "application/json" and same_json(one, other))
