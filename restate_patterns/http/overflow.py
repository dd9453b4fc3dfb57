"""What becomes of connections that a server cannot take, because it has as many as it may.

Its own accepting stops then, without a word. This looks now and then whether connections are left waiting;
if the server is full it closes those that are idle, and while none is, it answers 503 in its place.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from restate_patterns.http.asgi import Response

FULL: Final = "this server has as many connections as it may (the system's limit on open files, `ulimit -n`): try again"
"""Why a connection is not taken."""

_LOOK_S: Final = 0.25
_CLOSED_MAX: Final = 64
_REFUSED_MAX: Final = 16
"""How many are refused at a look; each takes a descriptor until the next."""

_SPARE_COUNT: Final = 4
"""Descriptors held back, without which a full process could not even accept a connection to refuse it."""

_READ_BYTES: Final = 64 * 1024
_HTTP2_PREFACE: Final = b"PRI * HTTP/2"
_SETTINGS: Final = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_GO_AWAY, _CALM_DOWN = 7, 11

Peer = tuple[str, int]


class Overflow:
    """Watches one listening socket.

    Args:
        listening: The socket, a duplicate of the server's; this owns it.
        connections_max: How many connections the server takes.
        refusal: The answer for those beyond.
        busy: Gives the clients that have a request open, as (host, port); without it no connection counts as idle.
    """

    def __init__(
        self,
        listening: socket.socket,
        connections_max: int,
        refusal: Response,
        busy: Callable[[], Container[Peer]] | None,
    ) -> None:
        self._listening = listening
        self._port: int = listening.getsockname()[1]
        self._connections_max = connections_max
        self._refusal = refusal
        self._busy = busy
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._poll.register(listening, select.POLLIN)
        self._were_waiting = False
        self._were_idle: set[Peer] = set()
        self._leaving: list[socket.socket] = []
        self._spare: list[int] = []
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        self._hold_back()

    def close(self) -> None:
        """Look no more; the port is free then as far as this goes."""
        self._timer.cancel()
        self._let_leave()
        self._give_back()
        self._listening.close()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        self._let_leave()
        waiting = bool(self._poll.poll(0))
        if waiting and self._were_waiting:
            # The server had its time to accept them. Listing descriptors takes one.
            short = self._give_back()
            self._relieve(short=short)
        else:
            self._were_idle = set()
        self._were_waiting = waiting
        self._hold_back()

    def _relieve(self, *, short: bool) -> None:
        connections = dict(_connections_of(self._port))
        if not short and len(connections) < self._connections_max:
            return
        if self._busy is not None:
            busy = self._busy()
            idle = {peer for peer in connections if peer not in busy}
            closable = idle & self._were_idle
            self._were_idle = idle
            for peer in list(closable)[:_CLOSED_MAX]:
                _hang_up(connections[peer], peer)
            if idle:
                return
        self._turn_away()

    def _turn_away(self) -> None:
        for _ in range(_REFUSED_MAX):
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._leaving.append(connection)
            connection.setblocking(False)
            with suppress(OSError):
                begun = connection.recv(_READ_BYTES) if _is_readable(connection) else b""
                connection.send(_go_away(self._refusal) if begun.startswith(_HTTP2_PREFACE) else _wire(self._refusal))
                connection.shutdown(socket.SHUT_WR)

    def _let_leave(self) -> None:
        """Close what was refused at the last look: what its client sent since is taken, or it would lose the answer."""
        for connection in self._leaving:
            with suppress(OSError):
                connection.recv(_READ_BYTES)
            connection.close()
        self._leaving = []

    def _hold_back(self) -> None:
        while len(self._spare) < _SPARE_COUNT:
            try:
                self._spare.append(os.dup(self._listening.fileno()))
            except OSError:
                return

    def _give_back(self) -> bool:
        """Free what was held back; tells whether the process had no more than that."""
        short = len(self._spare) < _SPARE_COUNT
        if not short:
            try:
                os.close(os.dup(self._spare[0]))
            except OSError:
                short = True
        while self._spare:
            os.close(self._spare.pop())
        return short


def _connections_of(port: int) -> Iterator[tuple[Peer, int]]:
    """Give the client and the descriptor of each connection that this process has accepted at a port."""
    for entry in Path("/dev/fd").iterdir():
        with suppress(OSError):
            accepted = socket.socket(fileno=int(entry.name))
            try:
                peer = _peer_at(accepted, port)
            finally:
                accepted.detach()
            if peer is not None:
                yield peer, int(entry.name)


def _peer_at(accepted: socket.socket, port: int) -> Peer | None:
    if accepted.family not in (socket.AF_INET, socket.AF_INET6) or accepted.getsockname()[1] != port:
        return None
    host, peer_port = accepted.getpeername()[:2]
    return host, peer_port


def _hang_up(descriptor: int, peer: Peer) -> None:
    with suppress(OSError):
        idle = socket.socket(fileno=descriptor)
        try:
            if idle.getpeername()[:2] == peer:
                idle.shutdown(socket.SHUT_RDWR)
        finally:
            idle.detach()


def _is_readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _wire(answer: Response) -> bytes:
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body)), (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d Service Unavailable\r\n%b\r\n%b" % (answer.status, lines, answer.body)


def _go_away(answer: Response) -> bytes:
    """Code the end of a connection of HTTP/2; the reason is what the answer would have said."""
    payload = bytes(4) + _CALM_DOWN.to_bytes(4, "big") + answer.body
    return _SETTINGS + len(payload).to_bytes(3, "big") + bytes([_GO_AWAY, 0]) + bytes(4) + payload
