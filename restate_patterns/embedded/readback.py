"""How an invocation and its journal are read back from the file. What can't be read costs that invocation alone.

Such a record is paused and says why (`Record.broken`). As much of it as is readable is there, so that it can be
listed, killed, and read again once somebody has mended the file. Knows rows, no SQLite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from restate_patterns.embedded.codec import UnwrittenError, decode_commands, failure_from_text
from restate_patterns.embedded.columns import INVOCATION, blob, text, whole
from restate_patterns.embedded.ids import Ids
from restate_patterns.embedded.records import START_ROW, Record, Row, Status
from restate_patterns.errors import Failure
from restate_patterns.seam import Target
from restate_patterns.text.wording import sentence_of

COLUMNS: Final = ", ".join(column.name for column in INVOCATION)

_GIVEN: Final = frozenset({"num", "epoch", "service", "handler", "key", "body", "headers"})
_REST: Final = tuple(column.name for column in INVOCATION if column.name not in _GIVEN)
_READ: Final = {column.name: column for column in INVOCATION}
_AS_STORED: Final = frozenset({int, bytes, type(None)})
"""Types of what is stored that a column of its type gives back as it is; text may be no UTF-8."""


def record_of(row: Iterable[Any], ids: Ids) -> Record:
    """Make a record of a row of the file, in the order of `COLUMNS`."""
    stored = tuple(row)
    values = dict[str, Any](zip(_READ, stored, strict=True))
    unreadable: dict[str, str] = {}
    for name in _looked_at(tuple(map(type, stored))):
        column = _READ[name]
        try:
            values[name] = column.read(values[name])
        except Exception as error:  # noqa: BLE001 - whatever stands there, it costs this invocation alone
            values[name] = column.instead
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
        return _READ[name].read(stored) is stored
    except Exception:  # noqa: BLE001 - as in record_of()
        return False


def _break(record: Record, unreadable: Mapping[str, str]) -> None:
    reason = "; ".join(f"its stored {name} can't be read: {why}" for name, why in unreadable.items())
    if record.status is not Status.COMPLETED:
        record.broken = reason
        record.pause(record.modified_ms, reason, mismatch=True)
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
                    whole(handle),
                    whole(time_ms),
                    None if value is None else blob(value),
                    None if failure is None else failure_from_text(text(failure)),
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
