"""What can be wrong with the engine's file; each is a sentence that names the fix.

* `FileError`
    * `FileOwnedError`: another process has it open.
    * `ForeignFileError`: it is not a file of this engine.
    * `NewerFileError`: it was written by a newer version.
    * `UnusableFileError`: it can't be opened, read or written.
    * `DamagedFileError`: it is ours, and something in it is not as it must be.
    * `LostFileError`: it was removed or replaced while an engine ran on it.
    * `FileMovedError`: what it has went to a server, or is on its way there.
"""

from __future__ import annotations

from pathlib import Path


class FileError(Exception):
    """The engine's file can't be used; nothing in it was changed."""


class FileOwnedError(FileError):
    """Another process owns the file."""

    def __init__(self, file: Path, owner: str) -> None:
        super().__init__(
            f"{file} is in use by {owner}. One process owns an embedded file at a time: stop that one first, "
            "or send your requests to its HTTP port"
        )


class ForeignFileError(FileError):
    """The file is not one of ours."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(
            f"{file} is not a file of the embedded engine ({reason}). Nothing was changed; give another file name"
        )


class NewerFileError(FileError):
    """The file has a newer schema than this version knows."""

    def __init__(self, file: Path, found: int, known: int) -> None:
        super().__init__(
            f"{file} has schema version {found}, this version of restate-patterns knows up to {known}. "
            "Nothing was changed; install the newer version that wrote it"
        )


class UnusableFileError(FileError):
    """The file can't be opened, read or written."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file} can't be used: {reason}. Check the path, the permissions and the disk")


class DamagedFileError(FileError):
    """The file is one of ours, and something in it is not as an engine leaves it."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(
            f"{file} is damaged: {reason}. Nothing was changed; put the right file or a backup in its place, and no "
            f"{file.name}-wal beside it but its own"
        )


class LostFileError(FileError):
    """The file that is served is no longer the one at its path."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(
            f"{file} {reason} while it was served, and what is written now would be lost: stop the process before you "
            "move, remove or replace its file, or the files beside it"
        )


class FileMovedError(FileError):
    """What the file has is on a Restate server, or half of it is."""

    def __init__(self, file: Path, to: str, *, done: bool) -> None:
        if done:
            sentence = (
                f"{file} has moved to the Restate server at {to}, where everything goes on: serve the app there "
                "(`restate-patterns serve MODULE:APP --backend restate`)"
            )
        else:
            sentence = (
                f"{file} is on its way to the Restate server at {to}, and a part of it is there: finish that "
                f"(`restate-patterns migrate {file} --to {to}`)"
            )
        super().__init__(f"{sentence}, or take the file back with `restate-patterns migrate {file} --undo`")
        self.to = to
        self.done = done
