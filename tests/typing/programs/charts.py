"""A statechart as a virtual object: everything here is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_type

from statemachine import State as Place
from statemachine import StateChart

from restate_patterns import (
    App,
    ChartMessage,
    ChartSnapshot,
    Client,
    Handler,
    InvocationHandle,
    ObjectContext,
    Statechart,
    chart_event,
)


@dataclass
class Coins:
    cents: int


@dataclass
class Till:
    cents: int = 0
    coins: list[int] = field(default_factory=list[int])


class GateChart(StateChart[Till]):
    shut = Place(initial=True)
    ajar = Place()
    pay = shut.to(ajar)
    close = ajar.to(shut)


def to_two(snapshot: ChartSnapshot) -> ChartSnapshot:
    return snapshot.renamed(states={"open": "ajar"})


class Gate(Statechart, chart=GateChart, version=2, migrations={1: to_two}, model=Till, private=False):
    pay = chart_event(Coins)
    shut_it = chart_event(event="close")

    async def on_enter_ajar(self, ctx: ObjectContext, model: Till, payload: Coins) -> None:
        model.cents += await ctx.run("count", int, payload.cents)


async def use(client: Client) -> None:
    gate = client.object_client(Gate, "north")
    assert_type(await gate.pay(Coins(3)), list[str])
    assert_type(await gate.shut_it(), list[str])
    assert_type(await gate.pay.send(Coins(3)), InvocationHandle[list[str]])
    assert_type(await gate.dispatch(ChartMessage("pay", {"cents": 3})), list[str])
    assert_type(await gate.snapshot(), ChartSnapshot | None)
    assert_type(Gate.check_snapshot(ChartSnapshot(version=1, configuration=["open"])), list[str])
    made: Handler[ObjectContext, [Coins], list[str]] = chart_event(Coins)
    print(made)


def any_chart(chart: type[StateChart[Any]]) -> App:
    class Loaded(Statechart, chart=chart): ...

    return App([Loaded(), Gate()])
