"""One owner per file: a lock on a file beside it that dies with the process."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from restate_patterns.embedded.file_errors import FileOwnedError, UnusableFileError
from restate_patterns.embedded.private_files import make_private


class OwnerLock:
    """Holds `FILE.lock` with `flock` from `acquire` to `release`.

    The lock is on a separate file because SQLite's own locks on the database are POSIX locks, which
    a process loses when it closes any descriptor of the file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._path = file.with_name(file.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write who holds it.

        Raises:
            FileOwnedError: Another process (or another engine of this one) has the file.
            UnusableFileError: The lock file can't be written.
        """
        try:
            make_private(self._path)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnusableFileError(self._file, f"its lock file can't be opened ({error.strerror})") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise FileOwnedError(self._file, owner or "an unknown process") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
