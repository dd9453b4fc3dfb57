"""Files that only the user of this process may read: what is in them is what callers sent."""

from __future__ import annotations

import os
from pathlib import Path

_MODE = 0o600


def make_private(path: Path) -> None:
    """Make a file, empty and for its owner alone whatever the umask is; one that is there keeps its mode.

    SQLite gives the files that it makes beside a database the mode of the database.

    Raises:
        OSError: It can't be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, _MODE)
    finally:
        os.close(descriptor)
