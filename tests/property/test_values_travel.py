"""The law of values: what comes back is what was given, with the same types, or it was refused where it was given.

Not varied: the version of pydantic within one run, values of more than a few kilobytes, and validators that answer
otherwise from one time to the next.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from restate_patterns import AwakeableId, DefinitionError, WrongValue
from restate_patterns.testing.contract import Host, Running
from restate_patterns.values.serde import codec
from tests.support.engines.contract_hosts import HOSTS
from tests.support.values.drawn_types import types_with_values
from tests.support.values.journeys import OUTSIDE, PLACES, Journeys
from tests.support.values.travellers import TRAVELLERS, Traveller

EVERYWHERE = ("int", "bytes", "Decimal", "datetime", "Item", "Row", "Approved | Rejected", "Payment", "Any", "Blob")
AT_ONCE = 24


def same(given_: Any, back: Any) -> bool:
    """Tell whether two values are one, to the types inside; written apart from what it checks."""
    if type(given_) is int and type(back) is float:
        return bool(given_ == back)  # an int is a float to type checkers
    if isinstance(given_, AwakeableId) and type(back) is str:
        return str(given_) == back  # and such an id is text
    if type(given_) is not type(back):
        return False
    if isinstance(given_, float | complex):  # of which some are not equal to themselves
        return repr(given_) == repr(back)
    if isinstance(given_, datetime | time):
        return same((given_.utcoffset(), given_.fold), (back.utcoffset(), back.fold)) and bool(given_ == back)
    if isinstance(given_, BaseModel):
        return same(vars(given_), vars(back)) and same(given_.__pydantic_extra__, back.__pydantic_extra__)
    if isinstance(given_, Mapping):
        return same([*given_], [*back]) and same([*given_.values()], [*back.values()])
    if isinstance(given_, Set):
        return len(given_) == len(back) and all(any(same(each, other) for other in back) for each in given_)
    if isinstance(given_, Sequence) and not isinstance(given_, str | bytes):
        return len(given_) == len(back) and all(map(same, given_, back))
    if hasattr(given_, "__dataclass_fields__"):
        names = given_.__dataclass_fields__
        return all(same(getattr(given_, name), getattr(back, name)) for name in names)
    return bool(given_ == back)


class Trip:
    """One type with its values, through every place of a backend."""

    def __init__(self, type_: Any, name: str, values: Sequence[object], outcomes: Sequence[str]) -> None:
        self.journeys = Journeys(type_, name, values)
        self.values = values
        self.outcomes = outcomes
        self.type_text = str(type_)

    async def travel(self, running: Running, limit: asyncio.Semaphore) -> list[str]:
        """Give what is wrong with it, in sentences."""
        trips = [self._go(running, limit, place, n) for place in PLACES for n in range(len(self.values))]
        return [found for found in await asyncio.gather(*trips) if found]

    async def _go(self, running: Running, limit: asyncio.Semaphore, place: str, number: int) -> str:
        key = f"{place}-{number}"
        what = f"{self.type_text}, value {number}, {place}"
        async with limit:
            sentence = await self.journeys.go(running.client, running.admin, place, number, key)
        if place == "step" and self.journeys.done.count(key) != 1:
            return f"{what}: done {self.journeys.done.count(key)} times"
        if bool(sentence) != bool(self.outcomes[number]):
            return f"{what}: {sentence!r} instead of {self.outcomes[number]!r}"
        if sentence:
            return f"{what}: it arrived all the same" if key in self.journeys.came and place in OUTSIDE else ""
        back = self.journeys.came[key]
        return "" if same(self.values[number], back) else f"{what}: came back as {back!r}"


async def _travel(host: Host, trips: Sequence[Trip]) -> list[str]:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(host.start([trip.journeys.definition for trip in trips]))
        limit = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*[trip.travel(running, limit) for trip in trips])
    return [*itertools.chain(*found)]


def _trips(wanted: Callable[[str], bool]) -> list[Trip]:
    by_type: dict[str, list[Traveller]] = {}
    for traveller in TRAVELLERS:
        if wanted(traveller.type_text) and not traveller.outcome().startswith("type"):
            by_type.setdefault(traveller.type_text, []).append(traveller)
    return [
        Trip(group[0].type, f"Trip{index}", [each.value for each in group], [each.outcome() for each in group])
        for index, group in enumerate(by_type.values())
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_kinds_of_values_in_every_place(tmp_path: Path) -> None:
    trips = _trips(lambda _: True)
    assert len(trips) > 50
    assert asyncio.run(_travel(HOSTS["embedded-memory"](tmp_path), trips)) == []


@pytest.mark.parametrize(
    "host", [pytest.param(host, marks=pytest.mark.restate if host.startswith("restate") else ()) for host in HOSTS]
)
@pytest.mark.timeout(300)
def test_some_kinds_of_values_in_every_place_of_every_backend(host: str, tmp_path: Path) -> None:
    trips = _trips(lambda text: text in EVERYWHERE)
    assert len(trips) == len(EVERYWHERE)
    assert asyncio.run(_travel(HOSTS[host](tmp_path), trips)) == []


@given(types_with_values())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_as_it_was(drawn: tuple[Any, object]) -> None:
    type_, value = drawn
    try:
        data = codec(type_).encode(value)
    except (DefinitionError, WrongValue):
        return
    back = codec(type_).decode(data)
    assert same(value, back), (value, data, back)


@given(st.lists(types_with_values(), min_size=3, max_size=6))
@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_drawn_types_in_every_place(drawn: list[tuple[Any, object]]) -> None:
    trips: list[Trip] = []
    for index, (type_, value) in enumerate(drawn):
        try:
            codec(type_).encode(value)
        except DefinitionError:
            continue
        except WrongValue as error:
            trips.append(Trip(type_, f"Drawn{index}", [value], [str(error)]))
        else:
            trips.append(Trip(type_, f"Drawn{index}", [value], [""]))
    assert asyncio.run(_travel(HOSTS["embedded-memory"](Path("unused")), trips)) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_every_float_travels_outside_of_models(value: float) -> None:
    assert same(codec(float).decode(codec(float).encode(value)), value)
