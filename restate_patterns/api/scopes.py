"""Where a context belongs: what is under it, for those beside it who must reach that. Knows no context."""

from __future__ import annotations

from typing import NamedTuple

from restate_patterns.api.specs import HandlerSpec, ServiceSpec
from restate_patterns.execution.attempt import DurableAttempt


class Scope(NamedTuple):
    """The attempt of a context, and the definition and handler that it runs."""

    attempt: DurableAttempt
    service: ServiceSpec
    handler: HandlerSpec


class Scoped:
    """What belongs to the run of a handler: every context does."""

    __slots__ = ()
    _scope: Scope


def scope_of(ctx: Scoped) -> Scope:
    """Return where a context belongs."""
    return ctx._scope  # pyright: ignore[reportPrivateUsage] - the one door to it
