"""A caller of a cluster: what a node does not answer is asked of the next one.

A request without an idempotency key is only asked again when it was surely not sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from typing_extensions import override

from restate_patterns.client.errors import ClientError, ServerUnreachable
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import Caller, InvocationRef, Request, ValueOrFailure

_ONCE: Final = RetryPolicy(max_attempts=1)
_PAUSE_S: Final = 0.05

T = TypeVar("T")


class Failover(Caller):
    """Asks one node until it fails, then the next.

    Args:
        ingress_urls: Of every node.
        admin_urls: Of every node, in the same order.
        silence_s: After how many seconds without an answer the next node is asked.
        patience_s: After how many seconds of failures the last one is raised.
    """

    def __init__(
        self, ingress_urls: Sequence[str], admin_urls: Sequence[str], *, silence_s: float, patience_s: float
    ) -> None:
        self._nodes = [
            HttpCaller(ingress, admin_url=admin, retries=_ONCE)
            for ingress, admin in zip(ingress_urls, admin_urls, strict=True)
        ]
        self._silence_s = silence_s
        self._patience_s = patience_s
        self._turn = 0
        self.failures: Counter[str] = Counter()
        """How often a node did not answer, by the class of the error."""

    async def aclose(self) -> None:
        """Close the connections."""
        for node in self._nodes:
            await node.aclose()

    @override
    async def call(self, request: Request, timeout_s: float | None) -> bytes:
        return await self._asked(lambda node: node.call(request, timeout_s), repeatable=bool(request.idempotency_key))

    @override
    async def send(self, request: Request, delay_ms: int) -> str:
        return await self._asked(lambda node: node.send(request, delay_ms), repeatable=bool(request.idempotency_key))

    @override
    async def attach(self, ref: InvocationRef, timeout_s: float | None) -> bytes:
        return await self._asked(lambda node: node.attach(ref, timeout_s))

    @override
    async def output(self, ref: InvocationRef) -> bytes | None:
        return await self._asked(lambda node: node.output(ref))

    @override
    async def cancel(self, ref: InvocationRef) -> None:
        await self._asked(lambda node: node.cancel(ref))

    @override
    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        await self._asked(lambda node: node.complete_awakeable(awakeable_id, result))

    @override
    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        await self._asked(lambda node: node.complete_signal(ref, name, result))

    async def _asked(self, ask: Callable[[Caller], Awaitable[T]], *, repeatable: bool = True) -> T:
        """Ask node after node.

        Raises:
            ClientError: The last failure, when patience is over.
            OutcomeUnknown: The request was sent, and must not be sent twice.
            TimeoutError: The same, and the connection is still there.
        """
        deadline = time.monotonic() + self._patience_s
        while True:
            turn = self._turn
            try:
                async with asyncio.timeout(self._silence_s):
                    return await ask(self._nodes[turn])
            except (ClientError, TimeoutError) as failure:
                self.failures[type(failure).__name__] += 1
                if turn == self._turn:  # whoever failed first has chosen the next one
                    self._turn = (turn + 1) % len(self._nodes)
                unsent = isinstance(failure, ServerUnreachable)
                if not (repeatable or unsent) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_PAUSE_S)
