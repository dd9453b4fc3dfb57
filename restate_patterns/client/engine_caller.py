"""`seam.Caller` over an engine in this process: the same face as over HTTP, without the network."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager

from typing_extensions import override

from restate_patterns.client.errors import RequestRefused
from restate_patterns.client.translate import outside_error, terminal_error
from restate_patterns.engine.errors import EngineError, InvocationCompleted
from restate_patterns.engine.interface import CompletedResult, EngineInterface
from restate_patterns.errors import TerminalError
from restate_patterns.seam import Caller, HandlerKind, InvocationRef, Request, ValueOrFailure
from restate_patterns.values.storage_checks import checked_ref, checked_request, checked_result, checked_text


class EngineCaller(Caller):
    """Calls handlers of an engine that runs in the same event loop.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: EngineInterface) -> None:
        self._engine = engine
        self._services = engine.services

    @override
    async def call(self, request: Request, timeout_s: float | None) -> bytes:
        request = self._checked(request)
        try:
            if timeout_s is None:
                result = await self._engine.call(request)
            else:
                result = await _within(timeout_s, self._engine.call(request), str(request.target))
        except (EngineError, TerminalError) as error:
            raise outside_error(error) from None
        return _output(result)

    @override
    async def send(self, request: Request, delay_ms: int) -> str:
        request = self._checked(request)
        with _translated():
            return (await self._engine.submit(request, delay_ms or None)).invocation_id

    @override
    async def attach(self, ref: InvocationRef, timeout_s: float | None) -> bytes:
        with _translated():
            result = await _within(timeout_s, self._engine.result(checked_ref(ref)), str(ref))
        return _output(result)

    @override
    async def output(self, ref: InvocationRef) -> bytes | None:
        with _translated():
            found = await self._engine.output(checked_ref(ref))
        return None if found is None else _output(found)

    @override
    async def cancel(self, ref: InvocationRef) -> None:
        with _translated():
            ref = checked_ref(ref)
            try:
                await self._engine.cancel(ref if isinstance(ref, str) else await self._engine.resolve_ref(ref))
            except InvocationCompleted:
                return

    @override
    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        with _translated():
            await self._engine.complete_awakeable(
                checked_text(awakeable_id, "the awakeable id"), checked_result(result, "the answer of {}", awakeable_id)
            )

    @override
    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        name = checked_text(name, "the name of a signal")
        result = checked_result(result, "the answer of the signal {!r}", name)
        with _translated():
            await self._engine.complete_signal(checked_ref(ref), name, result)

    def _checked(self, request: Request) -> Request:
        """Give what the ingress would take."""
        request = checked_request(request)
        service = self._services.get(request.target.service)
        handler = None if service is None else service.handlers.get(request.target.handler)
        if handler is None:
            return request
        if handler.options.private:
            raise RequestRefused(message="the invoked service is not public")
        if handler.kind is HandlerKind.WORKFLOW and request.idempotency_key:
            raise RequestRefused(
                message="a workflow runs once per key: an idempotency key cannot be given to its run handler"
            )
        return request


async def _within(
    timeout_s: float | None, waiting: Coroutine[object, object, CompletedResult], what: str
) -> CompletedResult:
    try:
        async with asyncio.timeout(timeout_s):
            return await waiting
    except TimeoutError:
        raise TimeoutError(f"{what} took over {timeout_s} s; the invocation goes on") from None


def _output(result: CompletedResult) -> bytes:
    if result.failure is not None:
        raise terminal_error(result.failure)
    return result.value or b""


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (EngineError, TerminalError) as error:
        raise outside_error(error) from None
