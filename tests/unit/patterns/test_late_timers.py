"""Transitions of time that a guard or an action refuses: tried again, shown, fired by a person, and never lost."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import pytest
from statemachine import State as Place
from statemachine import StateMachine as StrictChart
from typing_extensions import override

from restate_patterns import (
    App,
    ChartMessage,
    ObjectContext,
    ObjectSharedContext,
    RetryPolicy,
    Statechart,
    StateMachine,
    Status,
    TerminalError,
)
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test

pytestmark = pytest.mark.timeout(60)

Refusal = Literal["guard", "exit", "body", "entry", ""]


class Phase(enum.Enum):
    NEW = "new"
    OPEN = "open"
    SHUT = "shut"


@dataclass
class World:
    """Which part of the transition refuses, and how often it was tried."""

    refusing: Refusal = ""
    tries: list[str] = field(default_factory=list)


class Closed(TerminalError, code=410):
    """It does not do that now."""


@dataclass
class Gate(StateMachine[Phase]):
    """Shuts after a while, if nothing refuses."""

    world: World
    status = Status(Phase, initial=Phase.NEW)

    @status.on(Phase.NEW, Phase.SHUT, to=Phase.OPEN)
    async def open(self, ctx: ObjectContext) -> None: ...

    @status.on(Phase.OPEN, to=Phase.SHUT)
    async def shut(self, ctx: ObjectContext) -> None: ...

    @status.after(timedelta(seconds=30), Phase.OPEN, to=Phase.SHUT)
    async def shut_itself(self, ctx: ObjectContext) -> None:
        self._may("body")

    @shut_itself.guard
    async def may_shut(self, ctx: ObjectSharedContext) -> bool:
        self.world.tries.append(ctx.now().strftime("%d %H:%M:%S"))
        return self.world.refusing != "guard"

    @status.exit(Phase.OPEN)
    async def leave(self, ctx: ObjectContext) -> None:
        self._may("exit")

    @status.entry(Phase.SHUT)
    async def enter(self, ctx: ObjectContext) -> None:
        self._may("entry")

    def _may(self, part: Refusal) -> None:
        if self.world.refusing == part:
            raise Closed(message=f"the {part} says no")


@dataclass
class Giving(Gate, name="Giving"):
    """The same, which gives up after two tries."""

    status = Status(Phase, initial=Phase.NEW)

    @override
    @status.on(Phase.NEW, to=Phase.OPEN)
    async def open(self, ctx: ObjectContext) -> None: ...

    @override
    @status.on(Phase.OPEN, to=Phase.SHUT)
    async def shut(self, ctx: ObjectContext) -> None: ...

    @override
    @status.after(
        timedelta(seconds=30),
        Phase.OPEN,
        to=Phase.SHUT,
        retry=RetryPolicy(initial=timedelta(seconds=5), max_attempts=2),
    )
    async def shut_itself(self, ctx: ObjectContext) -> None:
        self._may("body")


@pytest.mark.anyio
@pytest.mark.parametrize("refusing", ["guard", "exit", "body", "entry"])
async def test_it_is_tried_again_until_nothing_refuses(refusing: Refusal, caplog: pytest.LogCaptureFixture) -> None:
    world = World(refusing)
    async with run_test(App([Gate(world)]), replay_always=True) as env:
        gate = env.client.object_client(Gate, "a")
        await gate.open()
        await env.advance(timedelta(seconds=32))
        (late,) = await gate.late_timers()
        assert (late.event, late.failed_count) == ("shut_itself", 2)
        assert late.next_try is not None
        assert timedelta(0) < late.next_try - env.now() <= timedelta(seconds=2)
        assert await gate.current() is Phase.OPEN
        assert "Gate/a: time could not fire 'shut_itself' in the state OPEN (try 2)" in caplog.text
        world.refusing = ""
        await env.advance(timedelta(seconds=2))
        assert await gate.current() is Phase.SHUT
        assert await gate.late_timers() == []
        assert [change.event for change in await gate.history()] == ["open", "shut_itself"]


@pytest.mark.anyio
async def test_it_is_tried_ever_more_rarely_and_at_least_once_an_hour() -> None:
    world = World("guard")
    async with run_test(App([Gate(world)])) as env:
        gate = env.client.object_client(Gate, "a")
        await gate.open()
        await env.advance(timedelta(days=1))
        assert 24 < len(set(world.tries)) < 50
        world.refusing = ""
        await env.advance(timedelta(hours=1))
        assert await gate.current() is Phase.SHUT


@pytest.mark.anyio
async def test_a_person_fires_it(caplog: pytest.LogCaptureFixture) -> None:
    """At once, whether it waits for its next try or, after the last one, for the person."""
    world = World("body")
    async with run_test(App([Gate(world), Giving(world)]), replay_always=True) as env:
        gate, giving = env.client.object_client(Gate, "a"), env.client.object_client(Giving, "b")
        await gate.open()
        await giving.open()
        await env.advance(timedelta(hours=3))
        (late,) = await giving.late_timers()
        assert (late.failed_count, late.next_try) == (2, None)
        assert "it waits for a person: call fire_late_timers" in caplog.text
        assert await giving.fire_late_timers() == ["shut_itself"]
        await env.settle()
        (late,) = await giving.late_timers()
        assert (late.failed_count, late.next_try) == (3, None), "it is refused again, and not lost"
        world.refusing = ""
        for machine in (gate, giving):
            assert await machine.fire_late_timers() == ["shut_itself"]
            await env.settle()
            assert await machine.current() is Phase.SHUT
            assert await machine.fire_late_timers() == []
        await env.advance(timedelta(hours=3))
        assert [change.event for change in await gate.history()] == ["open", "shut_itself"], "once"


@pytest.mark.anyio
async def test_leaving_the_state_ends_it() -> None:
    world = World("guard")
    async with run_test(App([Gate(world)])) as env:
        gate = env.client.object_client(Gate, "a")
        await gate.open()
        await env.advance(timedelta(seconds=33))
        await gate.shut()
        assert await gate.late_timers() == []
        tries, world.refusing = len(world.tries), ""
        await env.advance(timedelta(hours=2))
        assert len(world.tries) == tries
        await gate.open()
        await env.advance(timedelta(seconds=29))
        assert await gate.current() is Phase.OPEN, "a new stay has its whole time"
        await env.advance(timedelta(seconds=2))
        assert await gate.current() is Phase.SHUT


@pytest.mark.anyio
async def test_a_caller_who_is_refused_is_no_late_timer() -> None:
    world = World("exit")
    async with run_test(App([Gate(world)])) as env:
        gate = env.client.object_client(Gate, "a")
        await gate.open()
        with pytest.raises(Closed):
            await gate.shut()
        assert await gate.late_timers() == []


@at_every_crash_point(lambda: App([Gate(World("guard"))]), replay_always=True)
async def test_it_is_not_lost_whenever_the_process_dies(env: TestEnvironment) -> None:
    gate = env.client.object_client(Gate, "a")
    await gate.open()
    for _ in range(4):
        await env.advance(timedelta(seconds=10))
    (late,) = await gate.late_timers()
    assert late.next_try is not None
    await gate.fire_late_timers()
    await env.settle()
    (again,) = await gate.late_timers()
    assert again.failed_count == late.failed_count + 1
    await gate.shut()
    assert await gate.late_timers() == []


class DoorChart(StrictChart):
    """Refuses what leads nowhere, and whatever its world refuses."""

    shut = Place(initial=True)
    ajar = Place()

    knock = shut.to(shut)
    push = shut.to(ajar)
    pull = ajar.to(shut)
    answer = shut.to(shut)

    def on_knock(self) -> None:
        self.send("answer", delay=3000)


@dataclass
class Door(Statechart, chart=DoorChart):
    """Answers three seconds after a knock."""

    world: World

    async def on_answer(self, ctx: ObjectContext) -> None:
        self.world.tries.append(ctx.now().isoformat())
        if self.world.refusing:
            raise Closed(message="nobody is in")


SECOND = timedelta(seconds=1)


@pytest.mark.anyio
async def test_a_delayed_event_of_a_chart_is_delivered_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World("body")
    async with run_test(App([Door(world)]), replay_always=True) as env:
        door = env.client.object_client(Door, "a")
        await door.dispatch(ChartMessage("knock", {}))
        await env.advance(5 * SECOND)
        ((id_, late),) = (await door.late_events()).items()
        assert (late.event, late.failed_count, late.error) == ("answer", 2, "nobody is in")
        assert "Door/a: the delayed event 'answer' was refused (try 2): nobody is in; the next try is in" in caplog.text
        world.refusing = ""
        assert await door.fire_late_events() == [id_]
        await env.settle()
        assert await door.late_events() == {}
        tries = len(world.tries)
        await env.advance(timedelta(hours=2))
        assert len(world.tries) == tries == 3, "it is delivered once"


@pytest.mark.anyio
async def test_one_that_leads_nowhere_waits_for_a_person() -> None:
    """Where the chart is later it may lead somewhere, but nobody meant that."""
    world = World()
    async with run_test(App([Door(world)])) as env:
        door = env.client.object_client(Door, "a")
        for _ in range(2):
            await door.dispatch(ChartMessage("knock", {}))
        await door.dispatch(ChartMessage("push", {}))
        await env.advance(timedelta(hours=3))
        first, second = await door.late_events()
        assert [late.next_try for late in (await door.late_events()).values()] == [None, None]
        await door.dispatch(ChartMessage("pull", {}))
        assert world.tries == []
        assert await door.drop_late_event(first)
        assert not await door.drop_late_event(first)
        assert await door.fire_late_events() == [second]
        await env.settle()
        assert len(world.tries) == 1
        stored = await door.snapshot()
        assert stored is not None
        assert stored.timers == {}


@at_every_crash_point(lambda: App([Door(World("body"))]), replay_always=True)
async def test_a_delayed_event_is_not_lost_whenever_the_process_dies(env: TestEnvironment) -> None:
    door = env.client.object_client(Door, "a")
    await door.dispatch(ChartMessage("knock", {}))
    for _ in range(3):
        await env.advance(2 * SECOND)
    ((id_, late),) = (await door.late_events()).items()
    assert late.next_try is not None
    assert await door.drop_late_event(id_)
    await env.advance(timedelta(hours=2))
    assert await door.late_events() == {}
