"""What a file says of its move to a server: that it moved, where, and how far that is.

A move can be broken off at any moment and goes on from what is written here. Nothing is written
before the first thing moves, and whatever is written is durable before the next thing does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from restate_patterns.embedded.file_errors import DamagedFileError
from restate_patterns.embedded.store import Store

_NAME: Final = "move"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One move of a file to a server.

    Args:
        to: The server's admin API.
        began_ms: When it began; times are Unix milliseconds.
        done_ms: When all was there.
        undone_ms: When the file was taken back.
        state_after: Service and key up to which all state is there, in their order in the file.
        courier: `HOST:PORT` where the server calls back for sends to private handlers; the same to its end.
    """

    to: str
    began_ms: int
    done_ms: int | None = None
    undone_ms: int | None = None
    state_after: tuple[str, str] | None = None
    courier: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the file may not be run on, as what it has is elsewhere."""
        return self.undone_ms is None


class Sent(NamedTuple):
    """A send that moved, or began to.

    `new_id` is None while it is not known to be there; `latest_start_ms` is the time by which it starts there.
    """

    begun_ms: int
    new_id: str | None
    latest_start_ms: int | None


def move_of(file: Path, meta: Mapping[str, object]) -> Move | None:
    """Read the move from the table `meta`; None when the file never began to move.

    Raises:
        DamagedFileError: What is written of the move can't be read.
    """
    text = meta.get(_NAME)
    if text is None:
        return None
    try:
        fields = json.loads(str(text))
        after = fields.pop("state_after")
        return Move(**fields, state_after=None if after is None else (after[0], after[1]))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise DamagedFileError(file, f"the note of its move in its table meta is {text!r:.60}") from None


class MoveLog:
    """Reads and writes the progress of the move of one file.

    Args:
        store: The file, parked.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def move(self) -> Move | None:
        """The move of this file, undone or not."""
        return move_of(self._store.file, dict(self._store.read("SELECT name, value FROM meta")))

    def sent(self) -> Mapping[int, Sent]:
        """Give the sends that moved or began to, by invocation number."""
        if not self._store.read("SELECT 1 FROM sqlite_master WHERE name='moved_send'"):
            return {}
        rows = self._store.read("SELECT invocation, begun_ms, new_id, latest_start_ms FROM moved_send")
        return {num: Sent(begun_ms, new_id, latest_ms) for num, begun_ms, new_id, latest_ms in rows}

    def begin(self, to: str, courier: str | None, now_ms: int) -> None:
        """Write that the file moves from now on; goes on with a move to the same server.

        Sends that an undone move brought to the same server stay known, as they are there.

        Args:
            to: The server's admin API.
            courier: Where the server calls back, if it does.
            now_ms: Unix milliseconds.
        """
        self._store.unpark()
        before = self.move
        if before is not None and before.holds:
            if courier not in (None, before.courier):
                self._write(_row(replace(before, courier=courier)))
            return
        elsewhere = before is not None and before.to != to
        nothing: list[tuple[object, ...]] = [()]
        forget = [("DELETE FROM moved_send", nothing)] if elsewhere else []
        self._write(*forget, _row(Move(to=to, began_ms=now_ms, courier=courier)))

    def note_state(self, after: tuple[str, str]) -> None:
        """Write that all state up to a service and key is there."""
        self._write(_row(replace(self._begun(), state_after=after)))

    def begin_sends(self, nums: Iterable[int], now_ms: int) -> None:
        """Write that sends may be there from now on."""
        rows: list[tuple[object, ...]] = [(num, now_ms) for num in nums]
        self._write(("INSERT OR IGNORE INTO moved_send (invocation, begun_ms) VALUES (?,?)", rows))

    def note_sends(self, sent: Mapping[int, tuple[str, int]]) -> None:
        """Write which sends are there, each with its new id and the time by which it starts."""
        rows: list[tuple[object, ...]] = [(new_id, latest_ms, num) for num, (new_id, latest_ms) in sent.items()]
        self._write(("UPDATE moved_send SET new_id=?, latest_start_ms=? WHERE invocation=?", rows))

    def finish(self, now_ms: int) -> None:
        """Write that all is there."""
        self._write(_row(replace(self._begun(), done_ms=now_ms)))

    def undo(self, now_ms: int) -> None:
        """Take the file back: an engine starts on it again, and its state counts as not moved."""
        self._store.unpark()
        self._write(_row(replace(self._begun(), undone_ms=now_ms, done_ms=None, state_after=None)))

    def _begun(self) -> Move:
        found = self.move
        if found is None:
            raise RuntimeError("the move has not begun")
        return found

    def _write(self, *statements: tuple[str, list[tuple[object, ...]]]) -> None:
        self._store.write(statements)
        self._store.commit()


def _row(move: Move) -> tuple[str, list[tuple[object, ...]]]:
    return ("INSERT OR REPLACE INTO meta VALUES (?,?)", [(_NAME, json.dumps(asdict(move)))])
