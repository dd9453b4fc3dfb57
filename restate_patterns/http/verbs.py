"""Verbs on invocations, and the statuses that Restate's admin API answers for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from restate_patterns.engine.interface import CancelOutcome, EngineInterface
from restate_patterns.http.problems import Problem

Answer: TypeAlias = tuple[int, object]
"""Status and JSON body; None for no body."""


async def act(engine: EngineInterface, verb: str, invocation_id: str) -> Answer:
    """Do `PATCH /invocations/{id}/{verb}`.

    Raises:
        Problem: 404, there is no such verb.
    """
    do = _VERBS.get(verb)
    if do is None:
        raise Problem(404, f"there is no verb '{verb}', use one of {', '.join(_VERBS)}")
    return await do(engine, invocation_id)


async def delete(engine: EngineInterface, mode: str, invocation_id: str) -> Answer:
    """Do `DELETE /invocations/{id}?mode=`.

    Raises:
        Problem: 400, there is no such mode.
    """
    if mode not in ("cancel", "kill", "purge"):
        raise Problem(400, f"mode={mode} must be cancel, kill or purge")
    await act(engine, mode, invocation_id)
    return 202, None


async def _cancel(engine: EngineInterface, invocation_id: str) -> Answer:
    outcome = await engine.cancel(invocation_id)
    return (202 if outcome is CancelOutcome.RUNNING else 200), None


async def _kill(engine: EngineInterface, invocation_id: str) -> Answer:
    await engine.kill(invocation_id)
    return 200, None


async def _pause(engine: EngineInterface, invocation_id: str) -> Answer:
    await engine.pause(invocation_id)
    return 202, None


async def _resume(engine: EngineInterface, invocation_id: str) -> Answer:
    await engine.resume(invocation_id)
    return 200, None


async def _restart_as_new(engine: EngineInterface, invocation_id: str) -> Answer:
    return 200, {"new_invocation_id": await engine.restart_as_new(invocation_id)}


async def _purge(engine: EngineInterface, invocation_id: str) -> Answer:
    await engine.purge(invocation_id)
    return 200, None


_VERBS: dict[str, Callable[[EngineInterface, str], Awaitable[Answer]]] = {
    "cancel": _cancel,
    "kill": _kill,
    "pause": _pause,
    "resume": _resume,
    "restart-as-new": _restart_as_new,
    "purge": _purge,
}
