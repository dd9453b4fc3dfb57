"""One order for what has none: the items of sets, which each process iterates in an order of its own.

What is sent or stored is compared with the journal on a replay, perhaps by another process. So a set is written in
the order of its items, wherever it is in a value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, cast

from pydantic import TypeAdapter
from typing_extensions import override

from restate_patterns.values.fingerprints import Unordered, canonical_form
from restate_patterns.values.rebuilding import Rebuild, Rebuilding

_SETS: Final = frozenset({"set", "frozenset"})
_DICTIONARIES: Final = frozenset({"dict", "typed-dict", "counter"})
_NEITHER: Final = frozenset(
    {
        "none", "bool", "int", "float", "complex", "decimal", "str", "bytes", "date", "time", "datetime", "timedelta",
        "literal", "enum", "uuid", "url", "multi-host-url", "list", "tuple", "deque", "ordered-dict", "nullable",
        "union", "tagged-union", "chain", "lax-or-strict", "json-or-python", "default", "model", "model-fields",
        "model-field",
        "dataclass", "dataclass-args", "dataclass-field", "computed-field", "typed-dict-field", "arguments", "call",
        "definitions", "definition-ref", "function-before", "function-after", "function-wrap", "custom-error", "format",
        "to-string", "",
    }
)  # fmt: skip
"""Kinds of pydantic's core schemas that tell what is in a value, if anything, in a schema inside. Any other kind may
hold everything.
"""

_SORTED_AS_THEY_ARE: Final = ({str}, {int}, {bytes})
_NO_SCHEMAS: Final = frozenset({"metadata", "default", "expected", "cls", "config", "function"})


def writer(adapter: TypeAdapter[Any]) -> Callable[..., bytes]:
    """Return what writes values of a type as JSON: pydantic's own `to_json`, wherever that gives one order.

    What may hold dictionaries is marked as `Unordered`: the order of their keys is kept, and counts for nothing.
    """
    kinds = frozenset(map(_kind, _nodes(adapter.core_schema))) - _NEITHER
    write: Callable[..., bytes] = adapter.serializer.to_json
    if kinds - _DICTIONARIES:
        write = functools.partial(_write_in_order, write)
    return functools.partial(_write_unordered, write) if kinds - _SETS else write


def in_order(value: Any) -> Any:
    """Return the value with all sets in it in the order of their items; itself where it has none."""
    return Rebuilding(_ordered, afresh=False)(value)


def _write_in_order(write: Callable[..., bytes], value: Any, **options: Any) -> bytes:
    return write(in_order(value), **options)


def _write_unordered(write: Callable[..., bytes], value: Any, **options: Any) -> bytes:
    return Unordered(write(value, **options))


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    left: list[Any] = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            node = cast("dict[str, Any]", part)
            is_node = isinstance(node.get("type"), str)
            left += [inner for key, inner in node.items() if not (is_node and key in _NO_SCHEMAS)]
            if is_node:
                yield node
        elif isinstance(part, list | tuple):
            left += part


def _kind(node: Mapping[str, Any]) -> str:
    if node["type"] == "function-plain" and "return_schema" in node:
        return ""
    config: Mapping[str, Any] = node.get("config") or {}
    open_ended = node.get("extra_behavior") or config.get("extra_fields_behavior")
    return "any" if open_ended == "allow" else str(node["type"])


def _ordered(items: AbstractSet[Any], rebuild: Rebuild) -> AbstractSet[Any]:
    if {*map(type, items)} in _SORTED_AS_THEY_ARE:
        made = sorted(items)
    else:
        made = sorted(map(rebuild, items), key=canonical_form)
    return FrozenInOrder(made) if isinstance(items, frozenset) else SetInOrder(made)


class SetInOrder(set[Any]):
    """A set that is iterated in the order in which it was given its items."""

    __slots__ = ("_items",)

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self._items = items

    @override
    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


class FrozenInOrder(frozenset[Any]):
    """A frozen set that is iterated in the order in which it was given its items."""

    __slots__ = ("_items",)
    _items: list[Any]

    def __new__(cls, items: list[Any]) -> FrozenInOrder:
        """Make it."""
        made = super().__new__(cls, items)
        made._items = items
        return made

    @override
    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)
