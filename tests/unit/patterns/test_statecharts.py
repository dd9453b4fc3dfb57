"""Statecharts as virtual objects: delays, documents, callbacks, snapshots, and charts that can't be durable."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from statemachine import Event, StateChart, StateMachine
from statemachine import State as Place
from statemachine.contrib.timeout import timeout
from statemachine.io import load
from typing_extensions import override

from restate_patterns import (
    App,
    ChartMessage,
    ChartSnapshot,
    DefinitionError,
    IllegalEvent,
    ObjectContext,
    Statechart,
    TerminalError,
    chart_event,
)
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus
from restate_patterns.patterns.statecharts.engine import Delays
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from tests.support.engines.apps import running
from tests.support.programs.charts import JSON, SCXML, Press

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SECOND = timedelta(seconds=1)


class Coins(BaseModel):
    """What a visitor puts in."""

    cents: int
    giver: str = "nobody"


@dataclass
class Till:
    cents: int = 0
    notes: list[str] = field(default_factory=list)


class GateChart(StateMachine):
    """Refuses what leads nowhere, unlike a plain StateChart."""

    shut = Place(initial=True)
    ajar = Place(invoke=timeout(10, on="fall_shut"))
    broken = Place(final=True)

    pay = shut.to(ajar, cond="enough")
    fall_shut = ajar.to(shut)
    knock = shut.to(shut)
    mend = Event(shut.to(broken), delay=5000)
    forget = shut.to(shut)

    def enough(self, cents: int) -> bool:
        return cents >= 100

    def on_knock(self) -> None:
        self.send("answer", delay=3000, send_id="answer")

    def on_forget(self) -> None:
        self.cancel_event("answer")

    answer = shut.to(shut)

    def on_answer(self) -> None:
        self.model.notes.append("who is there?")


@dataclass
class Gate(Statechart, chart=GateChart, model=Till):
    owner: str = "ann"

    pay = chart_event(Coins)
    knock = chart_event()

    async def on_enter_ajar(self, ctx: ObjectContext, model: Till, payload: Coins, giver: str) -> None:
        model.cents += await ctx.run("count", int, payload.cents)
        model.notes.append(f"{giver} paid {self.owner} at {ctx.key}")


async def test_callbacks_of_the_object_get_context_payload_and_fields() -> None:
    async with running(Gate("eve")) as app:
        gate = app.client.object_client(Gate, "north")
        assert await gate.configuration() == []
        assert await gate.pay(Coins(cents=150, giver="bob")) == ["ajar"]
        stored = await gate.snapshot()
        assert stored is not None
        assert stored.data == {"cents": 150, "notes": ["bob paid eve at north"]}


async def test_an_event_that_leads_nowhere_is_refused_where_the_chart_says_so() -> None:
    async with running(Gate()) as app:
        gate = app.client.object_client(Gate, "north")
        await gate.start()
        before = await gate.snapshot()
        with pytest.raises(IllegalEvent) as caught:
            await gate.pay(Coins(cents=1))
        assert (caught.value.state, caught.value.event) == ("shut", "pay")
        assert caught.value.legal == ["answer", "forget", "knock", "mend", "pay"]
        assert await gate.snapshot() == before


async def timers(env: TestEnvironment) -> int:
    waiting = InvocationFilter(statuses=frozenset({InvocationStatus.SCHEDULED}))
    return len(await env.engine.list_invocations(waiting, limit=10))


async def test_the_timeout_of_a_state_is_a_durable_timer_that_leaving_ends() -> None:
    async with run_test(App([Gate()])) as env:
        gate = env.client.object_client(Gate, "north")
        await gate.pay(Coins(cents=100))
        await env.advance(SECOND * 9)
        assert await gate.configuration() == ["ajar"]
        await env.advance(SECOND)
        assert await gate.configuration() == ["shut"]
        await gate.pay(Coins(cents=100))
        await gate.dispatch(ChartMessage("fall_shut", {}))
        await env.settle()
        assert await timers(env) == 0


async def test_a_delayed_event_comes_once_unless_it_is_cancelled() -> None:
    async with run_test(App([Gate()]), replay_always=True) as env:
        gate = env.client.object_client(Gate, "north")
        await gate.knock()
        await gate.dispatch(ChartMessage("forget", {}))
        await env.settle()
        assert await timers(env) == 0
        await gate.knock()
        await env.advance(SECOND * 4)
        stored = await gate.snapshot()
        assert stored is not None
        assert (stored.data["notes"], stored.timers) == (["who is there?"], {})


async def test_an_event_declared_with_a_delay_comes_later() -> None:
    async with run_test(App([Gate()])) as env:
        gate = env.client.object_client(Gate, "north")
        assert await gate.mend() == ["shut"]  # type: ignore[attr-defined] # made for an event nobody declared
        await env.advance(SECOND * 5)
        assert await gate.configuration() == ["broken"]
        stored = await gate.snapshot()
        assert stored is not None
        assert stored.is_done
        with pytest.raises(IllegalEvent):
            await gate.knock()


@at_every_crash_point(lambda: App([Gate()]), replay_always=True)
async def test_everything_happens_once_wherever_it_crashes(env: TestEnvironment) -> None:
    """Rules 17 to 21: configuration, data and timers change together or not at all."""
    gate = env.client.object_client(Gate, "north")
    await gate.pay(Coins(cents=100))
    await env.advance(SECOND * 10)
    await gate.knock()
    await env.advance(SECOND * 3)
    stored = await gate.snapshot()
    assert stored is not None
    assert stored.data == {"cents": 100, "notes": ["nobody paid ann at north", "who is there?"]}
    assert (stored.configuration, stored.timers) == (["shut"], {})


KETTLE: Any = load(SCXML, format="scxml")


class Kettle(Statechart, chart=KETTLE): ...


class Toaster(Statechart, chart=load(JSON, format="json")):
    rung: int = 0

    async def ring_later(self, ctx: ObjectContext) -> None:
        await ctx.run("ring", str, ctx.key)


async def send(chart: Statechart, event: str, **data: Any) -> list[str]:
    return await chart.dispatch(ChartMessage(event, data))


async def test_scxml_with_data_delays_history_and_guards() -> None:
    async with run_test(App([Kettle()]), replay_always=True) as env:
        one, two = (env.client.object_client(Kettle, key) for key in ("one", "two"))
        for kettle in (one, two):
            assert await send(kettle, "heat") == ["brewing", "warming"]
        assert await send(two, "stop") == ["brewing", "cold"], "cancels its <send>"
        await env.advance(SECOND * 90)
        assert await one.configuration() == ["brewing", "hot"]
        assert await two.configuration() == ["brewing", "cold"]
        assert await send(one, "pour") == ["brewing", "hot"]
        assert await send(one, "cut") == ["silent"]
        assert await send(one, "back") == ["brewing", "hot"]
        assert await send(one, "serve", cups=2) == ["brewing", "hot"]
        assert await send(one, "serve", cups=1) == ["brewing", "cold"]
        for kettle, cups in ((one, 1), (two, 0)):
            stored = await kettle.snapshot()
            assert stored is not None
            assert stored.data == {"cups": cups, "limit": 2}, "each key has a datamodel of its own"


async def test_json_with_a_callback_of_the_object() -> None:
    async with run_test(App([Toaster()]), replay_always=True) as env:
        keys = ["one", "two"]
        for slices, expected in ((1, ["idle"]), (2, ["full"])):
            for key in keys:
                toaster = env.client.object_client(Toaster, key)
                assert await send(toaster, "push") == ["hot"]
            await env.advance(SECOND * 3)
            for key in keys:
                stored = await env.client.object_client(Toaster, key).snapshot()
                assert stored is not None
                assert (stored.configuration, stored.data) == (expected, {"slices": slices})


class Dotted(Statechart, chart=load(SCXML.replace('"heat"', '"kettle.heat"'), format="scxml")):
    heated = chart_event(event="kettle.heat")


async def test_an_event_whose_id_names_no_handler_has_another_name_or_is_dispatched() -> None:
    async with running(Dotted()) as app:
        assert await app.client.object_client(Dotted, "one").heated() == ["brewing", "warming"]
        assert await send(app.client.object_client(Dotted, "two"), "kettle.heat.now") == ["brewing", "warming"]
    assert "kettle.heat" not in vars(Dotted)


async def test_a_loaded_chart_still_runs_in_memory() -> None:
    """What is mended in a loaded class for durable keys leaves its other machines as they were, or better."""

    for _ in range(2):
        machine = KETTLE()
        machine.send("cut")
        assert [state.id for state in machine.configuration] == ["silent"]
        assert (machine.model.cups, machine.model.limit) == (0, 2)


class ErrorChart(StateChart[Any]):
    calm = Place(initial=True)
    upset = Place()
    poke = calm.to(calm, on="hurt")
    error_execution = calm.to(upset)
    soothe = upset.to(calm)

    def hurt(self, kind: str) -> None:
        raise TerminalError(kind, code=418)


class DeafChart(StateChart[Any]):
    calm = Place(initial=True)
    poke = calm.to(calm, on="hurt")

    def hurt(self, kind: str) -> None:
        raise TerminalError(kind, code=418)


class Patient(Statechart, chart=ErrorChart): ...


class Deaf(Statechart, chart=DeafChart): ...


async def test_an_error_is_an_event_where_the_chart_takes_it_and_the_answer_where_not() -> None:
    async with running(Patient(), Deaf()) as app:
        assert await send(app.client.object_client(Patient, "k"), "poke", kind="ouch") == ["upset"]
        deaf = app.client.object_client(Deaf, "k")
        await deaf.start()
        with pytest.raises(TerminalError, match="ouch"):
            await send(deaf, "poke", kind="ouch")
        assert await deaf.configuration() == ["calm"]


class ForgetfulChart(StateChart[Any]):
    here = Place(initial=True)
    go = here.to(here)

    def on_go(self) -> None:
        self.count = 3


class Forgetful(Statechart, chart=ForgetfulChart): ...


async def test_what_a_chart_keeps_on_itself_is_refused() -> None:
    async with running(Forgetful()) as app:
        handle = await app.client.object_client(Forgetful, "k").dispatch.send(ChartMessage("go", {}))
        assert "`self.count = ...` in the chart" in await app.pause_of(handle)


async def test_data_may_not_shadow_what_callbacks_get() -> None:
    async with running(Forgetful()) as app:
        with pytest.raises(TerminalError, match="callbacks get something else as 'state'"):
            await app.client.object_client(Forgetful, "k").go({"state": 1})  # type: ignore[attr-defined] # undeclared


def invocation() -> None:
    class Chart(StateChart[Any]):
        busy = Place(initial=True, invoke=lambda: 3)
        done = busy.to(busy)

    class S(Statechart, chart=Chart): ...


def invocation_by_name() -> None:
    class S(Statechart, chart=DeafChart):
        def on_invoke_calm(self) -> None: ...


def random_id() -> None:
    document = SCXML.replace('id="boil" delay', 'idlocation="cups" delay')

    class S(Statechart, chart=load(document, format="scxml")): ...


def no_chart() -> None:
    class S(Statechart): ...


def wrong_chart() -> None:
    class S(Statechart, chart=StateChart): ...


def unknown_event() -> None:
    class S(Statechart, chart=DeafChart):
        prod = chart_event()


def reserved_field() -> None:
    class Order(BaseModel):
        state: str

    class S(Statechart, chart=DeafChart):
        poke = chart_event(Order)


def reserved_event() -> None:
    class Chart(StateChart[Any]):
        here = Place(initial=True)
        start = here.to(here)

    class S(Statechart, chart=Chart): ...


def migration_from_the_future() -> None:
    class S(Statechart, chart=DeafChart, version=2, migrations={2: lambda snapshot: snapshot}): ...


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (invocation, "the state 'busy' invokes .*, which would run in a thread and be lost by a crash"),
        (invocation_by_name, "the state 'calm' invokes on_invoke_calm"),
        (random_id, "<send idlocation=...>, whose id would be another one on each replay"),
        (no_chart, "S has no chart; write"),
        (wrong_chart, "is no StateChart with states; give the class"),
        (unknown_event, r"S\.prod: the chart has no transition for the event 'prod'; it has poke"),
        (reserved_field, r"S\.poke: callbacks get something else as 'state'"),
        (reserved_event, "the event 'start' has the name of something every Statechart has"),
        (migration_from_the_future, "migrations lead from older versions, 1 to 1; 2 is none of them"),
    ],
)
def test_a_chart_that_cannot_be_durable_is_refused(make: Callable[[], None], sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        make()


async def test_the_diagram_marks_the_live_states() -> None:
    async with running(Press()) as app:
        press = app.client.object_client(Press, "p")
        assert "class " not in await press.diagram()
        await press.switch_on()  # type: ignore[attr-defined] # made for an event nobody declared
        assert (await press.diagram()).endswith("class feeding,wet live")


def test_without_the_extra_the_package_works_and_a_chart_says_what_to_install() -> None:
    program = """
import sys
sys.modules["statemachine"] = None
from restate_patterns import Statechart
try:
    class S(Statechart, chart=object): ...
except TypeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert "install the extra: `pip install 'restate-patterns[statecharts]'`" in done.stdout


async def test_timers_outlive_the_machine_in_memory() -> None:
    """The library ends what a machine began when it is garbage collected; a durable timer is nobody's garbage."""

    class Collecting(Gate, name="Collecting"):
        @override
        async def _store(self, ctx: ObjectContext, after: ChartSnapshot, delays: Delays) -> None:
            gc.collect()
            await super()._store(ctx, after, delays)

    async with run_test(App([Collecting()])) as env:
        gate = env.client.object_client(Collecting, "north")
        await gate.pay(Coins(cents=100))
        await gate.start()
        await env.settle()
        assert await timers(env) == 1
        await env.advance(SECOND * 10)
        assert await gate.configuration() == ["shut"]
