"""One order of bytes: equal values are written alike in every process, and nothing else becomes of them."""

from __future__ import annotations

import enum
import json
import os
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import pytest
from pydantic import BaseModel, RootModel, TypeAdapter
from typing_extensions import TypedDict

from restate_patterns.values.canonical import in_order, writer
from restate_patterns.values.fingerprints import Unordered, fingerprint, wire_fingerprint
from tests.support.pages import ROOT

T = TypeVar("T")
WORDS = ("zz", "ann", "mm", "q", "é", "10", "9", "")


class Level(enum.Enum):
    LOW = "zz"
    HIGH = "a"
    MIDDLE = "m"


class Seat(BaseModel, frozen=True):
    row: str
    tags: frozenset[str] = frozenset()


class Show(BaseModel):
    tags: set[str] = set()
    anything: Any = None
    inner: Show | None = None


class Open(BaseModel, extra="allow"):
    pass


class Tags(RootModel[set[str]]):
    pass


class Box(BaseModel, Generic[T]):
    inside: T


@dataclass
class Row:
    tags: set[str]
    more: list[set[str]]


@dataclass(frozen=True, slots=True)
class Slim:
    tags: frozenset[str]


class Pair(NamedTuple):
    tags: set[str]
    number: int


class Typed(TypedDict):
    tags: set[str]


def everything() -> list[tuple[Any, Any]]:
    """Give types with values that hold sets, made in the order of this process."""
    tags, frozen = set(WORDS), frozenset(WORDS)
    return [
        (set[str], tags),
        (frozenset[str], frozen),
        (AbstractSet[str], frozen),
        (set[int], {10, 9, -1, 1 << 40}),
        (set[bytes], {word.encode() for word in WORDS}),
        (set[Level], set(Level)),
        (set[Level | str | None], {*Level, "x", "y", None}),
        (set[str | int], {*WORDS, 1, 2, 10}),
        (set[float], {1.5, -0.5, 1e100}),
        (set[date], {date(2026, 1, day) for day in range(1, 20)}),
        (set[datetime], {datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 20)}),
        (set[UUID], {UUID(int=number) for number in range(20)}),
        (set[tuple[str, int]], {(word, len(word)) for word in WORDS}),
        (set[frozenset[str]], {frozenset(WORDS[:end]) for end in range(5)}),
        (set[Seat], {Seat(row=word, tags=frozen) for word in WORDS}),
        (set[Slim], {Slim(frozenset(word)) for word in WORDS}),
        (set[str] | list[int], tags),
        (set[str] | None, tags),
        (list[set[str]], [tags, tags]),
        (deque[set[str]], deque([tags], maxlen=3)),
        (tuple[set[str], ...], (tags, tags)),
        (tuple[int, set[str]], (1, tags)),
        (dict[str, set[str]], {"a": tags}),
        (defaultdict[str, set[str]], defaultdict(set[str], a=tags)),
        (OrderedDict[str, set[str]], OrderedDict(a=tags)),
        (Show, Show(tags=tags, anything={"k": tags, "l": [frozen]}, inner=Show(tags=tags))),
        (Open, Open.model_validate({"tags": tags, "n": 1})),
        (Tags, Tags(tags)),
        (Box[set[str]], Box[set[str]](inside=tags)),
        (Box[Any], Box[Any](inside=[tags])),
        (Row, Row(tags, [tags, tags])),
        (Slim, Slim(frozen)),
        (Pair, Pair(tags, 1)),
        (Typed, Typed(tags=tags)),
        (Any, [{"a": tags}, (frozen, Seat(row="a", tags=frozen), Row(tags, []))]),
        (object, tags),
        (set, {*WORDS}),
    ]


def written() -> list[list[str]]:
    """Give each value's bytes and its fingerprint as an argument of a step, as text."""
    return [
        [writer(TypeAdapter(type_))(value, warnings="error").decode(), fingerprint(value).hex()]
        for type_, value in everything()
    ]


def test_every_process_writes_the_same() -> None:
    program = "import json; from tests.unit.values.test_canonical import written; print(json.dumps(written()))"
    found = {
        seed: subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (0, 1, 2, 3)
    }
    here = written()
    for seed, said in found.items():
        for (type_, _), one, other in zip(everything(), here, json.loads(said), strict=True):
            assert one == other, f"{type_} under seed {seed}"


def in_no_order(found: Any) -> Any:
    """Give JSON with its arrays sorted."""
    if isinstance(found, dict):
        return {key: in_no_order(item) for key, item in found.items()}
    return sorted(map(in_no_order, found), key=repr) if isinstance(found, list) else found


@pytest.mark.parametrize(("type_", "value"), everything(), ids=[str(type_) for type_, _ in everything()])
def test_what_is_written_reads_back(type_: Any, value: Any) -> None:
    """Putting sets in order changes neither the value given nor the one that is read."""
    adapter = TypeAdapter(type_)
    before = repr(value)

    data = writer(adapter)(value)

    assert repr(value) == before
    assert adapter.validate_json(data) is not None
    assert in_no_order(json.loads(data)) == in_no_order(json.loads(adapter.serializer.to_json(value)))


@pytest.mark.parametrize("type_", [str, int, bool, datetime, list[str], list[Level], tuple[int, str], int | None, Pair])
def test_plain_types_are_written_by_pydantic_alone(type_: Any) -> None:
    adapter = TypeAdapter(type_)
    mine = writer(adapter)

    assert (type(mine) is partial) == (type_ is Pair)


def test_a_value_without_sets_stays_itself() -> None:
    value = [{"a": [1, (2, 3)]}, Row.__name__, Open.model_validate({"a": [1]})]

    assert in_order(value) is value


def test_the_order_of_keys_is_kept_and_does_not_count() -> None:
    mine = writer(TypeAdapter(dict[str, dict[str, int]]))
    one, other = mine({"b": {"y": 1, "x": 2}, "a": {}}), mine({"a": {}, "b": {"x": 2, "y": 1}})

    assert one == b'{"b":{"y":1,"x":2},"a":{}}'
    assert isinstance(one, Unordered)
    assert wire_fingerprint(one) == wire_fingerprint(other) != wire_fingerprint(mine({"a": {}, "b": {"x": 2, "y": 2}}))


def test_the_order_of_anything_else_counts() -> None:
    in_any, of_ordered = writer(TypeAdapter(Any)), writer(TypeAdapter(OrderedDict[str, int]))

    assert wire_fingerprint(in_any(["a", "b"])) != wire_fingerprint(in_any(["b", "a"]))
    assert wire_fingerprint(of_ordered(OrderedDict(a=1, b=2))) != wire_fingerprint(of_ordered(OrderedDict(b=2, a=1)))
    assert wire_fingerprint(b'{"a":1,"b":2}') != wire_fingerprint(b'{"b":2,"a":1}')


def test_a_tally_has_no_order() -> None:
    mine = writer(TypeAdapter(Counter[str]))

    assert wire_fingerprint(mine(Counter("ab"))) == wire_fingerprint(mine(Counter("ba")))
