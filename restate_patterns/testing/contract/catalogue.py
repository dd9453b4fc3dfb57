"""All guarantees, and the definitions that they need."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Final

from restate_patterns.api.definitions import Definition
from restate_patterns.testing.contract import (
    awakeables,
    calls,
    cancelling,
    compensating,
    concurrency,
    facts,
    failures,
    fan_outs,
    giving,
    idempotency,
    keys,
    misuse,
    naming,
    operating,
    programs,
    reaching,
    retrying,
    sends,
    signals,
    state,
    steps,
    timeouts,
    timers,
    undoing,
    unsound,
    values,
    workflows,
)
from restate_patterns.testing.contract.guarantee import Guarantee
from restate_patterns.testing.contract.host import Host
from restate_patterns.testing.contract.recorder import Recorder
from restate_patterns.testing.contract.stage import Stage, staged

SUBJECTS: Final[Sequence[ModuleType]] = (
    calls,
    values,
    giving,
    sends,
    steps,
    undoing,
    state,
    keys,
    timers,
    timeouts,
    facts,
    concurrency,
    programs,
    workflows,
    awakeables,
    signals,
    idempotency,
    naming,
    failures,
    retrying,
    cancelling,
    reaching,
    compensating,
    fan_outs,
    misuse,
    unsound,
    operating,
)
"""The files of the contract, in the order in which one would read them."""

ALL: Final[Sequence[Guarantee]] = tuple(
    found for subject in SUBJECTS for found in vars(subject).values() if isinstance(found, Guarantee)
)
"""Every guarantee, by subject."""


def definitions(seen: Recorder) -> list[Definition]:
    """Return the definitions under test; wire names begin with `Contract`, but for the services of patterns."""
    return [definition(seen) for subject in SUBJECTS for definition in subject.DEFINITIONS]


def stage_on(host: Host) -> AbstractAsyncContextManager[Stage]:
    """Host the definitions once, for as many checks as one likes, one after the other.

        async with stage_on(host) as stage:
            for guarantee in ALL:
                await guarantee.check(stage)

    Raises:
        ValueError: The host declares a difference from a guarantee that there is not.
    """
    unknown = set(host.differences).difference(each.name for each in ALL)
    if unknown:
        raise ValueError(f"{host.name!r} declares differences from guarantees that there are not: {sorted(unknown)}")
    return staged(host, definitions)


async def check(guarantee: Guarantee, host: Host) -> None:
    """Check one guarantee on a backend that is started for it.

    Raises:
        AssertionError: It is broken; or it holds, and the host declares that it does not.
    """
    async with stage_on(host) as stage:
        await guarantee.check(stage)
