"""An engine for tests: services from plain functions over an attempt, a clock that stands still, restarts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from typing_extensions import override

from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import HandlerOptions
from restate_patterns.seam import (
    RUN_HANDLER,
    Attempt,
    Deployment,
    HandlerInfo,
    HandlerKind,
    Invocation,
    Operations,
    Request,
    ServiceInfo,
    ServiceKind,
    Target,
)
from restate_patterns.testing.clock import VirtualClock
from tests.support.bounds import PATIENCE_S

Body: TypeAlias = Callable[[DurableAttempt], Coroutine[Any, Any, bytes]]
T = TypeVar("T")


class Functions(Deployment):
    """Services whose handlers are functions of an attempt, by path: `S/f`, `O/key/f` is `O/f`."""

    def __init__(self) -> None:
        self._bodies: dict[tuple[str, str], Body] = {}
        self._services: dict[str, ServiceInfo] = {}

    @property
    @override
    def services(self) -> dict[str, ServiceInfo]:
        return self._services

    @override
    def attempt(self, invocation: Invocation, operations: Operations) -> Attempt:
        body = self._bodies[(invocation.target.service, invocation.target.handler)]
        return DurableAttempt(invocation, operations, body)

    def handler(self, path: str, kind: HandlerKind = HandlerKind.STATELESS, **options: Any) -> Callable[[Body], Body]:
        """Register a function as `Service/handler`."""
        service, name = path.split("/")
        service_kind = {
            HandlerKind.STATELESS: ServiceKind.SERVICE,
            HandlerKind.WORKFLOW: ServiceKind.WORKFLOW,
        }.get(kind, ServiceKind.VIRTUAL_OBJECT)

        def register(body: Body) -> Body:
            self._bodies[(service, name)] = body
            found = self._services.setdefault(service, ServiceInfo(service, service_kind, {}))
            handlers = {**found.handlers, name: HandlerInfo(name, kind, HandlerOptions(**options))}
            self._services[service] = ServiceInfo(service, found.kind, handlers)
            return body

        return register

    def exclusive(self, path: str, **options: Any) -> Callable[[Body], Body]:
        """Register an exclusive handler of an object."""
        return self.handler(path, HandlerKind.EXCLUSIVE, **options)

    def shared(self, path: str, **options: Any) -> Callable[[Body], Body]:
        """Register a shared handler of an object or workflow."""
        return self.handler(path, HandlerKind.SHARED, **options)

    def workflow(self, service: str, **options: Any) -> Callable[[Body], Body]:
        """Register the run of a workflow."""
        return self.handler(f"{service}/{RUN_HANDLER}", HandlerKind.WORKFLOW, **options)


def request(path: str, body: bytes = b"", *, idempotency_key: str | None = None) -> Request:
    """Give a request for `Service/handler` or `Object/key/handler`."""
    parts = path.split("/")
    target = Target(parts[0], parts[-1], parts[1] if len(parts) == 3 else None)
    return Request(target, body, {}, idempotency_key)


class Bench:
    """A running engine that can be crashed and started again on what was durable."""

    def __init__(
        self,
        deployment: Deployment,
        store: Store,
        clock: VirtualClock,
        timeout_ms: int,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self.deployment = deployment
        self.store = store
        self.clock = clock
        self._timeout_ms = timeout_ms
        self._fatal = fatal
        self.engine = self._new_engine()

    def _new_engine(self) -> Engine:
        return Engine(
            self.deployment, self.store, self.clock, inactivity_timeout_ms=self._timeout_ms, fatal=self._fatal
        )

    async def call(self, path: str, body: bytes = b"", *, idempotency_key: str | None = None) -> bytes:
        """Call and give the output; a failure is raised as AssertionError with its code and message."""
        result = await bounded(self.engine.call(request(path, body, idempotency_key=idempotency_key)))
        if result.failure is not None:
            raise AssertionError(f"{result.failure.code} {result.failure.message}")
        return result.value or b""

    async def send(self, path: str, body: bytes = b"", delay_ms: int | None = None) -> str:
        """Send and give the invocation id."""
        return (await bounded(self.engine.submit(request(path, body), delay_ms))).invocation_id

    async def restart(self) -> None:
        """Crash, and start again."""
        await self.engine.crash()
        self.engine = self._new_engine()
        await self.engine.start()

    async def settle(self) -> None:
        """Wait until nothing more happens without the clock or somebody outside."""

        async def quiet() -> None:
            still = 0
            while still < 3:
                await asyncio.sleep(0)
                still = still + 1 if self.engine.core.quiet else 0
                if self.engine.core.steps.any_running():
                    await asyncio.sleep(0.001)

        await bounded(quiet())

    async def advance(self, by: timedelta) -> None:
        """Let time pass; what becomes due happens in order."""
        await self.settle()
        end_ms = self.clock.monotonic_ms() + by.total_seconds() * 1000
        while self.clock.step_to(end_ms):
            await self.settle()
        await self.settle()


class FaultyStore(Store):
    """A store on a disk that can be full or broken."""

    broken = False

    def fill_up(self) -> None:
        """Let SQLite find no further page."""
        (pages,) = self._open_writer.execute("PRAGMA page_count").fetchone()
        self._open_writer.execute(f"PRAGMA max_page_count = {pages}")

    def make_room(self) -> None:
        """Let SQLite find pages again."""
        self._open_writer.execute("PRAGMA max_page_count = 1000000")

    @override
    def commit(self) -> None:
        if self.broken:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        super().commit()


def _unexpected(error: BaseException) -> None:
    raise AssertionError("the engine could not write its file") from error


async def bounded(work: Awaitable[T]) -> T:
    """Wait for something, at most `PATIENCE_S` seconds."""
    return await asyncio.wait_for(work, PATIENCE_S)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, at most `PATIENCE_S` seconds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def bench(
    deployment: Deployment,
    *,
    file: Path | None = None,
    store: Store | None = None,
    clock: VirtualClock | None = None,
    timeout_ms: int = 60_000,
    fatal: Callable[[BaseException], None] = _unexpected,
) -> AsyncIterator[Bench]:
    """Run an engine in memory, on a file, or on a given store."""
    found = Bench(deployment, store or Store(file or ":memory:"), clock or VirtualClock(), timeout_ms, fatal)
    await found.engine.start()
    try:
        yield found
    finally:
        await found.engine.stop()
