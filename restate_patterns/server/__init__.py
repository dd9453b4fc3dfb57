"""A Restate server, or a cluster of them, on this machine: for development, tests and benchmarks.

It is installed from npm into a folder of the project, and runs on loopback only. Nothing here knows the
engine or the services that such a server calls.
"""

from __future__ import annotations

from restate_patterns.server.config import ServerConfig, Setting
from restate_patterns.server.errors import (
    DEFAULT_DIRECTORY,
    DataDirectoryError,
    DownloadError,
    NoNpmError,
    PortTakenError,
    ServerBrokenError,
    ServerDiedError,
    ServerError,
    ServerMissingError,
    ServerVersionError,
    UnsupportedPlatformError,
)
from restate_patterns.server.identity import public_key
from restate_patterns.server.installation import install
from restate_patterns.server.ports import free_ports, refuse_taken
from restate_patterns.server.release import VERSION, installed
from restate_patterns.server.running import Node, RunningServer, running_server

__all__ = [
    "DEFAULT_DIRECTORY",
    "VERSION",
    "DataDirectoryError",
    "DownloadError",
    "NoNpmError",
    "Node",
    "PortTakenError",
    "RunningServer",
    "ServerBrokenError",
    "ServerConfig",
    "ServerDiedError",
    "ServerError",
    "ServerMissingError",
    "ServerVersionError",
    "Setting",
    "UnsupportedPlatformError",
    "free_ports",
    "install",
    "installed",
    "public_key",
    "refuse_taken",
    "running_server",
]
