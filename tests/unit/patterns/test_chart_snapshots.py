"""Snapshots of statecharts: checked against new code before it is deployed, migrated, and never guessed at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from statemachine import HistoryState, StateChart
from statemachine import State as Place
from statemachine.contrib.timeout import timeout

from restate_patterns import App, ChartMessage, ChartSnapshot, PendingEvent, Statechart
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.testing import run_test
from tests.support.programs.charts import Press

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

MINUTE = timedelta(minutes=1)


class OldChart(StateChart[Any]):
    class work(Place.Compound):
        packing = Place(initial=True, invoke=timeout(60, on="late"))
        sent = Place(final=True)
        ship = packing.to(sent)
        late = packing.to(packing)
        again = HistoryState()

    halted = Place()
    halt = work.to(halted)
    go_on = halted.to(work.again)


class NewChart(StateChart[Any]):
    class work(Place.Compound):
        picking = Place(initial=True, invoke=timeout(60, on="overdue"))
        sent = Place(final=True)
        ship = picking.to(sent)
        overdue = picking.to(picking)
        again = HistoryState()

    halted = Place()
    halt = work.to(halted)
    go_on = halted.to(work.again)


def to_two(snapshot: ChartSnapshot) -> ChartSnapshot:
    return snapshot.renamed(states={"packing": "picking"}, events={"late": "overdue"})


class Old(Statechart, chart=OldChart, name="Parcel"): ...


class New(Statechart, chart=NewChart, name="Parcel", version=2, migrations={1: to_two}): ...


class Careless(Statechart, chart=NewChart, name="Parcel", version=2): ...


class Unversioned(Statechart, chart=NewChart, name="Parcel"): ...


async def test_stored_snapshots_are_checked_and_migrated() -> None:
    """An old snapshot is read from a running app, checked against new code, and goes on under it."""
    async with run_test(App([Old()])) as env:
        parcel = env.client.object_client(Old, "p")
        await parcel.start()
        await parcel.dispatch(ChartMessage("halt", {}))
        await parcel.dispatch(ChartMessage("go_on", {}))
        stored = await parcel.snapshot()
        assert stored is not None
        assert New.check_snapshot(stored) == []
        assert Unversioned.check_snapshot(stored) == [
            "Parcel: the snapshot is in the states packing, which the chart does not have",
            "Parcel: the history state 'again' remembers 'packing', which the chart does not have",
            "Parcel: a timer will send 'late', which no transition of the chart takes",
            "Parcel: a timer belongs to the state 'packing', which the chart does not have",
        ]
        (missing,) = Careless.check_snapshot(stored)
        assert "nothing leads from there to 2; declare `migrations={1: ...}`" in missing
        env._app = App([New()])  # the same file, served by the next version of the program
        await env.crash()
        moved = env.client.object_client(New, "p")
        assert await moved.configuration() == ["work", "picking"]
        await env.advance(MINUTE)
        now = await moved.snapshot()
        assert now is not None
        assert now.version == 2
        assert [timer.event for timer in now.timers.values()] == ["overdue"], "the old timer came under its new name"
        (newer,) = Old.check_snapshot(now)
        assert "is of version 2, and this program has version 1 of the chart" in newer


async def test_without_a_migration_the_invocation_waits_for_a_person() -> None:
    async with run_test(App([Old()])) as env:
        await env.client.object_client(Old, "p").start()
        env._app = App([Careless()])
        await env.crash()
        handle = await env.client.object_client(Careless, "p").start.send()
        await env.settle()
        view = (await env.engine.describe_invocation(handle.id)).view
        assert view.status is InvocationStatus.PAUSED
        assert "declare `migrations={1: ...}`" in (view.last_failure or "")
        await env.engine.kill(handle.id)


@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        (["running", "paper", "feeding", "ink", "wet"], None),
        (["off"], None),
        ([], "of the states in the chart exactly one is active, not none"),
        (["off", "paused"], "of the states in the chart exactly one is active, not off, paused"),
        (["running", "paper", "feeding"], "the region 'ink' of 'running' is not active"),
        (["running", "paper", "feeding", "jammed", "ink", "wet"], "of the states in 'paper' exactly one is active"),
        (["off", "wet"], "'wet' is active and 'ink' around it is not"),
    ],
)
def test_a_configuration_must_agree_with_the_hierarchy(configuration: list[str], problem: str | None) -> None:
    found = Press.check_snapshot(ChartSnapshot(version=1, configuration=configuration, data={}))
    assert (found == []) is (problem is None)
    if problem is not None:
        assert any(problem in each for each in found), found


def test_data_must_be_of_the_model() -> None:
    (found,) = Press.check_snapshot(ChartSnapshot(version=1, configuration=["off"], data={"pages": "many"}))
    assert "its data is no Tally" in found
    timer = PendingEvent(event="jam")
    assert Press.check_snapshot(ChartSnapshot(version=1, configuration=["off"], timers={"t": timer})) == []


def test_a_migration_that_fails_is_a_problem_and_no_crash() -> None:
    def broken(snapshot: ChartSnapshot) -> ChartSnapshot:
        raise KeyError("packing")

    class Broken(Statechart, chart=NewChart, name="Parcel", version=2, migrations={1: broken}): ...

    (found,) = Broken.check_snapshot(ChartSnapshot(version=1, configuration=["work", "packing"]))
    assert "the migration from version 1 failed: KeyError('packing')" in found
