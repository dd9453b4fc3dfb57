"""A caller whose calls survive crashes of the engine, as a careful client's would."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from typing_extensions import override

from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.embedded.engine import Engine
from restate_patterns.engine.errors import InvocationCompleted
from restate_patterns.errors import AlreadyInvoked
from restate_patterns.seam import (
    RUN_HANDLER,
    Caller,
    IdempotencyRef,
    InvocationRef,
    Request,
    ServiceKind,
    Target,
    ValueOrFailure,
    WorkflowRef,
)

T = TypeVar("T")


class Engines(Protocol):
    """Where the engine of the moment is found."""

    engine: Engine
    """The engine of the moment; it may be down."""

    async def running(self) -> Engine:
        """Return the engine, waiting for a restart that is under way."""
        ...

    def crashed(self) -> asyncio.Future[None]:
        """Return a future that is done when the engine of the moment has crashed."""
        ...

    @property
    def down(self) -> bool:
        """Whether there is no engine at the moment: it has died and the next one is not up."""
        ...

    def die(self) -> None:
        """Let the engine of the moment crash, here and now."""
        ...


class WatchedWaits(Protocol):
    """Knows who waits for the end of an invocation, and whether it can come."""

    def watching(
        self, ref: InvocationRef, asking: asyncio.Task[Any]
    ) -> AbstractContextManager[asyncio.Future[Exception]]:
        """Watch a wait of the running task within a `with`; the future is done with what to raise if it has no end."""
        ...


class SurvivingCaller(Caller):
    """Asks again after a crash, under an idempotency key, so that everything happens once.

    Args:
        engines: Where the engine of the moment is found.
        waits: Watches the waits for the end of an invocation.
    """

    def __init__(self, engines: Engines, waits: WatchedWaits) -> None:
        self._engines = engines
        self._waits = waits
        self._numbers = itertools.count(1)

    async def _ask(
        self, ask: Callable[[EngineCaller, bool], Coroutine[Any, Any, T]], ends: InvocationRef | None = None
    ) -> T:
        asked_before = False
        while True:
            engine = await self._engines.running()
            crashed = self._engines.crashed()
            asking = asyncio.create_task(ask(EngineCaller(engine), asked_before))
            try:
                if ends is None:
                    await _first_of(asking, crashed)
                else:
                    with self._waits.watching(ends, asking) as given_up:
                        await _first_of(asking, crashed, given_up)
                    if given_up.done() and not given_up.cancelled() and not asking.done():
                        raise given_up.result()
            finally:
                if not asking.done():
                    asking.cancel()
            if asking.done() and not asking.cancelled():
                # A dead engine refuses what it is asked, also when the next one is up by now.
                died = self._engines.down or crashed.done()
                if not (died and asking.exception()):
                    return asking.result()
            asked_before = True

    def _keyed(self, request: Request) -> Request:
        target = request.target
        if request.idempotency_key is not None or self._is_run(target):
            return request  # a workflow's run happens once by itself
        return replace(request, idempotency_key=f"test-{next(self._numbers)}")

    def _is_run(self, target: Target) -> bool:
        service = self._engines.engine.services.get(target.service)
        return target.handler == RUN_HANDLER and service is not None and service.kind is ServiceKind.WORKFLOW

    @override
    async def call(self, request: Request, timeout_s: float | None) -> bytes:
        keyed = self._keyed(request)

        async def ask(caller: EngineCaller, asked_before: bool) -> bytes:
            try:
                return await caller.call(keyed, timeout_s)
            except AlreadyInvoked:
                if not asked_before or keyed.target.key is None:
                    raise
                return await caller.attach(WorkflowRef(keyed.target.service, keyed.target.key), timeout_s)

        return await self._ask(ask, _ref_of(keyed))

    @override
    async def send(self, request: Request, delay_ms: int) -> str:
        keyed = self._keyed(request)
        return await self._ask(lambda caller, _: caller.send(keyed, delay_ms))

    @override
    async def attach(self, ref: InvocationRef, timeout_s: float | None) -> bytes:
        return await self._ask(lambda caller, _: caller.attach(ref, timeout_s), ref)

    @override
    async def output(self, ref: InvocationRef) -> bytes | None:
        return await self._ask(lambda caller, _: caller.output(ref))

    @override
    async def cancel(self, ref: InvocationRef) -> None:
        async def ask(caller: EngineCaller, asked_before: bool) -> None:
            try:
                await caller.cancel(ref)
            except InvocationCompleted:
                if not asked_before:
                    raise

        await self._ask(ask)

    @override
    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        await self._ask(lambda caller, _: caller.complete_awakeable(awakeable_id, result))

    @override
    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        await self._ask(lambda caller, _: caller.complete_signal(ref, name, result))


async def _first_of(*waited: asyncio.Future[Any]) -> None:
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)


def _ref_of(keyed: Request) -> InvocationRef:
    target = keyed.target
    if keyed.idempotency_key is None:
        return WorkflowRef(target.service, target.key or "")
    return IdempotencyRef(target, keyed.idempotency_key)
