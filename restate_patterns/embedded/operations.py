"""What one attempt asks for: recorded the first time, matched against the journal on replay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from restate_patterns import limits
from restate_patterns.embedded.codec import check_text, failure_text
from restate_patterns.embedded.records import CANCEL_ROW, Command, CommandKind, Record, Row
from restate_patterns.embedded.records_table import note_call
from restate_patterns.errors import AttemptSealed, Failure, JournalMismatch, UnreadableValue
from restate_patterns.fingerprints import in_key_order, wire_fingerprint
from restate_patterns.seam import (
    Handle,
    IdempotencyRef,
    InvocationRef,
    Issued,
    Operations,
    Ready,
    Request,
    StepAction,
    StepResult,
    WorkflowRef,
)
from restate_patterns.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from restate_patterns.embedded.core import Core
    from restate_patterns.embedded.keys import PromiseAnswer

_NO_FINGERPRINT = b""
_COMMAND_BYTES: Final = 32
"""A command without its name and value."""


def _result_fingerprint(result: StepResult) -> bytes:
    value = None if result.value is None else bytes(in_key_order(result.value))
    return wire_fingerprint(repr(StepResult(value, result.failure)).encode())


def _ref_name(ref: InvocationRef) -> str:
    match ref:
        case IdempotencyRef(target, idempotency_key):
            return f"{target}/{idempotency_key}"
        case WorkflowRef(service, key):
            return f"{service}/{key}"
        case _:
            return ref


class EntryTooBig(JournalMismatch):
    """A handler asks for more between two waits than one entry of the journal takes.

    Args:
        position: How many operations the invocation had asked for before.
        asked: The operation that is too much.
        size_bytes: How much it would be with it.
    """

    def __init__(self, position: int, asked: str, size_bytes: int) -> None:
        super().__init__(position, "at most that", asked)
        self.size_bytes = size_bytes

    @override
    def __str__(self) -> str:
        return (
            f"with the {self.found} the handler asks for {self.size_bytes} bytes between two waits, counting what it "
            f"reads, over the limit of {limits.COMMANDS_BYTES_MAX}: wait in between (for a step, for a moment of "
            "sleep), or keep less in one state"
        )


class JournalOperations(Operations):
    """The operations of one attempt of one invocation.

    Each drain works on one row of the journal: `begin` opens it, `finish` checks that all the journal
    has there was asked for. The last row that was delivered may grow: its drain may have been cut
    short by a crash of the attempt.
    """

    __slots__ = ("_bytes", "_core", "_cursor", "_next_handle", "_record", "_recorded", "_row", "closed")

    def __init__(self, core: Core, record: Record) -> None:
        self._core = core
        self._record = record
        self._row: Row | None = None
        self._recorded: list[Command] | None = None
        """The commands to match in this drain; None while recording."""
        self._cursor = 0
        self._next_handle = record.first_handle
        self._bytes = 0
        """How much the commands of this drain are so far."""
        self.closed = False

    def begin(self, row: Row) -> None:
        """Open the row of the drain that is about to run."""
        self._row = row
        self._cursor = self._bytes = 0
        if row.commands is None:
            row.commands = []
            self._recorded = None
            self._core.note_row(self._record, row)
        else:
            self._recorded = row.commands

    def finish(self, *, cut_short: bool) -> JournalMismatch | None:
        """Close the row; gives the mismatch when the journal has commands that were not asked for."""
        recorded = self._recorded
        if recorded is None or cut_short or self._cursor >= len(recorded):
            return None
        found = "nothing more before its next wait or its end"
        return JournalMismatch(self._next_handle, str(recorded[self._cursor]), found)

    @property
    @override
    def replaying(self) -> bool:
        recorded = self._recorded
        if recorded is None:
            return False
        # A drain that an error cut short may have come farther now than it did then.
        cut_short = self._record.failure is not None and self._cursor >= len(recorded) and self._is_last_delivered()
        return not cut_short

    @property
    @override
    def at_journal_end(self) -> bool:
        return self._is_last_delivered()

    @override
    def cancel_ahead(self) -> bool:
        return any(row.handle == CANCEL_ROW for row in (self._record.rows or [])[self._record.delivered_count :])

    def _match(self, kind: CommandKind, name: str, fingerprint: bytes) -> Command | None:
        """Give the recorded command in this place, or None when a new one is to be recorded."""
        if self.closed:
            raise AttemptSealed
        if not name.isascii():
            check_text(name)
        handle = self._next_handle
        recorded = self._recorded
        if recorded is not None:
            if self._cursor < len(recorded):
                command = recorded[self._cursor]
                if command.kind is not kind or command.name != name or command.fingerprint != fingerprint:
                    raise JournalMismatch(handle, *_difference(command, Command(kind, name, fingerprint)))
                self._cursor += 1
                self._next_handle = handle + 1
                return command
            if not self._is_last_delivered():
                asked = str(Command(kind, name, fingerprint))
                raise JournalMismatch(handle, "nothing more before the next wait", asked)
            self._record_on(recorded)
        self._next_handle = handle + 1
        self._bytes += len(name) + _COMMAND_BYTES
        if self._bytes > limits.COMMANDS_BYTES_MAX:
            raise self._too_big(kind, name)
        return None

    def _record_on(self, recorded: list[Command]) -> None:
        """Let the row grow whose commands have all been matched."""
        self._recorded = None
        self._bytes = sum(len(command.name) + _COMMAND_BYTES + len(command.value or b"") for command in recorded)
        if self._row is not None:
            self._core.note_row(self._record, self._row)

    def _too_big(self, kind: CommandKind, name: str) -> EntryTooBig:
        """Refuse a command with which those of this drain are too much; nothing of it was done."""
        asked = str(Command(kind, shortened(name, limits.SHOWN_CHARS_MAX), _NO_FINGERPRINT))
        return EntryTooBig(self._next_handle - 1, asked, self._bytes)

    def _is_last_delivered(self) -> bool:
        rows = self._record.rows or []
        following = (self._row.index if self._row is not None else 0) + 1
        return following >= len(rows) or rows[following].commands is None

    def _keep(
        self,
        kind: CommandKind,
        name: str,
        fingerprint: bytes,
        value: bytes | None = None,
        failure: Failure | None = None,
    ) -> Handle:
        """Record a new command; gives its handle."""
        row = self._row
        if row is None or row.commands is None:
            raise AttemptSealed
        command = Command(kind, name, fingerprint, value, failure)
        handle = self._next_handle - 1
        if value is not None or failure is not None:
            self._bytes += len(value or b"")
            if failure is not None:
                self._bytes += len(failure_text(failure) or "")
            if self._bytes > limits.COMMANDS_BYTES_MAX:
                raise self._too_big(kind, name)
            note_call(self._record, handle, command)
        row.commands.append(command)
        return handle

    @override
    def call(self, request: Request, *, shielded: bool) -> Handle:
        name = str(request.target)
        fingerprint = wire_fingerprint(request.body, (request.idempotency_key or "").encode())
        if self._match(CommandKind.CALL, name, fingerprint) is None:
            handle = self._next_handle - 1
            num = self._core.admission.call_from(self._record, handle, request)
            self._keep(CommandKind.CALL, name, fingerprint, None if num is None else b"%d" % num)
        return self._next_handle - 1

    @override
    def send(self, request: Request, delay_ms: int, due_ms: int | None) -> Issued:
        name = str(request.target)
        fingerprint = wire_fingerprint(request.body, (request.idempotency_key or "").encode())
        replayed = self._match(CommandKind.SEND, name, fingerprint)
        if replayed is not None:
            return Ready(replayed.value, replayed.failure)
        if due_ms is None and delay_ms:
            due_ms = self._core.log.now_ms() + delay_ms
        value, failure = self._core.admission.send_from(self._record, request, due_ms)
        self._keep(CommandKind.SEND, name, fingerprint, value, failure)
        return Ready(value, failure)

    @override
    def run(self, name: str, fingerprint: bytes, action: StepAction) -> Handle:
        replayed = self._match(CommandKind.RUN, name, fingerprint) is not None
        handle = self._next_handle - 1
        if not replayed:
            self._keep(CommandKind.RUN, name, fingerprint)
        if handle not in self._record.done:
            self._core.steps.ensure(self._record, handle, name, action, replayed=replayed)
        return handle

    @override
    def stop_step(self, handle: Handle) -> None:
        if handle not in self._record.done:
            self._core.steps.stop(self._record.num, handle)

    @override
    def cancel_call(self, handle: Handle) -> None:
        callee = self._record.calls.get(handle)
        if callee is not None and self._recorded is None and handle not in self._record.done:
            self._core.control.cancel_callee(callee, self._record, handle)

    @override
    def now_ms(self) -> int:
        raise AssertionError("every completion of this engine carries its time")

    @override
    def sleep(self, deadline_ms: int, delay_ms: int, name: str) -> Handle:
        if self._match(CommandKind.SLEEP, name, _NO_FINGERPRINT) is None:
            handle = self._keep(CommandKind.SLEEP, name, _NO_FINGERPRINT, b"%d" % deadline_ms)
            if deadline_ms <= self._core.log.now_ms():
                self._core.complete_operation(self._record, handle, None, None)
            else:
                self._record.timers.add(handle)
                self._core.timers.add(self._record.num, handle, deadline_ms)
        return self._next_handle - 1

    @override
    def discard(self, handle: Handle) -> None:
        if handle in self._record.timers and handle not in self._record.done:
            self._record.timers.discard(handle)
            self._core.timers.drop(self._record.num, handle)

    @override
    def get_state(self, name: str) -> Issued:
        replayed = self._match(CommandKind.GET_STATE, name, _NO_FINGERPRINT)
        if replayed is not None:
            return Ready(replayed.value)
        value = self._core.key_of(self._record).state.get(name)
        self._keep(CommandKind.GET_STATE, name, _NO_FINGERPRINT, value)
        return Ready(value)

    @override
    def state_names(self) -> Issued:
        replayed = self._match(CommandKind.STATE_NAMES, "", _NO_FINGERPRINT)
        if replayed is not None:
            return Ready(replayed.value)
        value = json.dumps(sorted(self._core.key_of(self._record).state)).encode()
        self._keep(CommandKind.STATE_NAMES, "", _NO_FINGERPRINT, value)
        return Ready(value)

    @override
    def set_state(self, name: str, value: bytes) -> None:
        fingerprint = wire_fingerprint(value)
        if self._match(CommandKind.SET_STATE, name, fingerprint) is None:
            self._keep(CommandKind.SET_STATE, name, fingerprint)
            self._core.keys.set_state(self._core.key_of(self._record), name, value)

    @override
    def clear_state(self, name: str) -> None:
        if self._match(CommandKind.CLEAR_STATE, name, _NO_FINGERPRINT) is None:
            self._keep(CommandKind.CLEAR_STATE, name, _NO_FINGERPRINT)
            self._core.keys.clear_state(self._core.key_of(self._record), name)

    @override
    def clear_all_state(self) -> None:
        if self._match(CommandKind.CLEAR_ALL_STATE, "", _NO_FINGERPRINT) is None:
            self._keep(CommandKind.CLEAR_ALL_STATE, "", _NO_FINGERPRINT)
            self._core.keys.clear_all_state(self._core.key_of(self._record))

    def _promises(self, name: str) -> Mapping[str, PromiseAnswer]:
        """Give the answered promises of the key; an error where the answer of this one can't be read."""
        entry = self._core.key_of(self._record)
        if name in entry.unreadable:
            self._next_handle -= 1  # nothing was asked for
            raise UnreadableValue(
                f"the stored answer of the promise {name!r} of {entry.service}", entry.unreadable[name]
            )
        return entry.promises

    @override
    def promise_value(self, name: str) -> Handle:
        if self._match(CommandKind.PROMISE_VALUE, name, _NO_FINGERPRINT) is None:
            self._promises(name)
            handle = self._keep(CommandKind.PROMISE_VALUE, name, _NO_FINGERPRINT)
            self._core.waits.for_promise(self._record, handle, name)
        return self._next_handle - 1

    @override
    def promise_peek(self, name: str) -> Issued:
        replayed = self._match(CommandKind.PROMISE_PEEK, name, _NO_FINGERPRINT)
        if replayed is not None:
            return Ready(replayed.value, replayed.failure)
        answer = self._promises(name).get(name)
        value, failure = (None, None) if answer is None else (answer.value, answer.failure)
        self._keep(CommandKind.PROMISE_PEEK, name, _NO_FINGERPRINT, value, failure)
        return Ready(value, failure)

    @override
    def promise_complete(self, name: str, result: StepResult) -> Issued:
        fingerprint = _result_fingerprint(result)
        replayed = self._match(CommandKind.PROMISE_COMPLETE, name, fingerprint)
        if replayed is not None:
            return Ready(replayed.value, replayed.failure)
        self._promises(name)
        failure = self._core.waits.complete_promise(self._record, name, result)
        self._keep(CommandKind.PROMISE_COMPLETE, name, fingerprint, None, failure)
        return Ready(None, failure)

    @override
    def awakeable(self) -> tuple[str, Handle]:
        if self._match(CommandKind.AWAKEABLE, "", _NO_FINGERPRINT) is None:
            awakeable_id = self._core.ids.awakeable(self._record.num, self._core.epoch, self._next_handle - 1).encode()
            self._keep(CommandKind.AWAKEABLE, "", _NO_FINGERPRINT, awakeable_id)
            return awakeable_id.decode(), self._next_handle - 1
        handle = self._next_handle - 1
        commands = self._recorded or []
        return (commands[self._cursor - 1].value or b"").decode(), handle

    @override
    def complete_awakeable(self, awakeable_id: str, result: StepResult) -> None:
        fingerprint = _result_fingerprint(result)
        if self._match(CommandKind.COMPLETE_AWAKEABLE, awakeable_id, fingerprint) is None:
            self._keep(CommandKind.COMPLETE_AWAKEABLE, awakeable_id, fingerprint)
            self._core.waits.complete_awakeable(awakeable_id, result)

    @override
    def attach(self, ref: InvocationRef) -> Handle:
        name = _ref_name(ref)
        if self._match(CommandKind.ATTACH, name, _NO_FINGERPRINT) is None:
            num = self._core.admission.find(ref)
            handle = self._keep(CommandKind.ATTACH, name, _NO_FINGERPRINT, None if num is None else b"%d" % num)
            self._core.waits.for_invocation(self._record, handle, num)
        return self._next_handle - 1

    @override
    def output(self, ref: InvocationRef) -> Issued:
        name = _ref_name(ref)
        replayed = self._match(CommandKind.OUTPUT, name, _NO_FINGERPRINT)
        if replayed is not None:
            return Ready(replayed.value, replayed.failure)
        value, failure = self._core.waits.peek_output(self._core.admission.find(ref))
        self._keep(CommandKind.OUTPUT, name, _NO_FINGERPRINT, value, failure)
        return Ready(value, failure)

    @override
    def cancel_invocation(self, ref: InvocationRef) -> None:
        name = _ref_name(ref)
        if self._match(CommandKind.CANCEL_INVOCATION, name, _NO_FINGERPRINT) is None:
            self._keep(CommandKind.CANCEL_INVOCATION, name, _NO_FINGERPRINT)
            num = self._core.admission.find(ref)
            if num is not None:
                self._core.control.cancel_child(num)


def _difference(expected: Command, found: Command) -> tuple[str, str]:
    """Give both commands in words; with their fingerprints only when nothing else differs."""
    if (expected.kind, expected.name) != (found.kind, found.name):
        return str(expected), str(found)
    return (
        f"{expected} with arguments of fingerprint {expected.fingerprint.hex()}",
        f"{found} with arguments of fingerprint {found.fingerprint.hex()}",
    )
