"""Whether a value that travelled is the one that was given: equal, and of the same types at every depth.

Owns what counts as the same. Knows no codec and no wire form.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import datetime, time, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from pydantic_core import TzInfo

TRAVELS_AS: Final = "_travels_as"
"""The attribute by which a class says as which type its values may come back."""
_MISSING: Final[Any] = type("Nothing", (), {})()
_EQUAL_MEANS_SAME: Final = frozenset({str, int, bool, bytes, type(None)})
_FIXED_ZONES: Final = (timezone, TzInfo)
_SEQUENCES: Final = (list, tuple, deque)


class Difference(NamedTuple):
    """The first place where two values differ."""

    path: str
    given: object
    back: object


def first_difference(given: object, back: object) -> Difference | None:
    """Return the first place where `back` is not `given`, or None where it is the same value.

    The same is: the same types, equal, in the same order, with the same zone, sign and number of digits. An int
    for a float is the same when the float is that number, as type checkers have it; so is what says of itself that it
    travels as another type.
    """
    kind = type(given)
    if kind is not type(back):
        return None if _is_promoted(given, back) else Difference("", given, back)
    if kind in _EQUAL_MEANS_SAME:
        return None if given == back else Difference("", given, back)
    parts = _parts(given, back)
    if parts is None:
        return None if _same_whole(given, back) else _whole_difference(given, back)
    for place, left, right in parts:
        found = first_difference(left, right)
        if found is not None:
            return Difference(place + found.path, found.given, found.back)
    return None


def hint(difference: Difference) -> str:
    """Say what to do about a difference."""
    given, back = difference.given, difference.back
    if isinstance(given, datetime | time) and type(given) is type(back):
        return "only a fixed offset travels: send it in UTC, and the name of the zone in a field of its own"
    if type(back) is not type(given) and isinstance(back, type(given)) and isinstance(given, BaseModel):
        return f"make it a {type(back).__name__}"  # a generic model without its types
    if isinstance(given, BaseModel) or dataclasses.is_dataclass(given):
        name = type(given).__name__
        return f"declare {name} there; where it is one of several types, tell them apart by Field(discriminator=...)"
    if isinstance(given, float) and not math.isfinite(given):
        return 'JSON has no inf and no nan: in a model, set model_config = ConfigDict(ser_json_inf_nan="constants")'
    if type(given) is type(back) or back is None:
        return "declare a type that keeps what it is"
    return f"convert it to {type(back).__name__} first, or declare {type(given).__name__}"


def _is_promoted(given: object, back: object) -> bool:
    if type(given) is int:
        return type(back) is float and given == back
    return type(back) is getattr(type(given), TRAVELS_AS, None) and given == back


def _parts(given: Any, back: Any) -> Iterable[tuple[str, object, object]] | None:
    """Give the parts of two values of one type side by side; None where they are compared as wholes."""
    if isinstance(given, BaseModel):
        return _of_model(given, back)
    if dataclasses.is_dataclass(given):
        names = [field.name for field in dataclasses.fields(given)]
        if getattr(given, "__pydantic_config__", {}).get("extra") == "allow":
            names = [*vars(given)]
        return ((f".{name}", getattr(given, name, _MISSING), getattr(back, name, _MISSING)) for name in names)
    if isinstance(given, _SEQUENCES):
        return _of_sequence(given, back)
    if isinstance(given, Mapping):
        return _of_mapping(given, back)
    if isinstance(given, Set):
        return _of_set(given, back)
    return None


def _of_model(given: BaseModel, back: BaseModel) -> Iterator[tuple[str, object, object]]:
    for name in type(given).model_fields:
        yield f".{name}", given.__dict__.get(name, _MISSING), back.__dict__.get(name, _MISSING)
    if given.__pydantic_extra__ != back.__pydantic_extra__ or given.__pydantic_extra__:
        yield " (its extra fields)", given.__pydantic_extra__, back.__pydantic_extra__
    if given.__pydantic_private__ != back.__pydantic_private__ or given.__pydantic_private__:
        yield " (its private attributes)", given.__pydantic_private__, back.__pydantic_private__


def _of_sequence(given: Any, back: Any) -> Iterator[tuple[str, object, object]]:
    if len(given) != len(back):
        yield "", _Whole(given), _Whole(back)
    if hasattr(given, "maxlen"):  # a deque
        yield ".maxlen", given.maxlen, back.maxlen
    for index, (left, right) in enumerate(zip(given, back, strict=False)):
        yield f"[{index}]", left, right


def _of_mapping(given: Any, back: Any) -> Iterator[tuple[str, object, object]]:
    if len(given) != len(back):
        yield "", _Whole(given), _Whole(back)
    if hasattr(given, "default_factory"):
        yield ".default_factory", _Whole(given.default_factory), _Whole(back.default_factory)
    for (left, left_value), (right, right_value) in zip(given.items(), back.items(), strict=False):
        yield " (a key)", left, right
        yield f"[{left!r}]", left_value, right_value


def _of_set(given: Any, back: Any) -> Iterator[tuple[str, object, object]]:
    if given != back:
        yield "", _Whole(given), _Whole(back)
    there = {item: item for item in back}
    for item in given:
        yield " (an item)", item, there[item]


def _whole_difference(given: object, back: object) -> Difference:
    if isinstance(given, _Whole) and isinstance(back, _Whole):
        return Difference("", given.value, back.value)
    return Difference("", given, back)


class _Whole:
    """Stands for a thing that is not compared by its parts, and is no other thing."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def _same_whole(given: Any, back: Any) -> bool:
    if isinstance(given, Enum):
        return given is back
    for kind, same in _WHOLES.items():
        if isinstance(given, kind):
            return same(given, back)
    return bool(given == back)


def _same_floats(given: float, back: float) -> bool:
    if math.isnan(given):
        return math.isnan(back)
    return given == back and math.copysign(1, given) == math.copysign(1, back)


def _same_times(given: datetime | time, back: datetime | time) -> bool:
    return (
        given.replace(tzinfo=None) == back.replace(tzinfo=None)
        and given.fold == back.fold
        and given.utcoffset() == back.utcoffset()
        and _is_fixed(given.tzinfo)
    )


def _is_fixed(zone: tzinfo | None) -> bool:
    """Tell whether a zone is an offset and nothing else: other zones come back as the offset of that day."""
    if zone is None or isinstance(zone, _FIXED_ZONES):
        return True
    return isinstance(zone, ZoneInfo) and zone.key == "UTC"


_WHOLES: Final[Mapping[type, Callable[[Any, Any], bool]]] = {
    float: _same_floats,
    complex: lambda given, back: bool(repr(given) == repr(back)),
    Decimal: lambda given, back: bool(given.as_tuple() == back.as_tuple()),
    datetime: _same_times,
    time: _same_times,
    _Whole: lambda given, back: given.value is back.value,
}
