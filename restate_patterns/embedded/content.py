"""Whether what is in a file is ours and whole; what SQLite and the system say of it, as sentences.

It looks and changes nothing. It knows names and types, not what rows mean.
"""

from __future__ import annotations

import errno
import resource
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from restate_patterns.embedded.file_errors import (
    DamagedFileError,
    FileError,
    ForeignFileError,
    NewerFileError,
    UnusableFileError,
)

_INTEGER_MAX: Final = 2**63 - 1


class Expected(NamedTuple):
    """What a file of ours looks like."""

    application_id: int
    version: int
    tables: Mapping[str, Sequence[str]]
    """The columns of each table."""


class Meta(NamedTuple):
    """What a file says of itself; times are Unix milliseconds."""

    epoch: int
    """How many starts it has seen."""
    secret: bytes | None
    """What its ids are made with; None before the first start."""
    time_ms: int
    sequence: int
    last_num: int


def meta_of(file: Path, rows: Mapping[str, object]) -> Meta:
    """Read the table `meta`.

    Raises:
        DamagedFileError: A value is not of its type.
    """

    def number(name: str) -> int:
        value = rows.get(name, 0)
        if not isinstance(value, int) or not 0 <= value < _INTEGER_MAX:
            raise DamagedFileError(file, f"{name!r} in its table meta is {value!r:.40}")
        return value

    secret = rows.get("secret")
    if secret is not None and (not isinstance(secret, bytes) or not secret):
        raise DamagedFileError(file, "'secret' in its table meta is no secret")
    return Meta(number("epoch"), secret, number("time_ms"), number("sequence"), number("last_num"))


def refuse_others(file: Path, connection: sqlite3.Connection, expected: Expected) -> None:
    """Let only a file of this engine pass, or an empty database.

    Raises:
        ForeignFileError: It is not ours.
        NewerFileError: It is from a newer version.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id != expected.application_id and (tables or application_id or version):
        raise ForeignFileError(file, "it is another program's SQLite database")
    if version > expected.version:
        raise NewerFileError(file, version, expected.version)


def refuse_strange_log(file: Path, alone: sqlite3.Connection, with_log: sqlite3.Connection, expected: Expected) -> None:
    """Let only a log pass that was written for this file: SQLite itself can't tell, and would mix both.

    Args:
        file: What errors call it.
        alone: The file as it is without its log.
        with_log: The same with it.
        expected: What it is compared with.

    Raises:
        DamagedFileError: The log says it belongs to a file with another secret.
    """
    try:
        mine = _secret(alone, expected)
    except sqlite3.Error:
        return  # a crash came while the log was taken in: only both together are whole
    try:
        same = mine is None or mine == _secret(with_log, expected)
    except sqlite3.Error:
        same = False
    if not same:
        raise DamagedFileError(file, f"the log beside it, {file.name}-wal, belongs to another file")


def _secret(connection: sqlite3.Connection, expected: Expected) -> object:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != expected.application_id:
        return None
    rows = connection.execute("SELECT value FROM meta WHERE name='secret'").fetchall()
    return rows[0][0] if rows else None


def check_tables(file: Path, connection: sqlite3.Connection, expected: Expected) -> None:
    """Check that all tables and columns are there.

    Raises:
        DamagedFileError: One is missing; the first is named.
    """
    for table, columns in expected.tables.items():
        found = columns_of(connection, table)
        if not found:
            raise DamagedFileError(file, f"its table {table} is missing")
        missing = [column for column in columns if column not in found]
        if missing:
            raise DamagedFileError(file, f"its table {table} has no column {missing[0]}")


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """Give the names of a table's columns; none when it is not there."""
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def refusal_of(file: Path, error: Exception) -> FileError:
    """Give what an error of SQLite or the system says of the file, as a sentence."""
    if isinstance(error, OSError):
        if error.errno == errno.ENOSPC:
            return UnusableFileError(file, "the disk is full")
        return UnusableFileError(file, error.strerror or str(error))
    if not isinstance(error, sqlite3.Error):
        return UnusableFileError(file, str(error))
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return ForeignFileError(file, "it is not a SQLite database")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_ERROR:
            return DamagedFileError(file, str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return UnusableFileError(file, f"another program has a lock on it ({error}); end that program")
        case sqlite3.SQLITE_FULL:
            return UnusableFileError(file, f"the disk is full ({error})")
        case sqlite3.SQLITE_IOERR:
            return UnusableFileError(file, f"{error}{_limit()}")
        case _:
            return UnusableFileError(file, str(error))


def _limit() -> str:
    limit_bytes = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit_bytes == resource.RLIM_INFINITY:
        return ""
    return f" (this process may make no file larger than {limit_bytes} bytes; raise that limit: `ulimit -f`)"
