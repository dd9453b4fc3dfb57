"""Owns which Restate server this framework works with, and how it is found in a folder.

Knows nothing of how it gets there.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Final, cast

from restate_patterns.server.errors import (
    DEFAULT_DIRECTORY,
    ServerMissingError,
    ServerVersionError,
    UnsupportedPlatformError,
)

VERSION: Final = "1.7.12"
"""The version of the server; the only place where it is written."""

PACKAGE: Final = "@restatedev/restate-server"

_SYSTEMS: Final = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def platform_name(system: str | None = None, machine: str | None = None) -> str:
    """Return npm's name of a platform, as in `linux-x64`.

    Args:
        system: The system, as `platform.system()` names it. Default: this one.
        machine: The processor, as `platform.machine()` names it. Default: this one.

    Raises:
        UnsupportedPlatformError: No server is built for it.
    """
    system, machine = system or platform.system(), machine or platform.machine()
    try:
        return f"{_SYSTEMS[system]}-{_MACHINES[machine.lower()]}"
    except KeyError:
        raise UnsupportedPlatformError(system, machine) from None


def package_directory(directory: Path) -> Path:
    """Return the folder of the npm package with this platform's binary, under an install folder."""
    return directory / "node_modules" / f"{PACKAGE}-{platform_name()}"


def installed_version(directory: Path) -> str | None:
    """Return the version of the server that is installed in a folder, or None."""
    package = package_directory(directory)
    if not (package / "bin" / "restate-server").is_file():
        return None
    try:
        described = cast("object", json.loads((package / "package.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    return str(cast("dict[str, object]", described).get("version")) if isinstance(described, dict) else None


def installed(directory: Path = DEFAULT_DIRECTORY) -> Path:
    """Return the path of the server that is installed in a folder.

    Raises:
        ServerMissingError: There is none.
        ServerVersionError: It is of another version.
        UnsupportedPlatformError: No server is built for this machine.
    """
    found = installed_version(directory)
    if found is None:
        raise ServerMissingError(directory)
    if found != VERSION:
        raise ServerVersionError(found, VERSION, directory)
    return (package_directory(directory) / "bin" / "restate-server").resolve()
