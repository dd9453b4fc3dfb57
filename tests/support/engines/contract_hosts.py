"""The backends of this project as the contract sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from typing_extensions import override

from restate_patterns import Client, Definition
from restate_patterns.admin import AdminClient
from restate_patterns.api.deployment import AppDeployment
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.engine.interface import EngineInterface, InvocationStatus
from restate_patterns.http.server import HttpServer
from restate_patterns.limits import INACTIVITY_TIMEOUT_MS
from restate_patterns.testing.contract import Admin, Host, Running
from tests.support.engines.client_admin import ClientAdmin
from tests.support.restate.restate_host import RestateHost


class EmbeddedHost(Host):
    """The embedded engine, which dies by losing what is not committed.

    Args:
        name: What the table of differences calls it.
        file: The file, or `:memory:`.
        timeout_ms: How long an idle invocation stays in memory; 0 replays at every wait.
    """

    def __init__(self, name: str, file: str | Path = ":memory:", *, timeout_ms: int = INACTIVITY_TIMEOUT_MS) -> None:
        self._name = name
        self._file = file
        self._timeout_ms = timeout_ms

    @property
    @override
    def name(self) -> str:
        return self._name

    @property
    @override
    def differences(self) -> Mapping[str, str]:
        return {}

    @override
    def start(self, definitions: Sequence[Definition]) -> AbstractAsyncContextManager[Running]:
        return self._running(AppDeployment(definitions))

    @asynccontextmanager
    async def _running(self, deployment: AppDeployment) -> AsyncGenerator[Running]:
        running = EmbeddedRunning(deployment, Store(self._file), self._timeout_ms)
        await running.engine.start()
        try:
            yield running
        finally:
            await running.engine.stop()


class EmbeddedRunning(Running):
    """An engine in this process; after a restart, the next one on the same store."""

    def __init__(self, deployment: AppDeployment, store: Store, timeout_ms: int) -> None:
        self._deployment = deployment
        self._store = store
        self._timeout_ms = timeout_ms
        self._admin = EmbeddedAdmin(self)
        self.engine = self._new_engine()

    def _new_engine(self) -> Engine:
        return Engine(self._deployment, self._store, inactivity_timeout_ms=self._timeout_ms)

    @property
    @override
    def client(self) -> Client:
        return Client.over(EngineCaller(self.engine))

    @property
    @override
    def admin(self) -> Admin:
        return self._admin

    @override
    async def restart(self) -> None:
        await self.engine.crash()
        self.engine = self._new_engine()
        await self.engine.start()


class EmbeddedAdmin(Admin):
    """The verbs of the engine of the moment."""

    def __init__(self, running: EmbeddedRunning) -> None:
        self._running = running

    @override
    async def paused_because(self, id: str) -> str | None:
        view = (await self._running.engine.describe_invocation(id)).view
        return view.last_failure or "" if view.status is InvocationStatus.PAUSED else None

    @override
    async def kill(self, id: str) -> None:
        await self._running.engine.kill(id)

    @override
    async def pause(self, id: str) -> None:
        await self._running.engine.pause(id)

    @override
    async def resume(self, id: str) -> None:
        await self._running.engine.resume(id)

    @override
    async def restart_as_new(self, id: str) -> str:
        return await self._running.engine.restart_as_new(id)

    @override
    async def purge(self, id: str) -> None:
        await self._running.engine.purge(id)


class ServedHost(Host):
    """The embedded engine behind its HTTP face, with a client over sockets."""

    @property
    @override
    def name(self) -> str:
        return "embedded, over HTTP"

    @property
    @override
    def differences(self) -> Mapping[str, str]:
        return {"signals.resolved_from_outside": "servers have no request for it; a handler does it"}

    @override
    def start(self, definitions: Sequence[Definition]) -> AbstractAsyncContextManager[Running]:
        return self._running(AppDeployment(definitions))

    @asynccontextmanager
    async def _running(self, deployment: AppDeployment) -> AsyncGenerator[Running]:
        running = EmbeddedRunning(deployment, Store(":memory:"), INACTIVITY_TIMEOUT_MS)
        await running.engine.start()
        server = HttpServer(cast("EngineInterface", LatestEngine(running)), ingress_port=0, admin_port=0)
        await server.start()
        try:
            async with (
                Client(server.ingress_url, admin_url=server.admin_url) as client,
                AdminClient(server.admin_url) as admin,
            ):
                yield ServedRunning(running, client, admin)
        finally:
            await server.stop(0)
            await running.engine.stop()


class LatestEngine:
    """The engine of the moment: the ports stay where they are when it dies."""

    def __init__(self, running: EmbeddedRunning) -> None:
        self._running = running

    def __getattr__(self, name: str) -> Any:
        return getattr(self._running.engine, name)


class ServedRunning(Running):
    """A running engine and its server."""

    def __init__(self, inside: EmbeddedRunning, client: Client, admin: AdminClient) -> None:
        self._inside = inside
        self._client = client
        self._admin = ClientAdmin(admin)

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
        await self._inside.restart()


HOSTS: dict[str, Callable[[Path], Host]] = {
    "embedded-memory": lambda _: EmbeddedHost("embedded, in memory"),
    "embedded-file": lambda folder: EmbeddedHost("embedded, on a file", folder / "contract.db"),
    "embedded-http": lambda _: ServedHost(),
    "embedded-always-replays": lambda _: EmbeddedHost("embedded, replays at every wait", timeout_ms=0),
    "restate": lambda _: RestateHost("a Restate server"),
    "restate-always-suspends": lambda _: RestateHost(
        "a Restate server that suspends at every wait", inactivity_timeout=timedelta(0)
    ),
}
"""How each is made, with a folder for its files, by the id of its tests. Making one starts nothing."""
