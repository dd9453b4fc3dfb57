"""Wrong statecharts, and charts used wrongly."""

from __future__ import annotations

from restate_patterns import ChartSnapshot, Client, Statechart, chart_event
from tests.typing.programs.charts import Coins, Gate, GateChart


class NoChart(Statechart, chart=Coins):  # error: no chart
    pass


class Version(Statechart, chart=GateChart, version="2"):  # error: a version is a number
    pass


def forgets(snapshot: ChartSnapshot) -> None: ...


class Migrations(Statechart, chart=GateChart, version=2, migrations={1: forgets}):  # error: gives no snapshot
    pass


class Payload(Statechart, chart=GateChart):
    pay = chart_event(Coins(3))  # error: a value instead of a type


async def use(client: Client) -> None:
    gate = client.object_client(Gate, "north")
    await gate.pay(3)  # error: a payload of the wrong type
    await gate.pay()  # error: the payload is missing
    await gate.shut_it(Coins(3))  # error: takes none
    state: str = await gate.pay(Coins(3))  # error: a result of the wrong type
    print(state)
