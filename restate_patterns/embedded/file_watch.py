"""Looks again and again whether what is written still goes to the file that the next start will read."""

from __future__ import annotations

import asyncio

from restate_patterns.embedded.file_errors import FileError, LostFileError
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.store import Store
from restate_patterns.limits import FILE_LOOK_S


class FileWatch:
    """Ends the log when its file is gone from its place, or has another content than was written.

    Disks know no virtual clock, so this goes by the loop's.

    Args:
        store: The open store.
        log: Ended with a `FileError`; knows what was written.
        epoch: The boot epoch, as in the file.
    """

    def __init__(self, store: Store, log: Log, epoch: int) -> None:
        self._store = store
        self._log = log
        self._epoch = epoch
        self._alarm: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look now, and every `FILE_LOOK_S`."""
        if self._store.in_memory or self._log.closed:
            return
        try:
            self.run_once()
        except FileError as error:
            self._log.fail(error)
        else:
            self._alarm = asyncio.get_running_loop().call_later(FILE_LOOK_S, self.start)

    def stop(self) -> None:
        """Look no more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def run_once(self) -> None:
        """Look once.

        Raises:
            LostFileError: What is written from now on would be lost.
            FileError: Another process took the file's lock, or the file can't be read.
        """
        reason = self._store.lost()
        if reason is not None:
            raise LostFileError(self._store.file, reason)
        found = dict(self._store.read("SELECT name, value FROM meta WHERE name IN ('epoch', 'sequence')"))
        if found.get("epoch") != self._epoch or not self._log.may_have_written(found.get("sequence", 0)):
            raise LostFileError(self._store.file, "was overwritten (it has another content than was written)")
