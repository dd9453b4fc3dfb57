"""Making the data in a value anew: lists, dictionaries, sets, tuples, dataclasses and models, and what is in them.

Anything else (a connection, a lock, an instance of some other class) is no data and stays the object that it is.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from pydantic import BaseModel

PLAIN: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, date, datetime, time, timedelta, Decimal, UUID}
)
"""Types whose values nobody can change, and which hold no others."""

_TRACKED: Final = "_sa_instance_state"
"""What SQLAlchemy keeps in the instances it tracks: a copy of one would write to the same row."""

Rebuild: TypeAlias = Callable[[Any], Any]
Put: TypeAlias = Callable[[Any, list[Any]], object]


class Rebuilding:
    """Makes values anew. One that occurs twice is made once, also where it holds itself.

    Args:
        of_set: Makes a set, from the set and what makes its items.
        afresh: Whether all that can be changed is a new object; else only what has come out otherwise.
    """

    def __init__(self, of_set: Callable[[AbstractSet[Any], Rebuild], AbstractSet[Any]], *, afresh: bool) -> None:
        self._of_set = of_set
        self._afresh = afresh
        self._made: dict[int, tuple[object, object]] = {}
        """By identity: the value, which keeps its identity from being given away, and what it was made to."""

    def __call__(self, value: Any) -> Any:
        """Give the value, made anew."""
        if type(value) in PLAIN:
            return value
        found = self._made.get(id(value))
        if found is not None:
            return found[1]
        made = self._of(value)
        self._made[id(value)] = (value, made)
        return made

    def _of(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._parts(value, _values(value), _put_values)
        if isinstance(value, list | deque):
            return self._parts(value, cast("Iterable[Any]", value), _put_items)
        if isinstance(value, tuple):
            return self._tuple(cast("Any", value))
        if isinstance(value, set | frozenset):
            return self._of_set(cast("AbstractSet[Any]", value), self)
        if isinstance(value, BaseModel):
            return self._model(value)
        if isinstance(value, bytearray):
            return copy.copy(value) if self._afresh else value
        is_data = dataclasses.is_dataclass(value) and not isinstance(value, type)
        return self._dataclass(value) if is_data else value

    def _parts(self, value: Any, parts: Iterable[Any], put: Put) -> Any:
        made = copy.copy(value) if self._afresh else value
        self._made[id(value)] = (value, made)
        old = list(parts)
        new = list(map(self, old))
        if _same(old, new):
            return made
        if not self._afresh:
            made = copy.copy(value)
        put(made, new)
        return made

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        new = list(map(self, value))
        if _same(value, new):
            return value
        if type(value) is tuple:
            return tuple(new)
        make: Callable[[list[Any]], Any] | None = getattr(value, "_make", None)
        return value if make is None else make(new)

    def _model(self, value: BaseModel) -> Any:
        fields = vars(value)
        if _TRACKED in fields:
            return value
        extra: dict[str, Any] = value.__pydantic_extra__ or {}

        def put(made: Any, new: list[Any]) -> None:
            content: dict[str, Any] = made.__dict__
            content.update(zip(fields, new, strict=False))
            if extra:
                made.__pydantic_extra__ = dict(zip(extra, new[len(fields) :], strict=True))

        return self._parts(value, [*fields.values(), *extra.values()], put)

    def _dataclass(self, value: Any) -> Any:
        if _TRACKED in getattr(value, "__dict__", ()):
            return value
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]

        def put(made: Any, new: list[Any]) -> None:
            for name, part in zip(names, new, strict=True):
                object.__setattr__(made, name, part)

        return self._parts(value, [getattr(value, name) for name in names], put)


def _same(old: Sequence[Any], new: Sequence[Any]) -> bool:
    return all(one is other for one, other in zip(old, new, strict=True))


def _values(entries: Any) -> Iterable[Any]:
    found: Iterable[Any] = entries.values()
    return found


def _put_items(made: Any, new: list[Any]) -> None:
    made.clear()
    made.extend(new)


def _put_values(made: Any, new: list[Any]) -> None:
    for key, part in zip(list(made), new, strict=True):
        made[key] = part
