"""What each operation of a handler does, the first time; on replay the journal answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from restate_patterns.embedded.admission import Admission
from restate_patterns.embedded.cancels import Cancels
from restate_patterns.embedded.identities import Identities
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.journal_cursor import JournalCursor
from restate_patterns.embedded.journals import Journals
from restate_patterns.embedded.keys import Keys, PromiseAnswer
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import CommandKind, Record
from restate_patterns.embedded.signals import Signals
from restate_patterns.embedded.steps import Steps
from restate_patterns.embedded.timers import Timers
from restate_patterns.embedded.waiters import Waiters
from restate_patterns.errors import UnreadableValue
from restate_patterns.seam import (
    IdempotencyRef,
    InvocationRef,
    Issued,
    OperationHandle,
    Operations,
    Ready,
    Request,
    StepAction,
    ValueOrFailure,
    WorkflowRef,
)
from restate_patterns.values.fingerprints import in_key_order, wire_fingerprint

_NO_FINGERPRINT = b""


def result_fingerprint(result: ValueOrFailure) -> bytes:
    """Give what tells whether a promise, awakeable or signal is answered with the same on a replay."""
    value = None if result.value is None else bytes(in_key_order(result.value))
    return wire_fingerprint(f"StepResult(value={value!r}, failure={result.failure!r})".encode())  # as files have it


def _ref_name(ref: InvocationRef) -> str:
    match ref:
        case IdempotencyRef(target, idempotency_key):
            return f"{target}/{idempotency_key}"
        case WorkflowRef(service, key):
            return f"{service}/{key}"
        case _:
            return ref


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the engine that the operations of handlers act on."""

    log: Log
    keys: Keys
    timers: Timers
    steps: Steps
    ids: Ids
    journals: Journals
    identities: Identities
    waiters: Waiters
    signals: Signals
    admission: Admission
    cancels: Cancels
    epoch: int


class JournalOperations(Operations):
    """The operations of one attempt of one invocation: each is matched against the journal, or done and kept.

    Args:
        parts: What they act on.
        record: The invocation.
        cursor: Where the attempt is in its journal.
    """

    __slots__ = ("_cursor", "_parts", "_record")

    def __init__(self, parts: Parts, record: Record, cursor: JournalCursor) -> None:
        self._parts = parts
        self._record = record
        self._cursor = cursor

    @property
    @override
    def replaying(self) -> bool:
        return self._cursor.replaying

    @property
    @override
    def at_journal_end(self) -> bool:
        return self._cursor.at_end

    @override
    def cancel_ahead(self) -> bool:
        return self._cursor.cancel_ahead()

    @override
    def call(self, request: Request, *, shielded: bool) -> OperationHandle:
        name = str(request.target)
        fingerprint = wire_fingerprint(request.body, (request.idempotency_key or "").encode())
        if self._cursor.match(CommandKind.CALL, name, fingerprint) is None:
            handle = self._cursor.handle
            num = self._parts.admission.call_from(self._record, handle, request)
            self._cursor.keep(CommandKind.CALL, name, fingerprint, None if num is None else b"%d" % num)
        return self._cursor.handle

    @override
    def send(self, request: Request, delay_ms: int, due_ms: int | None) -> Issued:
        name = str(request.target)
        fingerprint = wire_fingerprint(request.body, (request.idempotency_key or "").encode())
        replayed = self._cursor.match(CommandKind.SEND, name, fingerprint)
        if replayed is not None:
            return Ready(replayed.value, replayed.failure)
        if due_ms is None and delay_ms:
            due_ms = self._parts.log.now_ms() + delay_ms
        value, failure = self._parts.admission.send_from(self._record, request, due_ms)
        self._cursor.keep(CommandKind.SEND, name, fingerprint, value, failure)
        return Ready(value, failure)

    @override
    def run(self, name: str, fingerprint: bytes, action: StepAction) -> OperationHandle:
        replayed = self._cursor.match(CommandKind.RUN, name, fingerprint) is not None
        handle = self._cursor.handle
        if not replayed:
            self._cursor.keep(CommandKind.RUN, name, fingerprint)
        if handle not in self._record.done:
            self._parts.steps.ensure(self._record, handle, name, action, replayed=replayed)
        return handle

    @override
    def stop_step(self, handle: OperationHandle) -> None:
        if handle not in self._record.done:
            self._parts.steps.stop(self._record.num, handle)

    @override
    def cancel_call(self, handle: OperationHandle) -> None:
        if self._cursor.recording:
            self._cancel_callee(handle)

    @override
    def stop_call(self, handle: OperationHandle) -> None:
        name = f"of {handle}"
        if self._cursor.match(CommandKind.STOP_CALL, name, _NO_FINGERPRINT) is None:
            self._cursor.keep(CommandKind.STOP_CALL, name, _NO_FINGERPRINT)
            self._cancel_callee(handle)

    def _cancel_callee(self, handle: OperationHandle) -> None:
        callee = self._record.calls.get(handle)
        if callee is not None and handle not in self._record.done:
            self._parts.cancels.cancel_callee(callee, self._record, handle)

    @override
    def now_ms(self) -> int:
        raise AssertionError("every completion of this engine carries its time")

    @override
    def sleep(self, deadline_ms: int, delay_ms: int, name: str) -> OperationHandle:
        if self._cursor.match(CommandKind.SLEEP, name, _NO_FINGERPRINT) is None:
            handle = self._cursor.keep(CommandKind.SLEEP, name, _NO_FINGERPRINT, b"%d" % deadline_ms)
            if deadline_ms <= self._parts.log.now_ms():
                self._parts.journals.complete(self._record, handle, None, None)
            else:
                self._record.timers.add(handle)
                self._parts.timers.add(self._record.num, handle, deadline_ms)
        return self._cursor.handle

    @override
    def discard(self, handle: OperationHandle) -> None:
        if handle in self._record.timers and handle not in self._record.done:
            self._record.timers.discard(handle)
            self._parts.timers.drop(self._record.num, handle)

    @override
    def get_state(self, name: str) -> Issued:
        replayed = self._cursor.match(CommandKind.GET_STATE, name, _NO_FINGERPRINT)
        if replayed is not None:
            return Ready(replayed.value)
        value = self._parts.keys.of(self._record).state.get(name)
        self._cursor.keep(CommandKind.GET_STATE, name, _NO_FINGERPRINT, value)
        return Ready(value)

    @override
    def state_names(self) -> Issued:
        replayed = self._cursor.match(CommandKind.STATE_NAMES, "", _NO_FINGERPRINT)
        if replayed is not None:
            return Ready(replayed.value)
        value = json.dumps(sorted(self._parts.keys.of(self._record).state)).encode()
        self._cursor.keep(CommandKind.STATE_NAMES, "", _NO_FINGERPRINT, value)
        return Ready(value)

    @override
    def set_state(self, name: str, value: bytes) -> None:
        fingerprint = wire_fingerprint(value)
        if self._cursor.match(CommandKind.SET_STATE, name, fingerprint) is None:
            self._cursor.keep(CommandKind.SET_STATE, name, fingerprint)
            self._parts.keys.set_state(self._parts.keys.of(self._record), name, value)

    @override
    def clear_state(self, name: str) -> None:
        if self._cursor.match(CommandKind.CLEAR_STATE, name, _NO_FINGERPRINT) is None:
            self._cursor.keep(CommandKind.CLEAR_STATE, name, _NO_FINGERPRINT)
            self._parts.keys.clear_state(self._parts.keys.of(self._record), name)

    @override
    def clear_all_state(self) -> None:
        if self._cursor.match(CommandKind.CLEAR_ALL_STATE, "", _NO_FINGERPRINT) is None:
            self._cursor.keep(CommandKind.CLEAR_ALL_STATE, "", _NO_FINGERPRINT)
            self._parts.keys.clear_all_state(self._parts.keys.of(self._record))

    def _promises(self, name: str) -> Mapping[str, PromiseAnswer]:
        """Give the answered promises of the key; an error where the answer of this one can't be read."""
        entry = self._parts.keys.of(self._record)
        if name in entry.unreadable:
            self._cursor.take_back()
            raise UnreadableValue(
                f"the stored answer of the promise {name!r} of {entry.service}", entry.unreadable[name]
            )
        return entry.promises

    @override
    def promise_value(self, name: str) -> OperationHandle:
        if self._cursor.match(CommandKind.PROMISE_VALUE, name, _NO_FINGERPRINT) is None:
            self._promises(name)
            handle = self._cursor.keep(CommandKind.PROMISE_VALUE, name, _NO_FINGERPRINT)
            self._parts.waiters.for_promise(self._record, handle, name)
        return self._cursor.handle

    @override
    def promise_peek(self, name: str) -> Issued:
        replayed = self._cursor.match(CommandKind.PROMISE_PEEK, name, _NO_FINGERPRINT)
        if replayed is not None:
            return Ready(replayed.value, replayed.failure)
        answer = self._promises(name).get(name)
        value, failure = (None, None) if answer is None else (answer.value, answer.failure)
        self._cursor.keep(CommandKind.PROMISE_PEEK, name, _NO_FINGERPRINT, value, failure)
        return Ready(value, failure)

    @override
    def promise_complete(self, name: str, result: ValueOrFailure) -> Issued:
        fingerprint = result_fingerprint(result)
        replayed = self._cursor.match(CommandKind.PROMISE_COMPLETE, name, fingerprint)
        if replayed is not None:
            return Ready(replayed.value, replayed.failure)
        self._promises(name)
        failure = self._parts.waiters.complete_promise(self._record, name, result)
        self._cursor.keep(CommandKind.PROMISE_COMPLETE, name, fingerprint, None, failure)
        return Ready(None, failure)

    @override
    def awakeable(self) -> tuple[str, OperationHandle]:
        replayed = self._cursor.match(CommandKind.AWAKEABLE, "", _NO_FINGERPRINT)
        handle = self._cursor.handle
        if replayed is not None:
            return (replayed.value or b"").decode(), handle
        awakeable_id = self._parts.ids.awakeable(self._record.num, self._parts.epoch, handle)
        self._cursor.keep(CommandKind.AWAKEABLE, "", _NO_FINGERPRINT, awakeable_id.encode())
        return awakeable_id, handle

    @override
    def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        fingerprint = result_fingerprint(result)
        if self._cursor.match(CommandKind.COMPLETE_AWAKEABLE, awakeable_id, fingerprint) is None:
            self._cursor.keep(CommandKind.COMPLETE_AWAKEABLE, awakeable_id, fingerprint)
            self._parts.waiters.complete_awakeable(awakeable_id, result)

    @override
    def signal(self, name: str) -> OperationHandle:
        if self._cursor.match(CommandKind.SIGNAL, name, _NO_FINGERPRINT) is None:
            came = self._came(name)
            handle = self._cursor.keep(CommandKind.SIGNAL, name, _NO_FINGERPRINT)
            if came is not None:
                self._parts.journals.complete(self._record, handle, came.value, came.failure)
        return self._cursor.handle

    def _came(self, name: str) -> ValueOrFailure | None:
        """Give the answer of a signal that came before it was asked for; an error where it can't be read."""
        try:
            return self._parts.signals.came(self._record.num, name)
        except UnreadableValue:
            self._cursor.take_back()
            raise

    @override
    def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        asked = f"{name} of {_ref_name(ref)}"
        fingerprint = result_fingerprint(result)
        if self._cursor.match(CommandKind.COMPLETE_SIGNAL, asked, fingerprint) is None:
            self._cursor.keep(CommandKind.COMPLETE_SIGNAL, asked, fingerprint)
            num = self._parts.identities.find(ref)
            if num is not None:
                self._parts.signals.answer_of(num, name, result)

    @override
    def attach(self, ref: InvocationRef) -> OperationHandle:
        name = _ref_name(ref)
        if self._cursor.match(CommandKind.ATTACH, name, _NO_FINGERPRINT) is None:
            num = self._parts.identities.find(ref)
            handle = self._cursor.keep(CommandKind.ATTACH, name, _NO_FINGERPRINT, None if num is None else b"%d" % num)
            self._parts.waiters.for_invocation(self._record, handle, num)
        return self._cursor.handle

    @override
    def output(self, ref: InvocationRef) -> Issued:
        name = _ref_name(ref)
        replayed = self._cursor.match(CommandKind.OUTPUT, name, _NO_FINGERPRINT)
        if replayed is not None:
            return Ready(replayed.value, replayed.failure)
        value, failure = self._parts.waiters.peek_output(self._parts.identities.find(ref))
        self._cursor.keep(CommandKind.OUTPUT, name, _NO_FINGERPRINT, value, failure)
        return Ready(value, failure)

    @override
    def cancel_invocation(self, ref: InvocationRef) -> None:
        name = _ref_name(ref)
        if self._cursor.match(CommandKind.CANCEL_INVOCATION, name, _NO_FINGERPRINT) is None:
            self._cursor.keep(CommandKind.CANCEL_INVOCATION, name, _NO_FINGERPRINT)
            num = self._parts.identities.find(ref)
            if num is not None:
                self._parts.cancels.cancel_child(num)
