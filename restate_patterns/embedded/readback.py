"""How an invocation and its journal are read back from the file. What can't be read costs that invocation alone.

Such a record is paused and says why (`Record.broken`). As much of it as is readable is there, so that it can be
listed, killed, and read again once somebody has mended the file. Knows rows, no SQLite.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from restate_patterns.embedded.codec import UnwrittenError, decode_commands, failure_from_text, headers_from_text
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.records import START_ROW, Record, Row, Status
from restate_patterns.errors import Failure
from restate_patterns.seam import Target
from restate_patterns.wording import sentence_of


def _whole(value: Any) -> int:
    if value.__class__ is not int:
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    if not value.isascii():
        value.encode()  # what is no UTF-8 in the file comes with halves of surrogate pairs
    return value


def _blob(value: Any) -> bytes:
    if isinstance(value, str):  # as somebody wrote it with the shell of SQLite
        return value.encode()
    if not isinstance(value, bytes):
        raise ValueError(f"{value!r} is no bytes")
    return value


def _numbers(text: str) -> tuple[int, ...]:
    return tuple([_whole(num) for num in json.loads(text)])


def _or_null(read: Callable[[Any], Any]) -> tuple[Callable[[Any], Any], None]:
    return lambda value: None if value is None else read(value), None


_READ: Final[Mapping[str, tuple[Callable[[Any], Any], Any]]] = {
    "num": (_whole, 0),
    "epoch": (_whole, 0),
    "service": (_text, "(unreadable)"),
    "handler": (_text, "(unreadable)"),
    "key": _or_null(_text),
    "body": (_blob, b""),
    "headers": (lambda value: headers_from_text(_text(value)), {}),
    "idempotency_key": _or_null(_text),
    "caller": _or_null(_whole),
    "caller_handle": (_whole, 0),
    "created_ms": (_whole, 0),
    "status": (Status, Status.PAUSED),
    "modified_ms": (_whole, 0),
    "start_ms": (_whole, 0),
    "queue_sequence": _or_null(_whole),
    "first_handle": (_whole, 0),
    "failed_count": (_whole, 0),
    "failed_at_index": (_whole, 0),
    "failure": _or_null(_text),
    "mismatch": (bool, False),
    "retry_at_ms": _or_null(_whole),
    "waits": _or_null(_numbers),
    "attached": (bool, False),
    "output": _or_null(_blob),
    "output_failure": _or_null(lambda value: failure_from_text(_text(value))),
    "completed_ms": _or_null(_whole),
    "expires_ms": _or_null(_whole),
}
"""How each column of an invocation is read, and what stands in its place when it can't be."""

COLUMNS: Final = ", ".join(_READ)

_GIVEN: Final = frozenset({"num", "epoch", "service", "handler", "key", "body", "headers"})
_REST: Final = tuple(name for name in _READ if name not in _GIVEN)
_AS_STORED: Final = frozenset({int, bytes, type(None)})
"""Types of what is stored that a column of its type gives back as it is; text may be no UTF-8."""


def record_of(row: Iterable[Any], ids: Ids) -> Record:
    """Make a record of a row of the file, in the order of `COLUMNS`."""
    stored = tuple(row)
    values = dict[str, Any](zip(_READ, stored, strict=True))
    unreadable: dict[str, str] = {}
    for name in _looked_at(tuple(map(type, stored))):
        read, instead = _READ[name]
        try:
            values[name] = read(values[name])
        except Exception as error:  # noqa: BLE001 - whatever stands there, it costs this invocation alone
            values[name] = instead
            unreadable[name] = _words(error)
    num, epoch = values["num"], values["epoch"]
    target = Target(values["service"], values["handler"], values["key"])
    record = Record(num, epoch, ids.invocation(num, epoch), target, values["body"], values["headers"])
    for name in _REST:
        setattr(record, name, values[name])
    if unreadable:
        _break(record, unreadable)
    return record


@lru_cache(maxsize=512)
def _looked_at(types: tuple[type, ...]) -> tuple[str, ...]:
    """Give the columns whose reading may change what is stored, or refuse it, where it is of these types.

    The other half of a row is as it comes: reading all of it cost twice as much.
    """
    return tuple(name for name, type_ in zip(_READ, types, strict=True) if not _is_read_as_stored(name, type_))


def _is_read_as_stored(name: str, type_: type) -> bool:
    if type_ not in _AS_STORED:
        return False
    stored = type_()
    try:
        return _READ[name][0](stored) is stored
    except Exception:  # noqa: BLE001 - as in record_of()
        return False


def _break(record: Record, unreadable: Mapping[str, str]) -> None:
    reason = "; ".join(f"its stored {name} can't be read: {why}" for name, why in unreadable.items())
    if record.status is not Status.COMPLETED:
        record.status, record.failure, record.mismatch, record.broken = Status.PAUSED, reason, True, reason
    elif not unreadable.keys().isdisjoint(("output", "output_failure")):
        record.output, record.output_failure = None, Failure(500, reason)


def rows_of(stored: Iterable[tuple[Any, ...]]) -> tuple[list[Row], str | None]:
    """Make the rows of a journal, and say why they are no whole journal; None when they are.

    There are as many as places are taken in the file, so that what happens meanwhile still finds one.
    """
    rows: list[Row] = []
    reason: str | None = None
    for index, handle, time_ms, value, failure, commands in stored:
        try:
            while len(rows) < index:
                reason = reason or f"entry {len(rows)} of its journal is missing"
                rows.append(_nothing(len(rows)))
            rows.append(
                Row(
                    index,
                    _whole(handle),
                    _whole(time_ms),
                    None if value is None else _blob(value),
                    None if failure is None else failure_from_text(_text(failure)),
                    None if commands is None else decode_commands(commands),
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever stands there, it costs this invocation alone
            reason = reason or f"entry {index} of its journal can't be read: {_words(error)}"
            rows.append(_nothing(len(rows)))
    if rows and reason is None and rows[0].handle != START_ROW:
        reason = "the beginning of its journal is missing"
    return rows, reason


def _nothing(index: int) -> Row:
    return Row(index, START_ROW, 0, commands=[])


def _words(error: Exception) -> str:
    return f"it could not be written: {error}" if isinstance(error, UnwrittenError) else sentence_of(error)
