"""Ports to listen on: claimed for this process alone, or refused by name with what to do."""

from __future__ import annotations

import errno
import socket

from restate_patterns.http.granian_server import listen


class PortError(OSError):
    """A port cannot be listened on; the message names it and says what to do."""


def claim(host: str, port: int, name: str, option: str) -> socket.socket:
    """Listen on a port that nobody else has.

    Args:
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        name: What the port is for.
        option: How another one is chosen.

    Raises:
        PortError: It is taken, or may not be used.
    """
    try:
        return listen(host, port)
    except OSError as error:
        raise PortError(error.errno, _why_not(error, host, port, name, option)) from None


def url_of(host: str, port: int) -> str:
    """Give the URL under which this machine reaches a port bound on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _why_not(error: OSError, host: str, port: int, name: str, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the {name} port {port} on {host} is taken: stop what listens there, or choose another with {option}"
    if error.errno == errno.EACCES:
        return f"the {name} port {port} needs more rights than this process has: choose one above 1023 with {option}"
    return f"cannot listen on {host}:{port} for the {name}: {error.strerror or error}"
