"""When the code of the running program changes: the files it has loaded, and their folders."""

from __future__ import annotations

import sys
from pathlib import Path

from watchfiles import (
    PythonFilter,
    awatch,  # pyright: ignore[reportUnknownVariableType] - names trio's Event too
)


async def next_change() -> Path:
    """Wait until a Python file changes in the working folder or beside a module loaded from it."""
    async for changes in awatch(*watched_folders(Path.cwd()), watch_filter=PythonFilter(), recursive=False):
        return Path(min(path for _, path in changes))
    raise AssertionError("watching ended by itself")


def watched_folders(root: Path) -> list[Path]:
    """Give `root` and the folders below it that modules were loaded from, without environments."""
    folders = {root}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        folder = Path(file).resolve().parent
        if folder.is_relative_to(root) and not _is_installed(folder):
            folders.add(folder)
    return sorted(folders)


def _is_installed(folder: Path) -> bool:
    return "site-packages" in folder.parts or folder.is_relative_to(sys.prefix)
