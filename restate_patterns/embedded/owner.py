"""One owner per file: locks that die with the process, on the file itself and on one beside it.

It knows locks and names of files, not what is in them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from restate_patterns.embedded.file_errors import FileOwnedError, UnusableFileError
from restate_patterns.embedded.private_files import make_private
from restate_patterns.limits import OWNER_WAIT_S
from restate_patterns.system.forks import in_forked_child

_TRIES: Final = 10
_APART: Final = sys.platform == "linux"
"""Whether `flock` and the POSIX locks that SQLite takes on the file know nothing of each other."""
_CLOSE: Final = os.O_CLOEXEC | os.O_NOCTTY


class Identity(NamedTuple):
    """Which file it is, whatever it is called."""

    device: int
    inode: int


_held: Final[dict[Identity, OwnerLock]] = {}
_guard: Final = threading.Lock()


class OwnerLock:
    """Holds a file with `flock` from `acquire` to `release`, by its inode and by `FILE.lock`.

    The inode is what no other name leads around and nobody can remove. Its descriptor is closed after SQLite's:
    closing any descriptor of a file costs a process the POSIX locks on it. So a file that this process holds is
    never opened to see whether it does. `FILE.lock` says who holds it, and is all there is where `flock` on the file
    would meet SQLite's locks. A forked child lets go of both.

    Args:
        file: What errors call the file.
        path: Where it really is, without links.
    """

    def __init__(self, file: Path, path: Path) -> None:
        self._file = file
        self._path = path
        self._beside = path.with_name(path.name + ".lock")
        self._descriptors: dict[Path, int] = {}
        self._keep_from_child: Callable[[], None] = _nothing

    def acquire(self, *, create: bool) -> None:
        """Take the locks and write who holds them.

        Args:
            create: Make the file when it is not there.

        Raises:
            FileOwnedError: Another process, or another engine of this one, has the file.
            UnusableFileError: It is no file that can be opened, or it has a second name.
        """
        with _guard:
            self._keep_from_child = in_forked_child(self._forked)
            try:
                self._refuse_others(_found(self._path))
                self._lock(self._beside, os.O_RDWR | os.O_CREAT)
                self._lock(self._path, os.O_RDONLY | (os.O_CREAT if create else 0))
                self._refuse_second_name()
            except OSError as error:
                self.release()
                raise UnusableFileError(self._file, error.strerror or str(error)) from error
            except BaseException:
                self.release()
                raise
            _held[self.identity] = self
        self._sign()

    @property
    def identity(self) -> Identity:
        """Which file is held."""
        found = os.fstat(self._descriptors[self._path])
        return Identity(found.st_dev, found.st_ino)

    def _refuse_others(self, found: os.stat_result | None) -> None:
        if found is None:
            return
        if not stat.S_ISREG(found.st_mode):
            raise UnusableFileError(self._file, "it is a folder, a device or a pipe, no file")
        if Identity(found.st_dev, found.st_ino) in _held:
            raise FileOwnedError(self._file, _signature())

    def _refuse_second_name(self) -> None:
        count = os.fstat(self._descriptors[self._path]).st_nlink
        if count > 1:
            raise UnusableFileError(
                self._file,
                f"it has {count} names (hard links), and each would have a log of its own; keep one name, and remove "
                "the others or copy the file",
            )

    def _lock(self, path: Path, flags: int) -> None:
        if flags & os.O_CREAT:
            make_private(path)
        descriptor = self._descriptors[path] = os.open(path, flags | _CLOSE, 0o600)
        if not _APART and path == self._path:
            return
        for again in reversed(range(_TRIES)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not again:
                    raise FileOwnedError(self._file, self._owner(descriptor)) from None
                time.sleep(OWNER_WAIT_S / _TRIES)
            else:
                return

    def _owner(self, descriptor: int) -> str:
        """Say who has what a descriptor names: who signed, or who still has it open."""
        signed = ""
        with contextlib.suppress(OSError):
            signed = os.pread(self._descriptors[self._beside], 200, 0).decode(errors="replace").strip()
        having = _who_has_open(descriptor)
        named = re.match(r"process (\d+) ", signed)
        if not having or (named is not None and int(named[1]) in having):
            return signed or "an unknown process"
        others = "process " + ", ".join(str(pid) for pid in having)
        return f"{others} (a child of {signed}, which has ended)" if signed else others

    def _sign(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
            os.ftruncate(self._descriptors[self._beside], 0)
            os.pwrite(self._descriptors[self._beside], f"{_signature()}\n".encode(), 0)

    def keep(self) -> None:
        """Take the lock beside the file again when somebody has removed it.

        Raises:
            FileOwnedError: Another process was quicker.
            OSError: It can't be made.
        """
        found, mine = _found(self._beside), os.fstat(self._descriptors[self._beside])
        if found is not None and (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
            return
        os.close(self._descriptors.pop(self._beside))
        self._lock(self._beside, os.O_RDWR | os.O_CREAT)
        self._sign()

    def release(self) -> None:
        """Give the file free; does nothing when it is not held. SQLite must have closed it before."""
        self._keep_from_child()
        if self._path in self._descriptors and _held.get(self.identity) is self:
            del _held[self.identity]
        self._close()

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def _forked(self) -> None:
        if _guard.locked():  # whoever held it does not exist in the child
            _guard.release()
        _held.clear()
        self._close()


def _nothing() -> None: ...


def _signature() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _who_has_open(descriptor: int) -> list[int]:
    """Give the processes, of those we may look at, that have the file of a descriptor open."""
    mine = os.fstat(descriptor)
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for other in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    there = other.stat()
                    if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                        found.append(int(process.name))
                        break
    return sorted(pid for pid in found if pid != os.getpid())
