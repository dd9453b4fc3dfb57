"""Random events on a statechart, against the library's own machine, with crashes and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statemachine import State as Place
from statemachine import StateChart
from statemachine.contrib.timeout import timeout

from restate_patterns import App, Client, Statechart, chart_event
from restate_patterns.testing.crashes import Crashes, after_commits
from restate_patterns.testing.environment import environment
from tests.support.bounds import PATIENCE_S
from tests.support.engines.hosting import BACKENDS, backend_of
from tests.support.programs.charts import PRESS_EVENTS, Press, PressChart, Tally


async def send_and_compare(client: Client, key: str, machine: PressChart, events: Sequence[str]) -> None:
    """Send events to a durable chart and to one in memory; they must be in the same place with the same data."""
    press = client.object_client(Press, key)
    for event in events:
        active: list[str] = await getattr(press, event)()
        machine.send(event)
        assert set(active) == {state.id for state in machine.configuration}, event
    stored = await press.snapshot()
    if stored is None:
        return
    assert (stored.data["pages"], stored.data["jams"]) == (machine.model.pages, machine.model.jams)
    assert stored.data["lines"] == machine.model.lines
    assert stored.history == {key: [state.id for state in value] for key, value in machine.history_values.items()}
    assert stored.is_done is machine.is_terminated
    assert Press.check_snapshot(stored) == []


def new_machine() -> PressChart:
    return PressChart(Tally())


@settings(max_examples=60)
@given(st.lists(st.sampled_from(PRESS_EVENTS), max_size=25), st.sets(st.integers(1, 80), max_size=5), st.booleans())
def test_random_events_with_crashes(events: list[str], crashes: set[int], replay_always: bool) -> None:
    async def run() -> None:
        plan = Crashes(after_commits(crashes.__contains__))
        async with environment(App([Press()]), replay_always=replay_always, crashes=plan) as env:
            await send_and_compare(env.client, "press", new_machine(), events)

    asyncio.run(run())


@pytest.mark.anyio
@pytest.mark.parametrize("where", BACKENDS)
async def test_random_events_over_restarts(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    backend = backend_of(request, where, tmp_path)
    machines = {f"press-{number}": new_machine() for number in range(5)}
    for life in range(2):
        async with App([Press()]).start(backend) as client, asyncio.TaskGroup() as tasks:
            for number, (key, machine) in enumerate(machines.items()):
                events = Random(100 * life + number).choices(PRESS_EVENTS, k=12)
                tasks.create_task(send_and_compare(client, key, machine, events))


class BlinkerChart(StateChart[Any]):
    """Goes on by itself: by the timeout of a state, and by a delayed event."""

    dark = Place(initial=True)
    dim = Place(invoke=timeout(0.3, on="more"))
    bright = Place()
    worn = Place(final=True)
    light = dark.to(dim)
    more = dim.to(bright)
    fade = bright.to(worn)

    def on_enter_bright(self) -> None:
        self.model.count = getattr(self.model, "count", 0) + 1
        self.send("fade", delay=300)

    def on_enter_worn(self) -> None:
        self.model.count += 1


class Blinker(Statechart, chart=BlinkerChart):
    light = chart_event()


@pytest.mark.anyio
@pytest.mark.parametrize("where", BACKENDS)
async def test_delays_end_once_after_a_restart_that_outlasts_them(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    backend = backend_of(request, where, tmp_path)
    keys = [f"blinker-{number}" for number in range(3)]
    async with App([Blinker()]).start(backend) as client:
        for key in keys:
            assert await client.object_client(Blinker, key).light() == ["dim"]
    await asyncio.sleep(0.4)  # the program is away while the timers become due
    async with App([Blinker()]).start(backend) as client:
        for key in keys:
            blinker = client.object_client(Blinker, key)
            async with asyncio.timeout(PATIENCE_S):
                while await blinker.configuration() != ["worn"]:
                    await asyncio.sleep(0.02)
            stored = await blinker.snapshot()
            assert stored is not None
            assert (stored.data, stored.timers, stored.is_done) == ({"count": 2}, {}, True)
