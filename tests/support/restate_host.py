"""A Restate server as the contract sees it: the services are an endpoint in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
from typing_extensions import override

from restate_patterns import Client, Definition
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.deployment import AppDeployment
from restate_patterns.http.granian_server import GranianServer
from restate_patterns.http.ports import claim
from restate_patterns.restate.endpoint import RestateEndpoint
from restate_patterns.restate.host import Host as EndpointHost
from restate_patterns.restate.identity import IdentityCheck
from restate_patterns.server import RunningServer
from restate_patterns.testing.contract import Admin, Host, Running
from tests.support.restate_differences import DIFFERENCES

POLL_S = 0.02


class RestateHost(Host):
    """A running server.

    Args:
        name: What the table of differences calls it.
        server: The server.
    """

    def __init__(self, name: str, server: RunningServer) -> None:
        self._name = name
        self._server = server

    @property
    @override
    def name(self) -> str:
        return self._name

    @property
    @override
    def differences(self) -> Mapping[str, str]:
        return DIFFERENCES

    @override
    def start(self, definitions: Sequence[Definition]) -> AbstractAsyncContextManager[Running]:
        return self._running(AppDeployment(definitions))

    @asynccontextmanager
    async def _running(self, deployment: AppDeployment) -> AsyncGenerator[Running]:
        caller = HttpCaller(self._server.ingress_url, admin_url=self._server.admin_url)
        async with httpx.AsyncClient(base_url=self._server.admin_url, timeout=20) as admin:
            running = RestateRunning(deployment, caller, admin)
            await running.begin()
            try:
                answer = await admin.post("/deployments", json={"uri": running.url, "force": True})
                assert answer.is_success, answer.text
                yield running
                await admin.delete(f"/deployments/{answer.json()['id']}?force=true")
            finally:
                await running.die()
                await caller.aclose()


class RestateRunning(Running):
    """An endpoint in this process; after a restart, the next one on the same port."""

    def __init__(self, deployment: AppDeployment, caller: HttpCaller, admin: httpx.AsyncClient) -> None:
        self._deployment = deployment
        self._caller = caller
        self._client = Client.over(caller)
        self._admin = RestateAdmin(admin)
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
        self._host = EndpointHost(self._deployment, self._caller)
        self._endpoint = RestateEndpoint(self._host, IdentityCheck())
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


class RestateAdmin(Admin):
    """The operator's verbs, on the server's admin API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @override
    async def paused_because(self, id: str) -> str | None:
        query = f"SELECT status, last_failure FROM sys_invocation WHERE id = '{id}'"
        answer = await self._http.post("/query", json={"query": query}, headers={"accept": "application/json"})
        rows = answer.json()["rows"]
        return rows[0].get("last_failure", "") if rows and rows[0]["status"] == "paused" else None

    @override
    async def kill(self, id: str) -> None:
        await self._do(id, "kill")

    @override
    async def pause(self, id: str) -> None:
        await self._do(id, "pause")

    @override
    async def resume(self, id: str) -> None:
        await self._do(id, "resume")

    @override
    async def restart_as_new(self, id: str) -> str:
        new_id: str = (await self._do(id, "restart-as-new"))["new_invocation_id"]
        return new_id

    @override
    async def purge(self, id: str) -> None:
        await self._do(id, "purge")

    async def _do(self, id: str, verb: str) -> dict[str, str]:
        answer = await self._http.patch(f"/invocations/{id}/{verb}")
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}
