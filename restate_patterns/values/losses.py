"""Types whose values can never come back from JSON as they were, whatever the value.

Read from pydantic's core schema, so that they are refused before anything is done. Types that may or may not come
back, by the value, are not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

from pydantic import TypeAdapter

from restate_patterns.values.plainness import Schema

Found: TypeAlias = Iterator[str]
"""Sentences, each with the place inside the type first."""

_NEVER: Final = {
    "callable": "a function can't be written as JSON",
    "generator": "an iterator is read once, and its items are checked late; declare a list",
    "is-instance": "pydantic doesn't know how to make such an object from JSON; declare a model or a dataclass",
    "is-subclass": "a class can't be written as JSON; send its name",
    "json": "Json[...] is read from text but written as what the text means; declare the type itself",
}
_SECRET: Final = "a secret is written as asterisks; send a key by which the other side finds it"
_NO_KEYS: Final = frozenset({
    "tuple", "list", "set", "frozenset", "dict", "none", "model", "typed-dict", "dataclass", "named-tuple"
})  # fmt: skip
_PASSING: Final = {"date": "a day in the future", "datetime": "a time in the future"}
_PATH_CHECKS: Final = frozenset({"PathType.validate_file", "PathType.validate_directory", "PathType.validate_new"})


def why_never(schema: Schema) -> str | None:
    """Say where and why values of a schema can't come back; None where they can."""
    return next(_Walk().walk(schema, ""), None)


def comes_back(member: Enum) -> bool:
    """Return whether a member of an enum is found again by its value."""
    try:
        adapter = TypeAdapter[Enum](type(member))
        return adapter.validate_json(adapter.dump_json(member)) is member
    except ValueError:
        return False


class _Walk:
    """Goes through what every value of a schema has."""

    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}
        self._seen: set[str] = set()

    def walk(self, schema: Schema, place: str) -> Found:
        kind = schema["type"]
        if "serialization" in schema:  # how it is written is somebody's own: only its values can tell
            if _is_secret(schema["serialization"]):
                yield _at(place, _SECRET)
            return
        if kind in _NEVER:
            yield _at(place, _NEVER[kind])
        elif schema.get("now_op") == "future":
            yield _at(place, f"{_PASSING[kind]} is not in the future any more when it is read later; check it yourself")
        elif kind in _WALKS:
            yield from _WALKS[kind](self, schema, place)

    def inner(self, schema: Schema, place: str) -> Found:
        yield from self.walk(schema["schema"], place)

    def definitions(self, schema: Schema, place: str) -> Found:
        self._definitions = {part["ref"]: part for part in schema["definitions"]}
        yield from self.walk(schema["schema"], place)

    def reference(self, schema: Schema, place: str) -> Found:
        name = schema["schema_ref"]
        if name not in self._seen:
            self._seen.add(name)
            yield from self.walk(self._definitions[name], place)

    def checked(self, schema: Schema, place: str) -> Found:
        """A check behind the type; those of paths ask the file system of the one who reads."""
        if getattr(schema["function"]["function"], "__qualname__", "") in _PATH_CHECKS:
            yield _at(place, "whether a path exists changes until it is read; declare Path and look yourself")
        yield from self.inner(schema, place)

    def enum(self, schema: Schema, place: str) -> Found:
        """An enum is lost when none of its members is found again by its value."""
        if schema["members"] and not any(map(comes_back, schema["members"])):
            yield _at(place, "no member is found by what JSON gives back of its value; give them text or numbers")

    def items(self, schema: Schema, place: str) -> Found:
        items = schema.get("items_schema", ())
        for item in [items] if hasattr(items, "keys") else items:
            yield from self.walk(item, f"{place}[...]")

    def mapping(self, schema: Schema, place: str) -> Found:
        if "keys_schema" in schema:
            keys = self._unwrapped(schema["keys_schema"])
            if keys["type"] in _NO_KEYS and "serialization" not in keys:
                yield _at(place, f"the keys of a JSON object are text, which no {keys['type']} comes back from")
            yield from self.walk(keys, f"{place}[a key]")
        if "values_schema" in schema:
            yield from self.walk(schema["values_schema"], f"{place}[...]")

    def _unwrapped(self, schema: Schema) -> Schema:
        while schema["type"] == "definition-ref":
            schema = self._definitions[schema["schema_ref"]]
        return schema

    def union(self, schema: Schema, place: str) -> Found:
        """A union is lost when each of its members is."""
        choices = schema["choices"]
        first: str | None = None
        for choice in choices.values() if hasattr(choices, "keys") else choices:
            why = next(self.walk(choice if hasattr(choice, "keys") else choice[0], place), None)
            if why is None:
                return
            first = first or why
        if first is not None:
            yield first

    def record(self, schema: Schema, place: str) -> Found:
        """A model, dataclass or TypedDict: every field is written under a name by which it is read."""
        fields_schema = schema if schema["type"] == "typed-dict" else schema["schema"]
        if "fields" not in fields_schema:  # a root model, or a model with a validator around it
            yield from self.walk(fields_schema, place)
            return
        config = schema.get("config", {})
        fields = _fields(fields_schema["fields"])
        by_name = any(part.get(key) for part in (config, fields_schema) for key in _BY_NAME)
        for name, field in fields:
            yield from self._field(name, field, f"{place}.{name}", is_read_by_name=by_name)
        extra = fields_schema.get("extra_behavior") or config.get("extra_fields_behavior")
        for computed in fields_schema.get("computed_fields", ()) if extra == "forbid" else ():
            yield _at(
                f"{place}.{computed['property_name']}",
                'a computed field is written, and extra="forbid" refuses to read it; write extra="ignore"',
            )

    def _field(self, name: str, field: Schema, place: str, *, is_read_by_name: bool) -> Found:
        is_required = field["schema"]["type"] != "default" and field.get("required", True)
        if field.get("serialization_exclude") or field.get("init_only"):
            if is_required:
                what = "an InitVar" if field.get("init_only") else "a field with exclude=True"
                yield _at(place, f"{what} is not written, and has no default to be read as")
            return
        written = field.get("serialization_alias") or name
        if written not in _read_names(name, field.get("validation_alias"), is_read_by_name=is_read_by_name):
            yield _at(place, f"it is written as {written!r} and not read by that name; give it one `alias=`")
        yield from self.walk(field["schema"], place)

    def named_tuple(self, schema: Schema, place: str) -> Found:
        for field in schema.get("fields", ()):
            yield from self.walk(field["schema"], f"{place}.{field['name']}")


_BY_NAME: Final = ("populate_by_name", "validate_by_name")


def _at(place: str, why: str) -> str:
    return f"{place.removeprefix('.')}: {why}" if place else why


def _is_secret(serialization: Mapping[str, Any]) -> bool:
    function = serialization.get("function")
    name = getattr(function, "__qualname__", "")
    return getattr(function, "__module__", "") == "pydantic.types" and name.startswith(("_serialize_secret", "_Secret"))


def _fields(fields: Any) -> Iterable[tuple[str, Schema]]:
    return fields.items() if hasattr(fields, "keys") else ((field["name"], field) for field in fields)


def _read_names(name: str, alias: Any, *, is_read_by_name: bool) -> set[str]:
    """Give the names by which a field is read at the top of its record; deeper paths are none."""
    if alias is None:
        return {name}
    choices = [[alias]] if isinstance(alias, str) else alias if isinstance(alias[0], list) else [alias]
    names = {choice[0] for choice in choices if len(choice) == 1}
    return names | {name} if is_read_by_name else names


_WALKS: Final[Mapping[str, Callable[[_Walk, Schema, str], Found]]] = {
    "definitions": _Walk.definitions,
    "definition-ref": _Walk.reference,
    "nullable": _Walk.inner,
    "default": _Walk.inner,
    "function-after": _Walk.checked,
    "json-or-python": lambda walk, schema, place: walk.walk(schema["json_schema"], place),
    "lax-or-strict": lambda walk, schema, place: walk.walk(schema["lax_schema"], place),
    "chain": lambda walk, schema, place: walk.walk(schema["steps"][0], place),
    "enum": _Walk.enum,
    "list": _Walk.items,
    "set": _Walk.items,
    "frozenset": _Walk.items,
    "deque": _Walk.items,
    "tuple": _Walk.items,
    "dict": _Walk.mapping,
    "counter": _Walk.mapping,
    "union": _Walk.union,
    "tagged-union": _Walk.union,
    "model": _Walk.record,
    "dataclass": _Walk.record,
    "typed-dict": _Walk.record,
    "model-fields": lambda walk, schema, place: walk.record({"type": "", "schema": schema}, place),
    "named-tuple": _Walk.named_tuple,
}
