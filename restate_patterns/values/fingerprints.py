"""Fingerprints: eight bytes that tell whether a replayed operation got the same arguments.

Of values, for the arguments of steps, and of bytes, for what is sent or stored. The same arguments give the same
bytes in every process, and what `==` ignores does not count: sets are sorted, dictionaries compare by content,
models and dataclasses by their fields. What has no stable form (a connection, a lock) counts by the name of its type.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Mapping, Sequence, Set, ValuesView
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable

FINGERPRINT_BYTES: Final = 8
_MAX_DEPTH: Final = 24
_EMPTY: Final = blake2b(digest_size=FINGERPRINT_BYTES)

_EXACT: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"n",
    bool: lambda value: b"T" if value else b"F",
    int: lambda value: b"i%d" % value,
    float: lambda value: b"f" + repr(value).encode(),
    str: lambda value: b"s" + value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: b"b" + value,
}
_BY_REPR = (datetime, date, time, timedelta, tzinfo, Decimal, Fraction, UUID, PurePath, complex, range)


def fingerprint(*args: object, **kwargs: object) -> bytes:
    """Return eight bytes that stand for these arguments, the same in every process."""
    if not args and not kwargs:
        return _NO_ARGUMENTS
    form = b"a"
    for arg in args:  # as _join() does, without its lists: few arguments, most of them plain
        exact = _EXACT.get(type(arg))
        part = _form(arg, 0) if exact is None else exact(arg)
        form += b"%d," % len(part) + part
    if kwargs:
        form += _mapping(kwargs, 0)
    return _digest(form)


class Unordered(bytes):
    """JSON that may hold dictionaries: in which order their keys come is no part of the value."""

    __slots__ = ()


def wire_fingerprint(data: bytes, name: bytes | None = None) -> bytes:
    """Return eight bytes that stand for bytes that are sent or stored, and for the name that they go under, if any."""
    if type(data) is Unordered:
        data = in_key_order(data)
    return _digest(data if name is None else data + b"\0" + name)


def in_key_order(data: bytes) -> bytes:
    """Return the form of `data` that is the same for equal values."""
    if type(data) is not Unordered or data.count(b":") < 2:  # one key has no order
        return data
    return json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()


def canonical_form(value: object) -> bytes:
    """Return bytes that stand for a value, the same in every process; what sets are sorted by."""
    return _form(value, 0)


def _digest(form: bytes) -> bytes:
    digest = _EMPTY.copy()  # two thirds of what making one costs
    digest.update(form)
    return digest.digest()


def _join(tag: bytes, forms: list[bytes]) -> bytes:
    """Prefix each form with its length, so that no two different lists of forms look the same."""
    return b"".join([tag, *[b"%d," % len(form) + form for form in forms]])


def _form(value: object, depth: int) -> bytes:
    exact = _EXACT.get(type(value))
    if exact is not None:
        return exact(value)
    if depth > _MAX_DEPTH:
        return _opaque(value)
    return _compound(value, depth + 1)


def _compound(value: object, depth: int) -> bytes:
    if isinstance(value, enum.Enum):
        return b"e" + f"{type(value).__qualname__}.{value.name}".encode()
    if isinstance(value, str):
        return _EXACT[str](str.__str__(value))
    if isinstance(value, int | float):
        return _opaque(value) + _words(value)
    if isinstance(value, _BY_REPR):
        return b"r" + _words(value)
    if isinstance(value, bytearray | memoryview):
        return b"b" + bytes(cast("bytes", value))
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[object, object]", value), depth)
    if isinstance(value, Set):
        return _join(b"S", sorted(_form(item, depth) for item in cast("Set[object]", value)))
    if isinstance(value, Sequence | ValuesView):
        return _join(b"l", [_form(item, depth) for item in cast("Sequence[object]", value)])
    return _record(value, depth)


def _record(value: object, depth: int) -> bytes:
    if isinstance(value, BaseModel):
        # Not all of its `__dict__`: a cached property that was read is no field.
        given = vars(value)
        fields = {name: given[name] for name in type(value).__pydantic_fields__ if name in given}
        return _opaque(value) + _mapping({**fields, **(value.__pydantic_extra__ or {})}, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _field(value, field.name) for field in dataclasses.fields(value) if field.compare}
        return _opaque(value) + _mapping(fields, depth)
    if isinstance(value, functools.partial):
        bound = cast("functools.partial[object]", value)
        return _join(b"p", [_form(item, depth) for item in (bound.func, bound.args, bound.keywords)])
    return _opaque(value)


def _field(value: object, name: str) -> object:
    """Give what a field holds, without what a descriptor would do to find it."""
    given = getattr(value, "__dict__", None)
    return getattr(value, name, None) if given is None or name not in given else given[name]


def _words(value: object) -> bytes:
    """Give how a value is written; one that shows an address, as of a time zone of one's own, by what it says."""
    words = repr(value)
    if " at 0x" not in words:
        return words.encode()
    said = value.isoformat() if isinstance(value, datetime | time) else ""
    return _opaque(value) + said.encode()


def _mapping(value: Mapping[Any, object], depth: int) -> bytes:
    if not value:
        return b"m"
    return _join(b"m", sorted(_form(key, depth) + b"=" + _form(item, depth) for key, item in value.items()))


def _opaque(value: object) -> bytes:
    """Name a function or class itself, anything else by its type."""
    is_named = hasattr(value, "__qualname__")
    named: Any = value if is_named else type(value)
    return (b"N" if is_named else b"o") + f"{named.__module__}.{named.__qualname__}".encode()


_NO_ARGUMENTS: Final = _digest(b"")
