"""The Restate backend: the services as an endpoint in this process, run by a Restate server or a cluster of them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from typing_extensions import override

from restate_patterns.client.urls import checked_url
from restate_patterns.engine.backend import Backend, Hosted
from restate_patterns.errors import DefinitionError
from restate_patterns.limits import SHUTDOWN_GRACE_S
from restate_patterns.seam import Caller, Deployment

if TYPE_CHECKING:
    from restate_patterns.http.asgi import AsgiApp
    from restate_patterns.restate.endpoint import RestateEndpoint
    from restate_patterns.restate.remote import RemoteServer
    from restate_patterns.restate.serving import EndpointServer

_GRACE: Final = timedelta(seconds=SHUTDOWN_GRACE_S)
_PORT_MAX: Final = 65_535


class Restate(Backend):
    """Runs an app on a Restate server: it keeps journal, state and timers, and calls the services here.

    Needs the extra: `pip install "restate-patterns[restate]"`. `restate-patterns server run` starts a server.

    Args:
        ingress_url: Where the server takes calls; for clients, and for handlers that look at other invocations.
        admin_url: The server's admin API, where the services are registered.
        bind: `HOST:PORT` where the services are served, over HTTP/2 without TLS. Port 0 takes a free one.
        advertised_url: Under which URL the server reaches them. Default: that of `bind`.
        register: Whether the services are registered at the start, and then the app's schedules declared.
        force: Register also where another deployment of the same URL has invocations in flight.
        identity_keys: Public keys (`publickeyv1_...`) of servers whose requests are taken. Default: anybody's.
        token: For the ingress and the admin API, sent as `authorization: Bearer ...`.
        grace: How long open attempts may take to suspend when it stops.

    Raises:
        DefinitionError: An option makes no sense.
    """

    def __init__(
        self,
        *,
        ingress_url: str = "http://127.0.0.1:8080",
        admin_url: str = "http://127.0.0.1:9070",
        bind: str = "127.0.0.1:9080",
        advertised_url: str | None = None,
        register: bool = True,
        force: bool = False,
        identity_keys: Sequence[str] = (),
        token: str | None = None,
        grace: timedelta = _GRACE,
    ) -> None:
        if grace < timedelta(0):
            raise DefinitionError(f"Restate: grace={grace} must not be negative")
        self._ingress_url = _server_url("ingress_url", ingress_url)
        self._admin_url = _server_url("admin_url", admin_url)
        self._host, self._port = _host_and_port(bind)
        self._advertised_url = None if advertised_url is None else _server_url("advertised_url", advertised_url)
        self._register = register
        self._force = force
        self._identity_keys = tuple(identity_keys)
        self._token = token
        self._grace_s = grace.total_seconds()

    @override
    def start(self, deployment: Deployment) -> AbstractAsyncContextManager[Caller]:
        """Serve the services in this process, register them, and give what clients stand on; see `Backend.start`.

        Raises:
            PortError: The port is taken.
            RegistrationError: The server can't take the services; it says why, and what to do.
        """
        return self._running(deployment)

    @asynccontextmanager
    async def _running(self, deployment: Deployment) -> AsyncGenerator[Caller]:
        async with self._served(deployment) as (_, remote):
            yield remote.caller

    @override
    async def serve(self, deployment: Deployment, started: Callable[[], None]) -> None:
        """Serve and register the services until SIGTERM or SIGINT; see `Backend.serve`.

        Raises:
            PortError: The port is taken.
            RegistrationError: The server can't take the services; it says why, and what to do.
        """
        async with self._served(deployment) as (server, _):

            def listening() -> None:
                services = ", ".join(sorted(deployment.services))
                at = f", registered at {self._admin_url}" if self._register else ""
                print(  # noqa: T201 - what a person who starts a server looks for
                    f"serving {services} at {server.url}, process {os.getpid()}{at}", file=sys.stderr, flush=True
                )
                started()

            await server.serve_until_signal(listening)

    def asgi_app(self, app: Hosted) -> AsgiApp:
        """Return the services as an ASGI app, for whoever serves it: any ASGI server with HTTP/2, or a mount.

        Nothing is registered: `restate-patterns deployments register URL` does it once it is reachable.

        Args:
            app: The `App`.
        """
        return self._endpoint(app.deployment, self._remote(), hangs_up_first=False)

    def lambda_handler(self, app: Hosted) -> LambdaHandler:
        """Return the services as the handler of an AWS Lambda function.

        Args:
            app: The `App`.
        """
        made: LambdaHandler = _adapter("lambdas").lambda_handler(self.asgi_app(app))
        return made

    @asynccontextmanager
    async def _served(self, deployment: Deployment) -> AsyncGenerator[tuple[EndpointServer, RemoteServer]]:
        """Serve and register while the block lasts."""
        remote = self._remote()
        try:
            server: EndpointServer = _adapter("serving").EndpointServer(
                self._endpoint(deployment, remote, hangs_up_first=True),
                host=self._host,
                port=self._port,
                grace_s=self._grace_s,
            )
            async with server:
                if self._register:
                    await remote.admin.register(self._advertised_url or server.url, force=self._force)
                    await deployment.started(remote.caller)
                yield server, remote
        finally:
            await remote.aclose()

    def _remote(self) -> RemoteServer:
        made: RemoteServer = _adapter("remote").RemoteServer(self._ingress_url, self._admin_url, self._token)
        return made

    def _endpoint(self, deployment: Deployment, remote: RemoteServer, *, hangs_up_first: bool) -> RestateEndpoint:
        made: RestateEndpoint = _adapter("endpoint").endpoint_for(
            deployment, remote, self._identity_keys, hangs_up_first=hangs_up_first
        )
        return made


LambdaHandler: TypeAlias = Callable[[Any, Any], Any]
"""Takes an event and a context of AWS Lambda."""


def _adapter(module: str) -> Any:
    """Import a part of the adapter, which needs the SDK."""
    try:
        return importlib.import_module(f"restate_patterns.restate.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "restate":
            raise
        raise DefinitionError('the Restate backend needs the SDK: pip install "restate-patterns[restate]"') from None


def _host_and_port(bind: str) -> tuple[str, int]:
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > _PORT_MAX:
        raise DefinitionError(f"Restate: bind={bind!r} must be HOST:PORT, as in 127.0.0.1:9080")
    return host.strip("[]"), int(port)


def _server_url(name: str, url: str) -> str:
    try:
        return checked_url(url)
    except ValueError as error:
        raise DefinitionError(f"Restate: {name}: {error}") from None
