"""A Restate server as the contract sees it: the services are an endpoint in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

from typing_extensions import override

from restate_patterns import Client, Definition
from restate_patterns.api.deployment import AppDeployment
from restate_patterns.http.granian_server import GranianServer
from restate_patterns.http.ports import claim
from restate_patterns.restate.endpoint import RestateEndpoint
from restate_patterns.restate.host import Host as EndpointHost
from restate_patterns.restate.identity import IdentityCheck
from restate_patterns.restate.remote import RemoteServer
from restate_patterns.server import install, running_server
from restate_patterns.testing.contract import Admin, Host, Running
from tests.support.engines.client_admin import ClientAdmin
from tests.support.restate.restate_differences import DIFFERENCES, SUSPENDING_DIFFERENCES
from tests.support.restate.servers import INSTALL_DIRECTORY, quick_config


class RestateHost(Host):
    """A server of its own.

    Args:
        name: What the table of differences calls it.
        inactivity_timeout: After how long it suspends an idle invocation; None leaves that to the server.
    """

    def __init__(self, name: str, *, inactivity_timeout: timedelta | None = None) -> None:
        self._name = name
        self._inactivity_timeout = inactivity_timeout

    @property
    @override
    def name(self) -> str:
        return self._name

    @property
    @override
    def differences(self) -> Mapping[str, str]:
        return DIFFERENCES if self._inactivity_timeout is None else SUSPENDING_DIFFERENCES

    @override
    def start(self, definitions: Sequence[Definition]) -> AbstractAsyncContextManager[Running]:
        return self._running(AppDeployment(definitions))

    @asynccontextmanager
    async def _running(self, deployment: AppDeployment) -> AsyncGenerator[Running]:
        config = quick_config(install(INSTALL_DIRECTORY), inactivity_timeout=self._inactivity_timeout)
        async with running_server(config) as server:
            remote = RemoteServer(server.ingress_url, server.admin_url)
            running = RestateRunning(deployment, remote)
            await running.begin()
            try:
                await remote.admin.register(running.url)
                yield running
            finally:
                await running.die()
                await remote.aclose()


class RestateRunning(Running):
    """An endpoint in this process; after a restart, the next one on the same port."""

    def __init__(self, deployment: AppDeployment, remote: RemoteServer) -> None:
        self._deployment = deployment
        self._remote = remote
        self._client = Client.over(remote.caller)
        self._admin = ClientAdmin(remote.admin)
        self._port = 0
        self._host: EndpointHost | None = None
        self._endpoint: RestateEndpoint | None = None
        self._server: GranianServer | None = None

    @property
    def url(self) -> str:
        """Where the server finds it."""
        return f"http://127.0.0.1:{self._port}"

    async def begin(self) -> None:
        """Serve."""
        listening = claim("127.0.0.1", self._port, "endpoint", "")
        self._port = listening.getsockname()[1]
        self._host = EndpointHost(self._deployment, self._remote)
        self._endpoint = RestateEndpoint(self._host, IdentityCheck(), hangs_up_first=True)
        self._server = GranianServer(self._endpoint, listening)
        await self._server.start()

    async def die(self) -> None:
        """Drop every attempt and every step where they are."""
        assert self._server is not None
        assert self._endpoint is not None
        assert self._host is not None
        self._server.stop_accepting()
        self._endpoint.abandon()
        await self._host.steps.drain(0)
        await asyncio.wait({asyncio.ensure_future(self._server.closed())}, timeout=1)

    @property
    @override
    def client(self) -> Client:
        return self._client

    @property
    @override
    def admin(self) -> Admin:
        return self._admin

    @override
    async def restart(self) -> None:
        await self.die()
        await self.begin()
