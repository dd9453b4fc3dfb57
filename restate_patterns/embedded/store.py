"""The only file that speaks to SQLite: opens it, reads rows, writes batches.

Two connections to one file: the writer's, and the reader's, which sees what is committed. In memory
both are one. It knows rows and statements, not what they mean.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from restate_patterns.embedded.batch import Statement
from restate_patterns.embedded.content import (
    Expected,
    check_tables,
    columns_of,
    refusal_of,
    refuse_others,
    refuse_strange_log,
)
from restate_patterns.embedded.file_errors import DamagedFileError, ForeignFileError, UnusableFileError
from restate_patterns.embedded.place import Place
from restate_patterns.embedded.reserve import Reserve
from restate_patterns.embedded.schema import APPLICATION_ID, MIGRATIONS, MOVE_TABLES, VERSION
from restate_patterns.limits import STORE_CACHE_KIB
from restate_patterns.system.forks import in_forked_child
from restate_patterns.text.wording import sentence_of

_UNWRITABLE = (
    sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.IntegrityError, ArithmeticError,
    TypeError, ValueError,
)  # fmt: skip
"""What one wrong parameter leads to; the file itself is well."""

_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PERHAPS_FULL: Final = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_CANTOPEN}
"""What SQLite says when a quota is used up, or its index of the log finds no room: the disk must be asked."""

_NO_TEXT = "Could not decode to UTF-8"


class UnwritableError(Exception):
    """A batch has something that SQLite does not take; nothing of it was written, and no retry would be."""


class StoreBusyError(Exception):
    """A batch could not be written now (full disk, busy file); the same batch may be tried again."""


class Store:
    """A SQLite file with the engine's tables, owned by this process from `open` to `close`."""

    def __init__(self, file: str | Path) -> None:
        self.in_memory = str(file) == ":memory:"
        self.file = Path(file)
        self._place = Place(self.file)
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reserve = Reserve(None)
        self._keep_from_child: Callable[[], None] | None = None

    def open(self) -> None:
        """Open the file, or make it; bring its tables to this version.

        Raises:
            FileOwnedError: Another process has it.
            ForeignFileError: It is not ours.
            NewerFileError: It is from a newer version.
            DamagedFileError: Something of ours is missing in it.
            UnusableFileError: It can't be opened or written.
        """
        if self._writer is not None:
            return
        if self.in_memory:
            self._writer = self._reader = self._connect()
            self._migrate(self._writer)
            return
        self._guarded(self._open_file)

    def _open_file(self) -> None:
        if not self.file.parent.is_dir():
            raise UnusableFileError(self.file, "its folder does not exist")
        self._take(create=True)
        self._reserve = Reserve(self._place.beside(".reserve"))
        try:
            self._connect_both()
        except sqlite3.OperationalError as error:
            if not self._is_want_of_room(error):
                raise
            self._disconnect()
            self._reserve.spend()
            self._connect_both()

    def _connect_both(self) -> None:
        self._look_at_content()
        self._writer = self._connect()
        self._migrate(self._writer)
        check_tables(self.file, self._writer, _expected())
        self._reader = self._connect()
        self._reader.execute("PRAGMA query_only = ON")

    def open_parked(self) -> None:
        """Take a file on which nothing runs, to read it: not a byte of it changes before `unpark`.

        Raises:
            FileOwnedError: Another process has it.
            ForeignFileError: It is not ours.
            NewerFileError: It is from a newer version.
            DamagedFileError: Something of ours is missing in it.
            UnusableFileError: It is not there, can't be read, or is from an older version.
        """
        self._guarded(self._open_parked)

    def _open_parked(self) -> None:
        if not self.file.is_file():
            raise UnusableFileError(self.file, "there is no such file")
        self._take(create=False)
        self._look_at_content()
        self._reader = self._connect_to_read()
        (version,) = self._reader.execute("PRAGMA user_version").fetchone()
        if not version:
            raise ForeignFileError(self.file, "it is empty")
        if version < VERSION:
            raise UnusableFileError(self.file, "its tables are of an older version: start its app on it once")
        check_tables(self.file, self._reader, _expected())

    def unpark(self) -> None:
        """Make a file that was opened by `open_parked` writable, with room for its move; does nothing when it is.

        Raises:
            UnusableFileError: It can't be written.
        """
        if self._writer is None:
            self._guarded(self._unpark)

    def _unpark(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._writer = self._connect()
        self._migrate(self._writer)
        self._writer.executescript(MOVE_TABLES)
        self._reader = self._connect()
        self._reader.execute("PRAGMA query_only = ON")

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do what may fail in foreign ways; then the file is closed and the error a sentence."""
        try:
            work()
        except (sqlite3.Error, OSError, ValueError) as error:
            self.close()
            raise refusal_of(self.file, error) from error
        except BaseException:
            self.close()
            raise

    def _take(self, *, create: bool) -> None:
        self._keep_from_child = in_forked_child(self._forked)
        self._place.take(create=create)

    def _look_at_content(self) -> None:
        """Refuse what is not ours before anything could change it: closing a writer takes in the log beside it."""
        if not self._place.path.stat().st_size:
            if self._place.has_log():
                raise DamagedFileError(
                    self.file, f"it is missing or empty, and the log of one, {self.file.name}-wal, is there"
                )
            return
        with contextlib.closing(self._connect_to_read()) as reader:
            if self._place.has_log():
                with contextlib.closing(self._connect_to_read(alone=True)) as without_log:
                    refuse_strange_log(self.file, without_log, reader, _expected())
            refuse_others(self.file, reader, _expected())

    def _connect_to_read(self, *, alone: bool = False) -> sqlite3.Connection:
        # Nobody else writes, as we own it. Without a log beside it SQLite need not make files for itself either.
        mode = "mode=ro" if self._place.has_log() and not alone else "immutable=1"
        uri = f"{self._place.path.as_uri()}?{mode}"
        return sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._place.path, check_same_thread=False, isolation_level=None, timeout=0)
        try:
            connection.execute(f"PRAGMA cache_size = -{STORE_CACHE_KIB}")
        except BaseException:  # as where the log beside the file has no room
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if not self.in_memory:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for target in range(version + 1, VERSION + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[target]} "
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {target}; COMMIT;"
            )

    def _forked(self) -> None:
        """Let a forked child touch nothing: what SQLite does when it closes would change the parent's file."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._reader = self._writer = None
        self._place.leave()

    def close(self) -> None:
        """Close the connections and give the file free. What was committed stays."""
        self._disconnect()
        self._place.release()
        if self._keep_from_child is not None:
            self._keep_from_child()

    def _disconnect(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        self._reader = self._writer = None
        self._place.forget_log()

    def lose_uncommitted(self) -> None:
        """Lose what a dying process would lose: closes a file; a memory store stays open, rolled back."""
        if not self.in_memory:
            self.close()
        elif self._writer is not None and self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    @property
    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            raise RuntimeError(f"the store {self.file} is closed")
        return self._writer

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Give the rows of a query over what is committed.

        Raises:
            FileError: They can't be read.
        """
        if self._reader is None:
            raise RuntimeError(f"the store {self.file} is closed")
        try:
            return self._rows(self._reader, sql, parameters)
        except sqlite3.Error as error:
            raise refusal_of(self.file, error) from error

    def _rows(self, reader: sqlite3.Connection, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            return reader.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if _NO_TEXT not in str(error):
                raise
        reader.text_factory = _any_text  # slower, so only once a row needs it
        try:
            return reader.execute(sql, parameters).fetchall()
        finally:
            reader.text_factory = str

    def write(self, statements: Iterable[Statement]) -> None:
        """Begin a transaction and run statements in it; `commit` ends it.

        Raises:
            StoreBusyError: The disk is full or the file is busy; nothing was written.
            UnwritableError: A parameter is not one that SQLite takes; nothing was written.
        """
        writer = self._open_writer
        try:
            writer.execute("BEGIN IMMEDIATE")
            for sql, rows in statements:
                writer.executemany(sql, rows)
        except sqlite3.OperationalError as error:
            self._roll_back(error)
        except _UNWRITABLE as error:
            writer.execute("ROLLBACK")
            raise UnwritableError(sentence_of(error)) from error

    def probe(self, pieces: Iterable[Callable[[], Sequence[Statement]]]) -> list[Exception | None]:
        """Try pieces of a batch, one after the other, without writing them; gives what each of them runs into.

        Raises:
            StoreBusyError: The disk is full or the file is busy.
        """
        writer = self._open_writer
        found: list[Exception | None] = []
        try:
            writer.execute("BEGIN IMMEDIATE")
            for piece in pieces:
                try:
                    for sql, rows in piece():
                        writer.executemany(sql, rows)
                except sqlite3.OperationalError:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever it is, it is this piece's
                    found.append(error)
                else:
                    found.append(None)
        except sqlite3.OperationalError as error:
            self._roll_back(error)
        writer.execute("ROLLBACK")
        return found

    def commit(self) -> None:
        """Make the open transaction durable (one fsync); may run in another thread.

        Raises:
            StoreBusyError: The disk is full or the file is busy; nothing was written.
        """
        try:
            self._open_writer.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back(error)

    def write_at_start(self, statements: Sequence[Statement]) -> None:
        """Write and commit before anything else is written; where the disk is full, in the room of the reserve.

        Raises:
            UnusableFileError: There is no room even so, or the file is busy.
        """
        try:
            self._write_now(statements)
        except StoreBusyError:
            self.spend_reserve()
            try:
                self._write_now(statements)
            except StoreBusyError as error:
                raise UnusableFileError(
                    self.file, f"there is no room, or another program holds it ({error})"
                ) from error
        except sqlite3.Error as error:
            raise refusal_of(self.file, error) from error

    def _write_now(self, statements: Sequence[Statement]) -> None:
        self.write(statements)
        self.commit()

    def _roll_back(self, error: sqlite3.OperationalError) -> None:
        writer = self._open_writer
        with contextlib.suppress(sqlite3.Error):
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        if (error.sqlite_errorcode & 0xFF) in _BUSY or self._is_want_of_room(error):
            raise StoreBusyError(str(error)) from error
        raise error

    def _is_want_of_room(self, error: sqlite3.OperationalError) -> bool:
        code = error.sqlite_errorcode
        return code == sqlite3.SQLITE_FULL or (code in _PERHAPS_FULL and self._reserve.no_room())

    def spend_reserve(self) -> None:
        """Give the held-back disk free."""
        self._reserve.spend()

    def restore_reserve(self) -> bool:
        """Hold back some disk, to be given free when the disk is full; tells whether there was room."""
        return self._reserve.restore()

    def lost(self) -> str | None:
        """Say what happened to the file when its path leads to it no longer; see `Place.lost`."""
        return self._place.lost()


def _any_text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


@functools.cache
def _expected() -> Expected:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for version in range(1, VERSION + 1):
            connection.executescript(MIGRATIONS[version])
        names = connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        return Expected(APPLICATION_ID, VERSION, {name: columns_of(connection, name) for (name,) in names})
