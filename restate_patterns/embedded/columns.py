"""What is stored of an invocation: its columns, and how each is read back.

Each is an attribute of `Record` of the same name; `row_sql` has how it is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from restate_patterns.embedded.codec import failure_from_text, headers_from_text
from restate_patterns.embedded.records import Status


class Column(NamedTuple):
    """One column of the table of invocations."""

    name: str
    read: Callable[[Any], Any]
    """Makes of what is stored what a record has; raises where that can't be read."""
    instead: Any
    """What a record has in its place then."""
    changes: bool
    """Whether it is written again with each change; else only with a new invocation."""
    nullable: bool


def whole(value: Any) -> int:
    """Read a whole number."""
    if value.__class__ is not int:
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def text(value: Any) -> str:
    """Read text."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    if not value.isascii():
        value.encode()  # what is no UTF-8 in the file comes with halves of surrogate pairs
    return value


def blob(value: Any) -> bytes:
    """Read bytes."""
    if isinstance(value, str):  # as somebody wrote it with the shell of SQLite
        return value.encode()
    if not isinstance(value, bytes):
        raise ValueError(f"{value!r} is no bytes")
    return value


def _numbers(stored: str) -> tuple[int, ...]:
    return tuple([whole(num) for num in json.loads(stored)])


def _headers(stored: Any) -> dict[str, str]:
    return headers_from_text(text(stored))


def _or_null(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


INVOCATION: Final = (
    Column("num", whole, 0, changes=False, nullable=False),
    Column("epoch", whole, 0, changes=False, nullable=False),
    Column("service", text, "(unreadable)", changes=False, nullable=False),
    Column("handler", text, "(unreadable)", changes=False, nullable=False),
    Column("key", _or_null(text), None, changes=False, nullable=True),
    Column("body", blob, b"", changes=False, nullable=False),
    Column("headers", _headers, {}, changes=False, nullable=False),
    Column("idempotency_key", _or_null(text), None, changes=False, nullable=True),
    Column("caller", _or_null(whole), None, changes=False, nullable=True),
    Column("caller_handle", whole, 0, changes=False, nullable=False),
    Column("created_ms", whole, 0, changes=False, nullable=False),
    Column("status", Status, Status.PAUSED, changes=True, nullable=False),
    Column("modified_ms", whole, 0, changes=True, nullable=False),
    Column("start_ms", whole, 0, changes=True, nullable=False),
    Column("queue_sequence", _or_null(whole), None, changes=True, nullable=True),
    Column("first_handle", whole, 0, changes=True, nullable=False),
    Column("failed_count", whole, 0, changes=True, nullable=False),
    Column("failed_at_index", whole, 0, changes=True, nullable=False),
    Column("failure", _or_null(text), None, changes=True, nullable=True),
    Column("mismatch", bool, False, changes=True, nullable=False),
    Column("retry_at_ms", _or_null(whole), None, changes=True, nullable=True),
    Column("waits", _or_null(_numbers), None, changes=True, nullable=True),
    Column("attached", bool, False, changes=True, nullable=False),
    Column("output", _or_null(blob), None, changes=True, nullable=True),
    Column("output_failure", _or_null(lambda value: failure_from_text(text(value))), None, changes=True, nullable=True),
    Column("completed_ms", _or_null(whole), None, changes=True, nullable=True),
    Column("expires_ms", _or_null(whole), None, changes=True, nullable=True),
)
"""The columns of an invocation, in the order in which they are read and written."""
