"""Apps under test: an engine in memory that suspends at every wait, a client of it, and what paused."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from restate_patterns import App, Client, InvocationHandle
from restate_patterns.api.definitions import Definition
from restate_patterns.api.deployment import AppDeployment
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.engine.interface import InvocationStatus
from tests.support.engines.engines import Bench, bench


@dataclass(frozen=True)
class RunningApp:
    """An app on a clock that stands still."""

    bench: Bench

    @property
    def client(self) -> Client:
        """A client of its services."""
        return Client.over(EngineCaller(self.bench.engine))

    async def pause_of(self, handle: InvocationHandle[object]) -> str:
        """Give why an invocation was paused, and kill it."""
        await self.bench.settle()
        view = (await self.bench.engine.describe_invocation(handle.id)).view
        assert view.status is InvocationStatus.PAUSED, (view.status, view.last_failure)
        await self.bench.engine.kill(handle.id)
        return view.last_failure or ""


@asynccontextmanager
async def running(*definitions: Definition, timeout_ms: int = 0) -> AsyncGenerator[RunningApp]:
    """Run definitions; with a timeout of 0 every wait suspends and replays."""
    async with bench(AppDeployment(definitions), timeout_ms=timeout_ms) as found:
        yield RunningApp(found)


@asynccontextmanager
async def running_app(app: App, *, timeout_ms: int = 0) -> AsyncGenerator[RunningApp]:
    """Run an app on its own; see `running`."""
    async with bench(app.deployment, timeout_ms=timeout_ms) as found:
        yield RunningApp(found)
