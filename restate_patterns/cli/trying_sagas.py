"""Sagas that are not stuck yet: a step of them was refused and is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from restate_patterns.admin import AdminError, EngineError, InvocationFilter, InvocationStatus
from restate_patterns.cli.beside import admin_by
from restate_patterns.client.errors import ClientError
from restate_patterns.limits import LIST_LIMIT_MAX
from restate_patterns.patterns.saga.trying import NextTry, next_try
from restate_patterns.seam import Target

_LOOK_UP_S: Final = 10.0
_WAITING: Final = frozenset({InvocationStatus.RUNNING, InvocationStatus.SUSPENDED})


class TryingStep(NamedTuple):
    """A step that will be tried again."""

    saga: str
    target: Target
    next_try: NextTry


async def trying_steps(ingress_url: str) -> Sequence[TryingStep] | None:
    """Return the steps of sagas in flight that were refused and wait for their next try; None if nobody can say."""
    chosen = InvocationFilter(statuses=_WAITING)
    try:
        async with asyncio.timeout(_LOOK_UP_S), admin_by(ingress_url) as admin:
            found = [*await admin.list_invocations(chosen, limit=LIST_LIMIT_MAX)]
            page_count = len(found)
            while page_count == LIST_LIMIT_MAX:
                page = await admin.list_invocations(chosen, limit=LIST_LIMIT_MAX, after=found[-1].id)
                found += page
                page_count = len(page)
    except (AdminError, ClientError, EngineError, TimeoutError, ValueError):
        return None
    waits = [(view, next_try(wait)) for view in found for wait in view.waits_for]
    return [TryingStep(view.id, view.target, trying) for view, trying in waits if trying is not None]
