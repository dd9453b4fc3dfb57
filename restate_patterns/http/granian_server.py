"""Granian as an ASGI server on a socket of ours, inside our event loop.

Granian speaks HTTP/1.1 and HTTP/2 with prior knowledge on one port. Its own listening socket lets other
processes share the port; this one is bound by us and does not.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Container
from typing import Final, Protocol, cast

from granian import net
from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server
from typing_extensions import override

from restate_patterns.http.asgi import AsgiApp, Response
from restate_patterns.http.descriptors import connections_allowed
from restate_patterns.http.overflow import FULL, Overflow, Peer
from restate_patterns.limits import REQUEST_HEAD_S, WAITING_CALLERS_MAX
from restate_patterns.system.forks import in_forked_child, replace_descriptors

_BACKLOG: Final = 1024
_STREAMS_MAX: Final = WAITING_CALLERS_MAX + 1000
_WINDOW_BYTES: Final = 1024 * 1024
_TICKS_TO_SPAWN: Final = 3

_FULL: Final = Response(503, [(b"content-type", b"text/plain"), (b"retry-after", b"1")], FULL.encode())

# Granian's default would replace every logging handler of the process; this leaves them alone.
_LOGGING: Final[dict[str, object]] = {
    "incremental": True,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}},
}


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; nobody else can share the port.

    Raises:
        OSError: The port is taken or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


class GranianServer:
    """Serves one ASGI app on one listening socket.

    Args:
        app: What answers.
        listening: A socket from `listen`; this owns it now.
        window_bytes: What a peer may have sent on one HTTP/2 connection and the app not read. Half of it is also
            what small frames may cost before the connection is taken for an attack and closed.
        connections_max: How many connections it takes. Default: as many as the process may have.
        refusal: The answer for those beyond.
        busy: Gives the clients that have a request open: when it is full, others make room for new ones.
    """

    def __init__(
        self,
        app: AsgiApp,
        listening: socket.socket,
        *,
        window_bytes: int = _WINDOW_BYTES,
        connections_max: int | None = None,
        refusal: Response = _FULL,
        busy: Callable[[], Container[Peer]] | None = None,
    ) -> None:
        self._connections_max = connections_max or connections_allowed()
        self._refusal = refusal
        self._busy = busy
        self._overflow: Overflow | None = None
        self._watched = listening.dup()
        self._listening = listening
        # A forked child that outlives this process would keep the port.
        self._keep_from_child = in_forked_child(replace_descriptors(listening.fileno()))
        self._server = cast("_Embedded", _SocketServer(app, listening, window_bytes, self._connections_max))
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve in the running loop; connections that came since `listen` are not lost."""
        self._overflow = Overflow(self._watched, self._connections_max, self._refusal, self._busy)
        self._serving = asyncio.get_running_loop().create_task(self._server.serve(), name="http server")
        # The task must have spawned its worker, and that task run once, before either may be stopped.
        for _ in range(_TICKS_TO_SPAWN):
            await asyncio.sleep(0)

    def stop_accepting(self) -> None:
        """Refuse new connections; requests that are being answered go on."""
        self._keep_from_child()
        if self._overflow is not None:
            self._overflow.close()
        self._watched.close()
        self._server.stop()
        self._listening.close()

    async def closed(self) -> None:
        """Wait until every connection has been closed in good order.

        An HTTP/2 client that is idle and does not read keeps its connection, and this wait: bound it. What
        is left then ends with the loop. (Cancelling Granian's tasks instead makes it raise later.)
        """
        if self._serving is not None:
            await asyncio.shield(self._serving)


class _SocketServer(Server):
    """Granian's embedded server on a socket that exists."""

    def __init__(self, app: AsgiApp, listening: socket.socket, window_bytes: int, connections_max: int) -> None:
        host, port = listening.getsockname()[:2]
        super().__init__(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            websockets=False,
            backlog=_BACKLOG,
            backpressure=connections_max,
            http1_settings=HTTP1Settings(header_read_timeout=int(REQUEST_HEAD_S * 1000)),
            http2_settings=HTTP2Settings(
                max_concurrent_streams=_STREAMS_MAX, initial_connection_window_size=window_bytes
            ),
            log_level=LogLevels.error,
            log_dictconfig=_LOGGING,
        )
        self._listening = listening

    @override
    def _init_shared_socket(self) -> None:
        # Granian owns the descriptor from here, and closes it when it stops accepting.
        holder = cast("_SocketHolder", vars(net)["SocketHolder"])
        vars(self)["_shd"] = holder(self._listening.detach(), False, _BACKLOG)


class _SocketHolder(Protocol):
    """A constructor that Granian's stubs leave out."""

    def __call__(self, descriptor: int, is_unix_socket: bool, backlog: int) -> object: ...


class _Embedded(Protocol):
    """The part of Granian's embedded server used here, with the types it does not declare."""

    async def serve(self) -> None: ...

    def stop(self) -> None: ...
