"""When the code of the running program changes: the files it has loaded, and their neighbours.

It looks instead of being told by the system: what counts is any difference from what was there when
this process began to load, so that no edit falls between loading and watching.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

from restate_patterns.system.clock import wall_ms

_LOOK_EACH_S: Final = 0.25

Signature = tuple[int, int]
"""Time of the last modification in nanoseconds, and size in bytes."""


class SourceWatch:
    """The Python files in a folder, and beside each module loaded from below it.

    Args:
        root: The folder; make this before anything is loaded from it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._started_ns = wall_ms() * 1_000_000
        self._folders: set[Path] = {root}
        self._modules_count = 0
        self._seen: dict[Path, dict[Path, Signature]] = {root: _sources(root)}

    async def changed(self) -> Path:
        """Wait until a file differs from what was loaded; gives the first such file."""
        while True:
            found = self.look()
            if found is not None:
                return found
            await asyncio.sleep(_LOOK_EACH_S)

    def look(self) -> Path | None:
        """Give a file that differs, or None."""
        if len(sys.modules) != self._modules_count:
            self._modules_count = len(sys.modules)
            self._folders = loaded_folders(self._root)
        for folder in sorted(self._folders):
            now = _sources(folder)
            before = self._seen.get(folder)
            if before is None:
                # Loaded since the start, so what was written since the start may be newer than what was loaded.
                before = {path: sign for path, sign in now.items() if sign[0] < self._started_ns}
            self._seen[folder] = now
            differing = [path for path in {**before, **now} if before.get(path) != now.get(path)]
            if differing:
                return min(differing)
        return None


def loaded_folders(root: Path) -> set[Path]:
    """Give `root` and the folders below it that modules were loaded from, without environments."""
    folders = {root}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            folder = Path(file).parent
            if folder.is_relative_to(root) and not _is_installed(folder):
                folders.add(folder)
    return folders


def _is_installed(folder: Path) -> bool:
    return "site-packages" in folder.parts or folder.is_relative_to(sys.prefix)


def _sources(folder: Path) -> dict[Path, Signature]:
    found: dict[Path, Signature] = {}
    for path in folder.glob("*.py"):
        try:
            status = path.stat()
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found
