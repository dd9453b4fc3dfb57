"""Invocations that a handler names by idempotency key or workflow key, or whose output it looks at.

The SDK has no command for either, so the question goes to the server's own API, in a step of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from restate_patterns.client.urls import ref_words
from restate_patterns.errors import UsageError
from restate_patterns.execution.steps import StepRunner
from restate_patterns.limits import PAUSE_S
from restate_patterns.options import Step
from restate_patterns.seam import InvocationRef
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns")


class Server(Protocol):
    """Where invocations can be looked up."""

    async def resolve(self, ref: InvocationRef) -> str:
        """Give the id of an invocation; `InvocationNotFound` when there is none."""
        ...

    async def output(self, ref: InvocationRef) -> bytes | None:
        """Give the output of an invocation, or None while it has none."""
        ...

    async def pause(self, invocation_id: str) -> None:
        """Make no more attempts of an invocation until somebody resumes it."""
        ...


class Question(NamedTuple):
    """A step that asks the server."""

    name: str
    action: StepRunner


class References:
    """Makes the steps that look invocations up.

    Args:
        server: Whom to ask; None when no URL of it is known.
    """

    def __init__(self, server: Server | None) -> None:
        self._server = server

    def finding(self, ref: InvocationRef) -> Question:
        """Give the step that comes to the id of an invocation, in ASCII."""

        async def find() -> bytes:
            return (await self._known().resolve(ref)).encode("ascii")

        return _question(f"find {ref_words(ref)}", find)

    def output(self, ref: InvocationRef) -> Question:
        """Give the step that comes to the output of an invocation, or to nothing."""

        async def look() -> bytes | None:
            return await self._known().output(ref)

        return _question(f"output of {ref_words(ref)}", look)

    def _known(self) -> Server:
        if self._server is None:
            raise UsageError(
                "handles by idempotency key or workflow key, and output(), ask the server's ingress and admin API "
                "inside a handler, and their URLs are not known: give Restate(ingress_url=..., admin_url=...)"
            )
        return self._server


async def pause(server: Server, invocation_id: str) -> None:
    """Have an invocation paused whose attempt could not go on; says in the log when that fails."""
    try:
        async with asyncio.timeout(PAUSE_S):
            await server.pause(invocation_id)
    except Exception as error:  # noqa: BLE001 - whatever it is, the server goes by the retry policy instead
        _logger.warning(
            "could not pause %s: %s. The server goes by its retry policy: it tries again, pauses, or kills with "
            'then="fail"',
            invocation_id,
            str(error) or type(error).__name__,
        )


def _question(name: str, ask: Callable[[], Awaitable[bytes | None]]) -> Question:
    return Question(name, StepRunner(Step(name), ask))
