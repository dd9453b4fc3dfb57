"""The endpoint on a port of this process: how it starts, and how it leaves without losing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self

from restate_patterns.http.granian_server import GranianServer
from restate_patterns.http.ports import claim, url_of
from restate_patterns.http.signals import stop_signals
from restate_patterns.limits import JOURNAL_WINDOW_BYTES
from restate_patterns.restate.endpoint import RestateEndpoint
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns")

_CLOSE_S: Final = 0.5
"""How long connections may take to close once nothing runs on them."""

_WIND_DOWN_S: Final = 0.05
"""Granian's threads say nothing when they end; one that outlives the interpreter panics on stderr."""


class EndpointServer:
    """Serves an endpoint over HTTP/2 without TLS, which is what a Restate server speaks to services.

    Args:
        endpoint: What answers.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        grace_s: How long open attempts may take to suspend when it stops, in seconds.
    """

    def __init__(self, endpoint: RestateEndpoint, *, host: str, port: int, grace_s: float) -> None:
        self._endpoint = endpoint
        self._host = host
        self._port = port
        self._grace_s = grace_s
        self._server: GranianServer | None = None

    @property
    def url(self) -> str:
        """Where it is; once started with the real port, also where 0 was asked for."""
        return url_of(self._host, self._port)

    async def start(self) -> None:
        """Listen and serve; requests are answered when this returns.

        Raises:
            PortError: The port is taken, or may not be used.
        """
        listening = claim(self._host, self._port, "endpoint", "--bind (in code: bind=)")
        self._port = listening.getsockname()[1]
        self._server = GranianServer(self._endpoint, listening, window_bytes=JOURNAL_WINDOW_BYTES)
        await self._server.start()

    async def stop(self, *, hurry: Coroutine[object, object, object] | None = None) -> None:
        """Refuse new attempts, let open ones suspend within the grace, then close.

        Args:
            hurry: When it is done the rest of the grace is cut.
        """
        server, self._server = self._server, None
        if server is None:
            return
        left = await self._drained(hurry)
        if left:
            _logger.warning("left %d attempts that were still open at shutdown; the server tries them again", left)
        self._endpoint.abandon()
        server.stop_accepting()
        closed = asyncio.ensure_future(server.closed())
        await asyncio.wait({closed}, timeout=_CLOSE_S)
        closed.cancel()
        await asyncio.gather(closed, return_exceptions=True)
        await asyncio.sleep(_WIND_DOWN_S)

    async def _drained(self, hurry: Coroutine[object, object, object] | None) -> int:
        """Let open attempts suspend; gives how many did not in time."""
        waited: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._endpoint.drain(self._grace_s))}
        if hurry is not None:
            waited.add(asyncio.ensure_future(hurry))
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        for waiting in waited:
            waiting.cancel()
        return self._endpoint.open_count

    async def serve_until_signal(self, started: Callable[[], object]) -> None:
        """Serve until SIGTERM or SIGINT, then stop; a second signal cuts the grace short.

        Args:
            started: Called once, when requests are answered.
        """
        async with stop_signals() as signals:
            try:
                started()
                arrived = await signals.next()
                _logger.info("%s: letting open attempts suspend (%s s at most)", arrived.name, self._grace_s)
            finally:
                await self.stop(hurry=signals.next())

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
