"""Ingress and admin on their ports, from start to a shutdown in good order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Final, Self

from restate_patterns.engine.interface import EngineInterface
from restate_patterns.http.admin import Admin
from restate_patterns.http.callers import Callers
from restate_patterns.http.descriptors import connections_allowed
from restate_patterns.http.door import Door
from restate_patterns.http.exposure import Exposure
from restate_patterns.http.granian_server import GranianServer
from restate_patterns.http.ingress import Ingress
from restate_patterns.http.ports import PortError, claim, url_of
from restate_patterns.http.signals import stop_signals
from restate_patterns.limits import ENGINE_GRACE_S, SHUTDOWN_GRACE_S
from restate_patterns.system.grace import Grace
from restate_patterns.text.log_lines import logger_named

_LOG = logger_named(__name__)

_FLUSH_S: Final = 0.5
"""How long answers that were given may still be on their way to a client at the end."""


_ADMIN_SHARE: Final = 8
"""Of how many connections one is the admin's, so that it answers while the ingress is full."""

_WIND_DOWN_S: Final = 0.05
_ON_LOOPBACK: Final = Exposure()


class HttpServer:
    """The HTTP face of an engine.

    Args:
        engine: What answers; it must run in the same event loop.
        exposure: Where it listens and who may ask. Default: loopback only, and no page of another origin.
        ingress_port: Port of the ingress; 0 takes a free one.
        admin_port: Port of the admin API; 0 takes a free one.
    """

    def __init__(
        self,
        engine: EngineInterface,
        *,
        exposure: Exposure = _ON_LOOPBACK,
        ingress_port: int = 8080,
        admin_port: int = 9070,
    ) -> None:
        self._engine = engine
        self._exposure = exposure
        self._ingress_port = ingress_port
        self._admin_port = admin_port
        self._doors: list[Door] = []
        self._servers: list[GranianServer] = []

    @property
    def ingress_port(self) -> int:
        """The port of the ingress; once started the real one, also where 0 was asked for."""
        return self._ingress_port

    @property
    def admin_port(self) -> int:
        """The port of the admin API; once started the real one, also where 0 was asked for."""
        return self._admin_port

    @property
    def ingress_url(self) -> str:
        """Where the ingress is, once started."""
        return url_of(self._exposure.host, self._ingress_port)

    @property
    def admin_url(self) -> str:
        """Where the admin API is, once started."""
        return url_of(self._exposure.admin_host, self._admin_port)

    async def start(self) -> None:
        """Listen and serve; requests are answered when this returns.

        Raises:
            PortError: A port is taken, or may not be used; nothing is listened on then.
        """
        ingress = _claim(self._exposure.host, self._ingress_port, "ingress")
        try:
            admin = _claim(self._exposure.admin_host, self._admin_port, "admin")
        except PortError:
            ingress.close()
            raise
        self._ingress_port = ingress.getsockname()[1]
        self._admin_port = admin.getsockname()[1]
        connections = connections_allowed()
        admin_max = connections // _ADMIN_SHARE + 1
        ingress_max = connections - admin_max
        self._doors = [
            Door(Ingress(self._engine, Callers(ingress_max)), self._exposure.ingress_guard()),
            Door(
                Admin(self._engine, ingress_url=self.ingress_url, callers=Callers(admin_max)),
                self._exposure.admin_guard(),
            ),
        ]
        self._servers = [
            _server(self._doors[0], ingress, ingress_max),
            _server(self._doors[1], admin, admin_max),
        ]
        for server in self._servers:
            await server.start()

    async def stop(
        self, grace_s: float = SHUTDOWN_GRACE_S, *, hurry: Coroutine[object, object, object] | None = None
    ) -> None:
        """Stop accepting, let running requests finish for up to `grace_s` seconds, then leave.

        A request over that bound is answered with 503; its invocation goes on at the next start.

        Args:
            grace_s: The bound, in seconds.
            hurry: When it is done the rest of the grace is cut.
        """
        for server in self._servers:
            server.stop_accepting()
        if not await self._drained(grace_s, hurry):
            left = sum(door.abandon() for door in self._doors)
            _LOG.warning("left %d requests that were still open at shutdown", left)
            await self._drained(_FLUSH_S)
        closed = [asyncio.ensure_future(server.closed()) for server in self._servers]
        if closed:
            await asyncio.wait(closed, timeout=_FLUSH_S)
        for waiting in closed:
            waiting.cancel()
        await asyncio.gather(*closed, return_exceptions=True)
        if closed:
            # Granian's threads say nothing when they end; one that outlives the interpreter panics on stderr.
            await asyncio.sleep(_WIND_DOWN_S)
        self._servers = []

    async def serve_until_signal(
        self,
        grace_s: float = SHUTDOWN_GRACE_S,
        *,
        started: Callable[[], None] = lambda: None,
        then: Callable[[Grace], Awaitable[None]] | None = None,
    ) -> None:
        """Start, serve until SIGTERM or SIGINT, and stop; a second signal cuts the grace short.

        Args:
            grace_s: How long all of the end may take, in seconds.
            started: Called once, when requests are answered.
            then: Ends what is behind this server, in the time that is left.
        """
        async with stop_signals() as signals:
            await self.start()
            try:
                started()
                arrived = await signals.next()
                _LOG.info("%s: finishing the running requests (%s s at most)", arrived.name, grace_s)
            finally:
                grace = Grace(grace_s, signals.next())
                await self.stop(grace.left_s(0.0 if then is None else ENGINE_GRACE_S), hurry=grace.hurried())
                if then is not None:
                    await then(grace)
                grace.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _drained(self, timeout_s: float, hurry: Coroutine[object, object, object] | None = None) -> bool:
        """Wait for the end of all requests; says whether it came in time."""
        drained = asyncio.ensure_future(self._all_drained())
        waited: set[asyncio.Future[object]] = {drained}
        if hurry is not None:
            waited.add(asyncio.ensure_future(hurry))
        try:
            await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            return drained.done()
        finally:
            for waiting in waited:
                waiting.cancel()

    async def _all_drained(self) -> object:
        for door in self._doors:
            await door.drained()
        return None


def _server(door: Door, listening: socket.socket, connections_max: int) -> GranianServer:
    return GranianServer(door, listening, connections_max=connections_max, refusal=door.refusal(), busy=door.clients)


def _claim(host: str, port: int, name: str) -> socket.socket:
    return claim(host, port, name, f"--{name}-port (in code: {name}_port=)")
