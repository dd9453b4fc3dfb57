"""All sagas of up to five steps, with every failing action and undo, with a crash after every commit and action."""

from __future__ import annotations

import asyncio
import logging

import pytest

from restate_patterns.testing import CrashKind
from tests.support.sagas.saga_matrix import Plan, plans, run_everywhere, run_once

PLANS = list(plans(5))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def test_there_are_as_many_as_promised() -> None:
    """Each shape of saga is there: no failure, each failing action, each failing undo, each pivot."""
    five = [plan for plan in PLANS if plan.steps == 5]
    assert {plan.failing for plan in five} == set(range(6))
    assert {plan.pivot for plan in five} == set(range(6))
    assert {plan.failing_undo for plan in five} == set(range(6))
    assert {plan.skipped for plan in five if plan.gives_up} == {False, True}
    assert len(PLANS) == len(set(PLANS)) > 100


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(1, 6))
def test_at_every_crash_point(steps: int) -> None:
    """Each undo that is owed runs, is recorded once, and in order; after the pivot none runs."""
    kinds: list[CrashKind] = ["commit", "after"] if steps < 4 else ["commit"]
    runs = sum(run_everywhere(plan, kinds).count for plan in PLANS if plan.steps == steps)
    assert runs > 10 * steps


@pytest.mark.parametrize("plan", [plan for plan in PLANS if plan.steps <= 3], ids=str)
def test_replaying_at_every_wait(plan: Plan) -> None:
    asyncio.run(run_once(plan, replay_always=True))


@pytest.mark.parametrize("place", ["before 2", "before 3", "before undo 1", "before undo 4", "at the end"])
@pytest.mark.parametrize("plan", [plan for plan in PLANS if plan.steps == 3 or plan.failing == 5], ids=str)
def test_attempts_that_crash(plan: Plan, place: str) -> None:
    """An error that is to be retried undoes nothing on the way forward, and skips nothing on the way back."""
    asyncio.run(run_once(plan, replay_always=True, crash_at=place))


@pytest.mark.parametrize("failing_undo", [1, 2])
def test_at_every_crash_point_replaying_at_every_wait(failing_undo: int) -> None:
    run_everywhere(Plan(steps=3, failing=3, failing_undo=failing_undo, gives_up=True), replay_always=True)
