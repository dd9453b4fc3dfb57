"""The backends of this project as the contract sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from typing_extensions import override

from restate_patterns import Client, Definition
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.deployment import AppDeployment
from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.engine_port import InvocationStatus
from restate_patterns.limits import INACTIVITY_TIMEOUT_MS
from restate_patterns.seam import Caller, InvocationRef, Request, StepResult
from restate_patterns.testing.contract import Admin, Host, Running


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
        self._client = Client.over(LatestCaller(self))
        self._admin = EmbeddedAdmin(self)
        self.engine = self._new_engine()

    def _new_engine(self) -> Engine:
        return Engine(self._deployment, self._store, inactivity_timeout_ms=self._timeout_ms)

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
        await self.engine.crash()
        self.engine = self._new_engine()
        await self.engine.start()


class LatestCaller(Caller):
    """Calls the engine of the moment."""

    def __init__(self, running: EmbeddedRunning) -> None:
        self._running = running

    @property
    def _caller(self) -> EngineCaller:
        return EngineCaller(self._running.engine)

    @override
    async def call(self, request: Request, timeout_s: float | None) -> bytes:
        return await self._caller.call(request, timeout_s)

    @override
    async def send(self, request: Request, delay_ms: int) -> str:
        return await self._caller.send(request, delay_ms)

    @override
    async def attach(self, ref: InvocationRef, timeout_s: float | None) -> bytes:
        return await self._caller.attach(ref, timeout_s)

    @override
    async def output(self, ref: InvocationRef) -> bytes | None:
        return await self._caller.output(ref)

    @override
    async def cancel(self, ref: InvocationRef) -> None:
        await self._caller.cancel(ref)

    @override
    async def complete_awakeable(self, awakeable_id: str, result: StepResult) -> None:
        await self._caller.complete_awakeable(awakeable_id, result)


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


HOSTS: dict[str, Callable[[Path], Host]] = {
    "embedded-memory": lambda _: EmbeddedHost("embedded, in memory"),
    "embedded-file": lambda folder: EmbeddedHost("embedded, on a file", folder / "contract.db"),
    "embedded-always-replays": lambda _: EmbeddedHost("embedded, replays at every wait", timeout_ms=0),
}
"""How each is made, in a folder of its own, by the id of its tests."""
