"""The only file that speaks to SQLite: opens it, reads rows, writes batches.

Two connections to one file: the writer's, and the reader's, which sees what is committed. In memory
both are one. It knows rows and statements, not what they mean.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from restate_patterns.embedded.batch import Statement
from restate_patterns.embedded.file_errors import ForeignFileError, NewerFileError, UnusableFileError
from restate_patterns.embedded.owner import OwnerLock
from restate_patterns.embedded.schema import APPLICATION_ID, MIGRATIONS, MOVE_TABLES, VERSION
from restate_patterns.limits import DISK_RESERVE_BYTES, STORE_CACHE_KIB
from restate_patterns.wording import sentence_of

_UNWRITABLE = (
    sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.IntegrityError, ArithmeticError,
    TypeError, ValueError,
)  # fmt: skip
"""What one wrong parameter leads to; the file itself is well."""

_RETRIABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


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
        self._owner = OwnerLock(self.file)
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reserve = self.file.with_name(self.file.name + ".reserve")

    def open(self) -> None:
        """Open the file, or make it; bring its tables to this version.

        Raises:
            FileOwnedError: Another process has it.
            ForeignFileError: It is not ours.
            NewerFileError: It is from a newer version.
            UnusableFileError: It can't be opened or written.
        """
        if self._writer is not None:
            return
        if self.in_memory:
            self._writer = self._reader = self._connect()
            self._migrate(self._writer)
            return
        if not self.file.parent.is_dir():
            raise UnusableFileError(self.file, "its folder does not exist")
        self._owner.acquire()
        try:
            self._writer = self._connect()
            self._check(self._writer)
            self._migrate(self._writer)
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only = ON")
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise self._refusal(error) from error
        except BaseException:
            self.close()
            raise
        self.restore_reserve()

    def open_parked(self) -> None:
        """Take a file on which nothing runs, to read it: not a byte of it changes before `unpark`.

        Raises:
            FileOwnedError: Another process has it.
            ForeignFileError: It is not ours.
            NewerFileError: It is from a newer version.
            UnusableFileError: It is not there, can't be read, or is from an older version.
        """
        if not self.file.is_file():
            raise UnusableFileError(self.file, "there is no such file")
        self._owner.acquire()
        try:
            # Nobody else writes, as we own it. Without a log beside it SQLite need not make files for itself either.
            log = self.file.with_name(self.file.name + "-wal")
            alone = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
            self._reader = sqlite3.connect(
                f"{self.file.absolute().as_uri()}?{alone}", uri=True, check_same_thread=False, isolation_level=None
            )
            self._check(self._reader)
            (version,) = self._reader.execute("PRAGMA user_version").fetchone()
            if not version:
                raise ForeignFileError(self.file, "it is empty")
            if version < VERSION:
                raise UnusableFileError(self.file, "its tables are of an older version: start its app on it once")
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise self._refusal(error) from error
        except BaseException:
            self.close()
            raise

    def unpark(self) -> None:
        """Make a file that was opened by `open_parked` writable, with room for its move; does nothing when it is."""
        if self._writer is not None:
            return
        if self._reader is not None:
            self._reader.close()
        self._writer = self._connect()
        self._migrate(self._writer)
        self._writer.executescript(MOVE_TABLES)
        self._reader = self._connect()
        self._reader.execute("PRAGMA query_only = ON")

    def _refusal(self, error: sqlite3.Error | OSError) -> ForeignFileError | UnusableFileError:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            return ForeignFileError(self.file, "it is not a SQLite database")
        return UnusableFileError(self.file, str(error))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, check_same_thread=False, isolation_level=None, timeout=0)
        connection.execute(f"PRAGMA cache_size = -{STORE_CACHE_KIB}")
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application_id != APPLICATION_ID and (tables or application_id or version):
            raise ForeignFileError(self.file, "it is another program's SQLite database")
        if version > VERSION:
            raise NewerFileError(self.file, version, VERSION)

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

    def close(self) -> None:
        """Close the connections and give the file free. What was committed stays."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        self._owner.release()

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
        """Give the rows of a query over what is committed."""
        reader = self._reader
        if reader is None:
            raise RuntimeError(f"the store {self.file} is closed")
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

    def _roll_back(self, error: sqlite3.OperationalError) -> None:
        writer = self._open_writer
        with contextlib.suppress(sqlite3.Error):
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        if (error.sqlite_errorcode & 0xFF) in _RETRIABLE:
            raise StoreBusyError(str(error)) from error
        raise error

    def spend_reserve(self) -> None:
        """Give the held-back disk free."""
        if not self.in_memory:
            self._reserve.unlink(missing_ok=True)

    def restore_reserve(self) -> bool:
        """Hold back some disk, to be given free when the disk is full; tells whether there was room."""
        if self.in_memory:
            return True
        try:
            self._reserve.write_bytes(bytes(DISK_RESERVE_BYTES))
        except OSError:
            self._reserve.unlink(missing_ok=True)
            return False
        return True


def _any_text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")
