"""All sagas of two branches beside each other, with every way to wait and kind of action, and crashes."""

from __future__ import annotations

import asyncio
import logging
import os

import pytest

from restate_patterns import InvocationPaused
from restate_patterns.patterns.saga.underway import UnderWay
from tests.support.sagas.saga_parallel import KINDS, WAYS, Kind, Parallel, Way, plans, run_everywhere, run_once

PLANS = list(plans(2))
IN_FULL = bool(os.environ.get("SAGA_MATRIX_IN_FULL"))
CRASHING = [plan for plan in PLANS if IN_FULL or (plan.failing == 1 and plan.kinds[0] <= plan.kinds[1])]
ALIKE = [plan for plan in PLANS if plan.failing == 1 and plan.kinds[0] == plan.kinds[1]]
UNSEEN: set[Way] = {"gather all", "group", "anyio"}
"""Ways that end only after all branches have: there a saga has nothing to wait for."""
STOPPED: set[Kind] = {"step", "before", "thread"}
"""Kinds that the end of the handler may stop before they have an effect: how often, is a matter of time."""
FORGOTTEN = [plan for plan in ALIKE if plan.way not in UNSEEN and plan.kinds[0] not in STOPPED]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def test_there_are_as_many_as_promised() -> None:
    """Each way to wait meets each pair of kinds, with no failure and with each one failing."""
    assert len(PLANS) == len(set(PLANS)) == len(WAYS) * len(KINDS) ** 2 * 3
    assert {(plan.way, plan.kinds[0]) for plan in CRASHING} == {(way, kind) for way in WAYS for kind in KINDS}


@pytest.mark.parametrize("way", WAYS)
def test_each_effect_stays_or_is_undone_once(way: Way) -> None:
    """An action that ends while its saga fails is undone too, and what a task would do next does not begin."""
    for plan in PLANS:
        if plan.way == way and plan.kinds[0] <= plan.kinds[1]:
            asyncio.run(run_once(plan, replay_always=plan.failing == 2))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_at_every_crash_point(way: Way) -> None:
    for plan in CRASHING:
        if plan.way == way:
            assert run_everywhere(plan, ["commit", "after"]).count > 3


@pytest.mark.parametrize(
    "plan", [plan for plan in ALIKE if plan.way not in UNSEEN and plan.kinds[0] not in STOPPED], ids=str
)
def test_the_matrix_finds_a_saga_that_does_not_wait(plan: Parallel, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a saga that undoes at once the checks fail."""

    async def not_at_all(self: UnderWay, part: object) -> None:
        pass

    monkeypatch.setattr(UnderWay, "ended", not_at_all)
    monkeypatch.setattr("tests.support.sagas.saga_parallel.PATIENCE_S", 1.0)
    monkeypatch.setattr("tests.support.sagas.saga_parallel.LINGER_S", 0.1)
    with pytest.raises((AssertionError, TimeoutError, InvocationPaused)):
        asyncio.run(run_once(plan))
