"""Disk held back beside the file: given free when the disk is full, so that accepted work can finish."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from restate_patterns.embedded.private_files import make_private
from restate_patterns.limits import DISK_PROBE_BYTES, DISK_RESERVE_BYTES
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT}
_NO_ALLOCATION: Final = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV}
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Reserve:
    """`FILE.reserve`, which is there while there is room.

    Args:
        path: Where it is; None for a store in memory, which has none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._warned = False

    def spend(self) -> None:
        """Give the disk free."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def restore(self) -> bool:
        """Hold the disk back; tells whether there is room for new work.

        Where a reserve can't be made for another reason than room, work goes on without one, with a warning.
        """
        try:
            self._hold(DISK_RESERVE_BYTES)
        except OSError as error:
            self.spend()
            if error.errno in _NO_ROOM:
                return False
            if not self._warned:
                self._warned = True
                _logger.warning("no disk is held back in %s (%s): work goes on without", self._path, error.strerror)
        return True

    def no_room(self) -> bool:
        """Tell whether the disk takes no more, or this user's quota of it is used up."""
        try:
            self._hold(DISK_RESERVE_BYTES + DISK_PROBE_BYTES)
        except OSError as error:
            return error.errno in _NO_ROOM
        return False

    def _hold(self, size_bytes: int) -> None:
        if self._path is None:
            return
        make_private(self._path)
        descriptor = os.open(self._path, _FLAGS, 0o600)
        try:
            _allocate(descriptor, size_bytes)
        finally:
            os.close(descriptor)


def _allocate(descriptor: int, size_bytes: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except AttributeError:  # macOS
        _fill(descriptor, size_bytes)
    except OSError as error:
        if error.errno not in _NO_ALLOCATION:
            raise
        _fill(descriptor, size_bytes)


def _fill(descriptor: int, size_bytes: int) -> None:
    written = 0
    while written < size_bytes:
        written += os.pwrite(descriptor, bytes(size_bytes - written), written)
