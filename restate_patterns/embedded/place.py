"""Where an owned file is, with what lies beside it, and whether it is still there.

It knows paths and identities, not what is in the files.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from restate_patterns.embedded.owner import Identity, OwnerLock


class Place:
    """The real path of a file, held by this process from `take` to `release`.

    Args:
        file: What errors call the file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.path = file
        """Where it really is, without links, once it is taken."""
        self._owner: OwnerLock | None = None
        self._log_identity: Identity | None = None

    def take(self, *, create: bool) -> None:
        """Hold the file; see `OwnerLock.acquire`."""
        self.path = Path(os.path.realpath(self._file))
        owner = OwnerLock(self._file, self.path)
        owner.acquire(create=create)
        self._owner = owner

    def release(self) -> None:
        """Give the file free; does nothing when it is not held. SQLite must have closed it before."""
        if self._owner is not None:
            self._owner.release()
        self.leave()

    def leave(self) -> None:
        """Forget the file without giving anything free: a forked child holds nothing."""
        self._owner = self._log_identity = None

    def beside(self, ending: str) -> Path:
        """Give the path of what lies beside the file."""
        return self.path.with_name(self.path.name + ending)

    def has_log(self) -> bool:
        """Tell whether SQLite's log lies beside the file, with something in it."""
        log = self.beside("-wal")
        return log.exists() and log.stat().st_size > 0

    def forget_log(self) -> None:
        """Expect another log: SQLite makes one at each opening."""
        self._log_identity = None

    def lost(self) -> str | None:
        """Say what happened to the file when its path leads to it no longer; None while all is well.

        Raises:
            FileOwnedError: Its lock was removed, and another process took it.
        """
        if self._owner is None:
            return None
        for path, known in ((self.path, self._owner.identity), (self.beside("-wal"), self._log_identity)):
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                if known is not None:
                    return f"was moved or removed ({path} is gone)"
            except OSError:
                return None  # it can't be looked at now
            else:
                identity = Identity(found.st_dev, found.st_ino)
                if known is None:
                    self._log_identity = identity
                elif identity != known:
                    return f"was replaced ({path} is another file)"
        with contextlib.suppress(OSError):
            self._owner.keep()
        return None
