"""The rule of replay: what one attempt asks for is recorded the first time, and matched against the journal after it.

Pure: it reads and appends to the rows of one invocation, and knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from typing_extensions import override

from restate_patterns import limits
from restate_patterns.embedded.codec import check_text, failure_text
from restate_patterns.embedded.records import CANCEL_ROW, Command, CommandKind, Record, Row
from restate_patterns.errors import AttemptSealed, Failure, JournalMismatch
from restate_patterns.seam import OperationHandle
from restate_patterns.text.wording import shortened

_COMMAND_BYTES: Final = 32
"""A command without its name and value."""


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


class JournalCursor:
    """A place in the journal of one invocation, as one attempt moves through it.

    Each drain works on one row: `begin` opens it, `finish` checks that all the journal has there was asked for. For
    each operation there is one `match`, and one `keep` where that found nothing to match. The last row that was
    delivered may grow: its drain may have been cut short by a crash of the attempt.

    Args:
        record: The invocation, with its rows.
        grows: Called with a row before commands are appended to it.
    """

    __slots__ = ("_at", "_bytes", "_grows", "_record", "_recorded", "_row", "closed", "handle")

    def __init__(self, record: Record, grows: Callable[[Record, Row], None]) -> None:
        self._record = record
        self._grows = grows
        self._row: Row | None = None
        self._recorded: list[Command] | None = None
        """The commands to match in this drain; None while recording."""
        self._at = 0
        self._bytes = 0
        """How much the commands of this drain are so far."""
        self.handle: OperationHandle = record.first_handle - 1
        """The operation that was asked for last: they are numbered as they come."""
        self.closed = False

    def begin(self, row: Row) -> None:
        """Open the row of the drain that is about to run."""
        self._row = row
        self._at = self._bytes = 0
        if row.commands is None:
            row.commands = []
            self._recorded = None
            self._grows(self._record, row)
        else:
            self._recorded = row.commands

    def finish(self, *, cut_short: bool) -> JournalMismatch | None:
        """Close the row; gives the mismatch when the journal has commands that were not asked for."""
        recorded = self._recorded
        if recorded is None or cut_short or self._at >= len(recorded):
            return None
        found = "nothing more before its next wait or its end"
        return JournalMismatch(self.handle + 1, str(recorded[self._at]), found)

    @property
    def recording(self) -> bool:
        """Whether nothing is left to match in this drain."""
        return self._recorded is None

    @property
    def replaying(self) -> bool:
        """Whether this drain only does what an earlier attempt did."""
        recorded = self._recorded
        if recorded is None:
            return False
        # A drain that an error cut short may have come farther now than it did then.
        cut_short = self._record.failure is not None and self._at >= len(recorded) and self.at_end
        return not cut_short

    @property
    def at_end(self) -> bool:
        """Whether no earlier attempt came farther than the row of this drain."""
        rows = self._record.rows or []
        following = (self._row.index if self._row is not None else 0) + 1
        return following >= len(rows) or rows[following].commands is None

    def cancel_ahead(self) -> bool:
        """Tell whether a cancel is in the journal that was not delivered yet."""
        return any(row.handle == CANCEL_ROW for row in (self._record.rows or [])[self._record.delivered_count :])

    def match(self, kind: CommandKind, name: str, fingerprint: bytes) -> Command | None:
        """Give the recorded command in this place, or None when a new one is to be kept.

        Raises:
            AttemptSealed: The attempt has ended.
            JournalMismatch: Another command is recorded in this place, or none where there must be one.
        """
        if self.closed:
            raise AttemptSealed
        if not name.isascii():
            check_text(name)
        recorded = self._recorded
        if recorded is not None:
            if self._at < len(recorded):
                command = recorded[self._at]
                if command.kind is not kind or command.name != name or command.fingerprint != fingerprint:
                    found = Command(kind, name, fingerprint)
                    raise JournalMismatch(self.handle + 1, *_difference(command, found))
                self._at += 1
                self.handle += 1
                return command
            if not self.at_end:
                asked = str(Command(kind, name, fingerprint))
                raise JournalMismatch(self.handle + 1, "nothing more before the next wait", asked)
            self._record_on(recorded)
        self.handle += 1
        self._bytes += len(name) + _COMMAND_BYTES
        if self._bytes > limits.COMMANDS_BYTES_MAX:
            raise self._too_big(kind, name)
        return None

    def keep(
        self,
        kind: CommandKind,
        name: str,
        fingerprint: bytes,
        value: bytes | None = None,
        failure: Failure | None = None,
    ) -> OperationHandle:
        """Record the command that `match` did not find; gives its handle."""
        row = self._row
        if row is None or row.commands is None:
            raise AttemptSealed
        command = Command(kind, name, fingerprint, value, failure)
        if value is not None or failure is not None:
            self._bytes += len(value or b"")
            if failure is not None:
                self._bytes += len(failure_text(failure) or "")
            if self._bytes > limits.COMMANDS_BYTES_MAX:
                raise self._too_big(kind, name)
            self._record.note_call(self.handle, command)
        row.commands.append(command)
        return self.handle

    def take_back(self) -> None:
        """Let the operation that `match` did not find not have been asked for."""
        self.handle -= 1

    def _record_on(self, recorded: list[Command]) -> None:
        """Let the row grow whose commands have all been matched."""
        self._recorded = None
        self._bytes = sum(len(command.name) + _COMMAND_BYTES + len(command.value or b"") for command in recorded)
        if self._row is not None:
            self._grows(self._record, self._row)

    def _too_big(self, kind: CommandKind, name: str) -> EntryTooBig:
        """Refuse a command with which those of this drain are too much; nothing of it was done."""
        asked = str(Command(kind, shortened(name, limits.SHOWN_CHARS_MAX), b""))
        return EntryTooBig(self.handle, asked, self._bytes)


def _difference(expected: Command, found: Command) -> tuple[str, str]:
    """Give both commands in words; with their fingerprints only when nothing else differs."""
    if (expected.kind, expected.name) != (found.kind, found.name):
        return str(expected), str(found)
    return (
        f"{expected} with arguments of fingerprint {expected.fingerprint.hex()}",
        f"{found} with arguments of fingerprint {found.fingerprint.hex()}",
    )
