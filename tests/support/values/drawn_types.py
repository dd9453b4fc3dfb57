"""Hypothesis draws types together with values: of the type, almost of the type, and of another type altogether."""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from pydantic import Field, create_model
from typing_extensions import TypedDict

Drawn: TypeAlias = tuple[Any, st.SearchStrategy[Any]]
"""A type, and values of it."""


class Tone(enum.Enum):
    LIGHT = "light"
    DARK = "dark"


class Digit(enum.IntEnum):
    ONE = 1
    TWO = 2


class Word(enum.StrEnum):
    YES = "yes"


class Corner(NamedTuple):
    x: int
    y: float


_ZONES: Final = st.sampled_from([None, UTC, timezone(timedelta(hours=-3, minutes=-30)), ZoneInfo("Europe/Berlin")])
_LEAVES: Final[Sequence[Drawn]] = (
    (int, st.integers() | st.just(10**4299)),
    (bool, st.booleans()),
    (float, st.floats()),
    (str, st.text(st.characters(exclude_categories=()))),
    (bytes, st.binary()),
    (type(None), st.none()),
    (Any, st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.tuples(inner))),
    (datetime, st.datetimes(timezones=_ZONES, allow_imaginary=True)),
    (date, st.dates()),
    (time, st.times(timezones=_ZONES)),
    (timedelta, st.timedeltas()),
    (Decimal, st.decimals()),
    (UUID, st.uuids()),
    (complex, st.complex_numbers()),
    (PurePosixPath, st.text().map(PurePosixPath)),
    (Tone, st.sampled_from(Tone)),
    (Digit, st.sampled_from(Digit)),
    (Word, st.sampled_from(Word)),
    (Corner, st.builds(Corner, st.integers(), st.floats())),
    (Literal["a", 1, True], st.sampled_from(["a", 1, True])),
)
_STRANGERS: Final[st.SearchStrategy[Any]] = st.sampled_from(
    [None, True, 1, 1.0, "1", "yes", b"1", (), [], {}, {1}, Word.YES, Digit.ONE, Tone.LIGHT, Decimal(1), [None]]
)  # fmt: skip
_KEYS: Final[Sequence[Drawn]] = tuple(
    (type_, values) for type_, values in _LEAVES if type_ in (str, int, bool, date, UUID, Tone, Digit, bytes, datetime)
)


@st.composite
def types_with_values(draw: st.DrawFn) -> tuple[Any, object]:
    """Give a type and a value for it."""
    type_, values = draw(_types(2))
    return type_, draw(values | _STRANGERS)


@st.composite
def _types(draw: st.DrawFn, depth: int) -> Drawn:
    leaf = draw(st.sampled_from(_LEAVES))
    if depth == 0:
        return leaf
    make = draw(st.sampled_from(_MADE))
    return draw(make(depth - 1)) if make is not None else leaf


@st.composite
def _lists(draw: st.DrawFn, depth: int) -> Drawn:
    type_, values = draw(_types(depth))
    kind: Any = draw(st.sampled_from([list, deque, Sequence]))
    made = deque if kind is deque else list
    return kind[type_], st.lists(values | _STRANGERS if draw(st.booleans()) else values, max_size=3).map(made)


@st.composite
def _sets(draw: st.DrawFn, depth: int) -> Drawn:
    type_, values = draw(st.sampled_from(_KEYS))
    kind: Any = draw(st.sampled_from([set, frozenset]))
    return kind[type_], st.sets(values, max_size=3).map(kind)


@st.composite
def _tuples(draw: st.DrawFn, depth: int) -> Drawn:
    parts = draw(st.lists(_types(depth), min_size=1, max_size=3))
    if draw(st.booleans()):
        type_, values = parts[0]
        kind: Any = tuple
        return kind[type_, ...], st.lists(values, max_size=3).map(tuple)
    return tuple.__class_getitem__(tuple(type_ for type_, _ in parts)), st.tuples(*(values for _, values in parts))


@st.composite
def _dictionaries(draw: st.DrawFn, depth: int) -> Drawn:
    (key, keys), (type_, values) = draw(st.sampled_from(_KEYS)), draw(_types(depth))
    kind: Any = draw(st.sampled_from([dict, OrderedDict, Mapping]))
    made = OrderedDict if kind is OrderedDict else dict
    if draw(st.booleans()):
        key, keys = key | int, keys | st.integers()
    return kind[key, type_], st.dictionaries(keys, values, max_size=3).map(made)


@st.composite
def _unions(draw: st.DrawFn, depth: int) -> Drawn:
    (left, lefts), (right, rights) = draw(_types(depth)), draw(_types(depth))
    return left | right if left is not Any and right is not Any else left, lefts | rights


@st.composite
def _optionals(draw: st.DrawFn, depth: int) -> Drawn:
    type_, values = draw(_types(depth))
    return type_ | None if type_ is not Any else Any, st.none() | values


@st.composite
def _models(draw: st.DrawFn, depth: int) -> Drawn:
    (one, ones), (two, twos) = draw(_types(depth)), draw(_types(depth))
    config: Any = draw(
        st.sampled_from([{}, {"extra": "forbid"}, {"extra": "allow"}, {"frozen": True}, _BASE64, _STRIPS])
    )
    alias: Any = draw(st.sampled_from([{}, {"alias": "oneAlias"}, {"alias": "oneAlias", "serialization_alias": "one"}]))
    fields: dict[str, Any] = {"one": (one, Field(**alias)), "two": (two, None)}
    model: Any = create_model("Model", __config__=config, **fields)
    name = alias.get("alias", "one")
    checked = ones.map(lambda value: model.model_construct(None, **{name: value, "one": value}))
    both = st.tuples(ones, twos).map(lambda pair: model.model_construct(None, **{name: pair[0], "two": pair[1]}))
    return model, both | checked


@st.composite
def _dataclasses(draw: st.DrawFn, depth: int) -> Drawn:
    (one, ones), (two, twos) = draw(_types(depth)), draw(_types(depth))
    options: Any = draw(st.sampled_from([{}, {"slots": True}, {"frozen": True}, {"kw_only": True}, {"eq": False}]))
    base: Any = dataclasses.make_dataclass("Record", [("one", one), ("two", two, None)], **options)
    derived: Any = dataclasses.make_dataclass("Derived", [("three", int, 0)], bases=(base,), **options)
    cls = st.sampled_from([base, base, derived])
    return base, st.tuples(cls, ones, twos).map(lambda drawn: drawn[0](one=drawn[1], two=drawn[2]))


@st.composite
def _typed_dicts(draw: st.DrawFn, depth: int) -> Drawn:
    (one, ones), (two, twos) = draw(_types(depth)), draw(_types(depth))
    made: Any = TypedDict
    type_ = made("Row", {"one": one, "two": two}, total=draw(st.booleans()))
    rows = st.fixed_dictionaries({"one": ones}, optional={"two": twos, "three": st.integers()})
    # It is read in the order of its declaration: equal to what was given, which may be drawn in another.
    return type_, rows.map(lambda row: {name: row[name] for name in ("one", "two", "three") if name in row})


_BASE64: Final = {"ser_json_bytes": "base64", "val_json_bytes": "base64", "ser_json_inf_nan": "constants"}
_STRIPS: Final = {"str_strip_whitespace": True}
_MADE: Final[Sequence[Any]] = (
    None, _lists, _sets, _tuples, _dictionaries, _unions, _optionals, _models, _dataclasses, _typed_dicts
)  # fmt: skip
