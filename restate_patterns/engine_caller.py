"""Calls from this process to an engine in it: what typed clients stand on without HTTP."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from restate_patterns.engine_errors import WorkflowAlreadyInvoked
from restate_patterns.engine_port import CompletedResult, EnginePort
from restate_patterns.errors import AlreadyInvoked
from restate_patterns.failures import from_failure
from restate_patterns.seam import Caller, InvocationRef, Request, StepResult


class EngineCaller(Caller):
    """Calls an engine that runs in the same event loop.

    Args:
        engine: Where invocations run.
    """

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine

    @override
    async def call(self, request: Request, timeout_s: float | None) -> bytes:
        async with asyncio.timeout(timeout_s):
            try:
                return _value(await self._engine.call(request))
            except WorkflowAlreadyInvoked:
                raise AlreadyInvoked from None

    @override
    async def send(self, request: Request, delay_ms: int) -> str:
        return (await self._engine.submit(request, delay_ms or None)).invocation_id

    @override
    async def attach(self, ref: InvocationRef, timeout_s: float | None) -> bytes:
        async with asyncio.timeout(timeout_s):
            return _value(await self._engine.result(ref))

    @override
    async def output(self, ref: InvocationRef) -> bytes | None:
        result = await self._engine.output(ref)
        return None if result is None else _value(result)

    @override
    async def cancel(self, ref: InvocationRef) -> None:
        await self._engine.cancel(await self._engine.resolve_ref(ref))

    @override
    async def complete_awakeable(self, awakeable_id: str, result: StepResult) -> None:
        await self._engine.complete_awakeable(awakeable_id, result)


def _value(result: CompletedResult) -> bytes:
    if result.failure is not None:
        raise from_failure(result.failure)
    return result.value or b""
