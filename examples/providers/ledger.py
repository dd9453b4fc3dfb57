"""What a provider remembers: its records, the answers it gave, and every request it saw.

Kept in memory, and in a JSON file when it has one, so that a provider can be restarted.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, JsonValue

from examples.providers.faults import FaultKind


class Reply(BaseModel):
    """An HTTP answer: status and JSON body."""

    status: int
    body: dict[str, JsonValue]


class Record(BaseModel):
    """One booking, payment or message."""

    id: str
    key: str | None = None
    """The idempotency key it was made with."""

    state: str
    details: dict[str, JsonValue]
    made_s: float = 0.0
    """When it was made, in seconds since 1970."""


class Entry(BaseModel):
    """One request, as it was seen."""

    at_ns: int
    """When it arrived, on the machine's monotonic clock: comparable between the providers."""

    operation: str
    subject: str
    """What it was about: the id in the path, or the idempotency key."""

    fault: FaultKind | None = None
    status: int | None = None
    """The status it was answered with; None while at work, and for good when the answer was lost."""


class Ledger(BaseModel):
    """Everything a provider knows."""

    records: dict[str, Record] = {}
    replies: dict[str, Reply] = {}
    """The answers to keep giving, by path and idempotency key."""

    history: list[Entry] = []


class LedgerFile:
    """Loads and saves a ledger; without a path it only holds it in memory."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        known = path is not None and path.exists()
        self.ledger = Ledger.model_validate_json(path.read_bytes()) if path and known else Ledger()

    def save(self) -> None:
        """Write the ledger so that a reader sees the old file or the new one, never a half of one."""
        if self._path is None:
            return
        draft = self._path.with_suffix(".draft")
        draft.write_text(self.ledger.model_dump_json())
        draft.replace(self._path)
