"""Owns ports on loopback: which are free, and that a taken one is refused.

A port that was given out here is given to nobody else, not by other processes of the same user either,
until this process ends: a node that is restarted finds its port free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import Final

from restate_patterns.server.errors import PortTakenError, ServerError

_HOST: Final = "127.0.0.1"
_FIRST: Final = 20_000
_COUNT: Final = 12_000
"""Below the range from which systems take ports for outgoing connections: a client that tries a dead
server's port from that range can end up connected to itself."""

_STRIDE: Final = 131
"""Processes with neighbouring ids begin to look this far apart."""

_CONNECT_TIMEOUT_S: Final = 1.0


class _Given:
    """The ports this process has given out, each locked as one byte of a file that all processes share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: set[int] = set()
        self._file: int | None = None
        self._next = (os.getpid() * _STRIDE) % _COUNT

    def take(self) -> int:
        """Return a port that nobody has been given and nobody listens on."""
        with self._lock:
            for _ in range(_COUNT):
                port = _FIRST + self._next
                self._next = (self._next + 1) % _COUNT
                if port not in self._ports and self._reserve(port) and not is_taken(port):
                    self._ports.add(port)
                    return port
        raise ServerError(f"no port between {_FIRST} and {_FIRST + _COUNT} is free: stop what listens there")

    def _reserve(self, port: int) -> bool:
        if self._file is None:
            path = Path(tempfile.gettempdir()) / f"restate-patterns-ports-{os.getuid()}"
            # A descriptor, not a file object: it is held for as long as this process lives.
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(BlockingIOError, PermissionError):
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            return True
        return False


_GIVEN: Final = _Given()


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on, all different.

    Raises:
        ServerError: There are not so many.
    """
    return [_GIVEN.take() for _ in range(count)]


def is_taken(port: int) -> bool:
    """Say whether somebody listens on a port of the loopback interface.

    Asked in two ways, for a listener that shares its port (or listens on every address) lets others bind
    it on some systems, and one that is too busy to accept a connection does not answer.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return True
    with contextlib.suppress(OSError), socket.create_connection((_HOST, port), timeout=_CONNECT_TIMEOUT_S):
        return True
    return False


def refuse_taken(port: int, role: str = "", fix: str = "") -> None:
    """Make sure that nobody listens on a port.

    Args:
        port: On loopback.
        role: What it is to be, for the message.
        fix: How to choose another, for the message.

    Raises:
        PortTakenError: Somebody does; a server left over must not answer in a new one's place.
    """
    if is_taken(port):
        raise PortTakenError(port, role, fix)
