"""Values that need no look back: a check, made once per type, that a value comes back from JSON as it was.

It is read from pydantic's core schema. What it does not know it takes for not plain, and a value that is not plain
is encoded, decoded and compared: the check saves that for the types that most values have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import Flag
from typing import Any, Final, TypeAlias
from uuid import UUID

from restate_patterns.limits import PLAIN_DEPTH_MAX

Check: TypeAlias = Callable[[Any], bool]
Schema: TypeAlias = Mapping[str, Any]

_INT_LIMIT: Final = 10**4000
_INT_LOWEST: Final = -_INT_LIMIT
"""Integers of more than 4300 digits can't be read from JSON."""
_DICT: Final[Any] = dict
_TUPLE: Final[Any] = tuple
"""Without their types of items, which are asked for one by one."""
_EVERYWHERE: Final = frozenset({"type", "ref", "metadata", "strict"})
_HARMLESS_CONFIG: Final = frozenset({"title", "extra_fields_behavior"})
_NEW_IN_DEFAULT: Final = ("default", "default_factory", "default_factory_takes_data", "validate_default")


def never(_: object) -> bool:
    """Tell that a value is not plain."""
    return False


def plain_check(schema: Schema) -> Check:
    """Return a check for values of a schema; it says True only of values that come back as they are."""
    return _Reader().read(schema) or never


class _Reader:
    """Reads one schema, and knows its definitions."""

    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}
        self._open: set[str] = set()

    def read(self, schema: Schema) -> Check | None:
        """Return the check of a part of the schema; None where there is none."""
        read, keys = _READERS.get(schema["type"], _UNKNOWN)
        return read(self, schema) if schema.keys() <= keys else None

    def definitions(self, schema: Schema) -> Check | None:
        self._definitions = {part["ref"]: part for part in schema["definitions"]}
        return self.read(schema["schema"])

    def reference(self, schema: Schema) -> Check | None:
        """Follow a reference; a type that contains itself has values of any depth, which are looked at."""
        name = schema["schema_ref"]
        if name in self._open:
            return None
        self._open.add(name)
        check = self.read(self._definitions[name])
        self._open.discard(name)
        return check

    def inner(self, schema: Schema) -> Check | None:
        return self.read(schema["schema"])

    def nullable(self, schema: Schema) -> Check | None:
        check = self.inner(schema)
        return None if check is None else lambda value: value is None or check(value)

    def list_(self, schema: Schema) -> Check | None:
        return _items_of(list, self.read(schema.get("items_schema", {"type": "any"})))

    def tuple_(self, schema: Schema) -> Check | None:
        checks = [self.read(item) for item in schema["items_schema"]]
        if "variadic_item_index" in schema:
            return _items_of(tuple, checks[0]) if len(checks) == 1 else None
        if any(check is None for check in checks):
            return None
        known = [check for check in checks if check is not None]

        def is_plain(value: Any) -> bool:
            return (
                type(value) is _TUPLE
                and len(value) == len(known)
                and all(check(item) for check, item in zip(known, value, strict=True))
            )

        return is_plain

    def dict_(self, schema: Schema) -> Check | None:
        values = self.read(schema.get("values_schema", {"type": "any"}))
        if values is None or schema.get("keys_schema", {}).get("type") != "str" or len(schema["keys_schema"]) != 1:
            return None

        def is_plain(value: Any) -> bool:
            return type(value) is _DICT and all(type(key) is str for key in value) and all(map(values, value.values()))

        return is_plain

    def literal(self, schema: Schema) -> Check | None:
        expected = schema["expected"]
        if any(type(value) is not str for value in expected):
            return None
        return lambda value: type(value) is str and value in expected

    def enum(self, schema: Schema) -> Check | None:
        cls = schema["cls"]
        kinds: set[Any] = {type(member.value) for member in schema["members"]}
        if issubclass(cls, Flag) or kinds not in ({str}, {int}):
            return None
        return lambda value: type(value) is cls

    def model(self, schema: Schema) -> Check | None:
        if schema["custom_init"] or schema["root_model"] or not _is_harmless(schema):
            return None
        fields = schema["schema"]
        cls = schema["cls"]
        return None if not _is_record(fields) else _of_record(cls, self._fields(fields["fields"].items()), _attributes)

    def dataclass(self, schema: Schema) -> Check | None:
        arguments = schema["schema"]
        if schema["post_init"] or not _is_harmless(schema) or not _is_record(arguments):
            return None
        fields = self._fields((field["name"], field) for field in arguments["fields"])
        names = () if fields is None else tuple(fields)
        return _of_record(schema["cls"], fields, lambda value: {name: getattr(value, name) for name in names})

    def typed_dict(self, schema: Schema) -> Check | None:
        checks = self._fields(schema["fields"].items())
        if checks is None or not _is_harmless(schema) or not _is_record(schema):
            return None
        required = [name for name, field in schema["fields"].items() if field.get("required", True)]

        def is_plain(value: Any) -> bool:
            return (
                type(value) is _DICT
                and all(name in value for name in required)
                and all(name in checks and checks[name](item) for name, item in value.items())
            )

        return is_plain

    def _fields(self, fields: Any) -> dict[str, Check] | None:
        checks: dict[str, Check] = {}
        for name, field in fields:
            is_renamed = field.get("validation_alias", name) != field.get("serialization_alias", name)
            check = None if is_renamed or not field.keys() <= _FIELD_KEYS else self.read(field["schema"])
            if check is None or field.get("init") is False:
                return None
            checks[name] = check
        return checks


_FIELD_KEYS: Final = _EVERYWHERE | {
    "name", "schema", "validation_alias", "serialization_alias", "frozen", "required", "kw_only", "init"
}  # fmt: skip


def _is_harmless(schema: Schema) -> bool:
    config = schema.get("config", {})
    return bool(config.keys() <= _HARMLESS_CONFIG and config.get("extra_fields_behavior") != "allow")


def _is_record(schema: Schema) -> bool:
    return bool(
        schema["type"] in ("model-fields", "dataclass-args", "typed-dict")
        and schema.keys() <= _EVERYWHERE | _RECORD_KEYS
        and not schema.get("computed_fields")
        and not schema.get("collect_init_only")
        and schema.get("extra_behavior") != "allow"
    )


_RECORD_KEYS: Final = frozenset({
    "fields", "model_name", "dataclass_name", "computed_fields", "collect_init_only", "extra_behavior", "cls",
    "config", "total",
})  # fmt: skip


def _attributes(value: Any) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = value.__dict__
    return attributes


def _of_record(cls: type, checks: Mapping[str, Check] | None, read: Callable[[Any], Mapping[str, Any]]) -> Check | None:
    if checks is None:
        return None
    fields, count = tuple(checks.items()), len(checks)

    def is_plain(value: Any) -> bool:
        if type(value) is not cls:
            return False
        values = read(value)
        if len(values) != count:
            return False
        for name, check in fields:  # noqa: SIM110 - half of what a generator costs
            if not check(values[name]):
                return False
        return True

    return is_plain


def _items_of(kind: Any, check: Check | None) -> Check | None:
    if check is None:
        return None
    if check is _is_int:
        return lambda value: type(value) is kind and _are_ints(value)
    exact = _EXACT_OF.get(check)
    if exact is None:
        return lambda value: type(value) is kind and all(map(check, value))
    return lambda value: type(value) is kind and {*map(type, value)} <= exact  # half of what asking each costs


def _are_ints(values: Any) -> bool:
    if not {*map(type, values)} <= {int}:
        return False
    return not values or bool(min(values) > _INT_LOWEST and max(values) < _INT_LIMIT)


def _exact(kind: type) -> Check:
    return lambda value: type(value) is kind


def _is_int(value: Any) -> bool:
    return type(value) is int and _INT_LOWEST < value < _INT_LIMIT


def _is_float(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _is_datetime(value: Any) -> bool:
    return type(value) is datetime and (value.tzinfo is None or value.tzinfo is UTC) and not value.fold


def _is_json(value: Any, depth: int = 0) -> bool:
    """Tell whether a value is what JSON itself gives back, and not too deep to be read."""
    kind: Any = value.__class__
    if kind in _JSON_SCALARS:
        return _JSON_SCALARS[kind](value)
    if depth > PLAIN_DEPTH_MAX:
        return False
    if kind is list:
        return all(_is_json(item, depth + 1) for item in value)
    if kind is dict:
        return all(type(key) is str for key in value) and all(_is_json(item, depth + 1) for item in value.values())
    return False


_is_str, _is_bool, _is_none = _exact(str), _exact(bool), _exact(type(None))
_EXACT_OF: Final = {_is_str: frozenset({str}), _is_bool: frozenset({bool})}
_JSON_SCALARS: Final[Mapping[type, Check]] = {
    str: _is_str, bool: _is_bool, type(None): _is_none, int: _is_int, float: _is_float
}  # fmt: skip

_Read: TypeAlias = Callable[[_Reader, Schema], Check | None]


def _leaf(check: Check, *keys: str) -> tuple[_Read, frozenset[str]]:
    return (lambda _, __: check), _EVERYWHERE | set(keys)


def _node(read: _Read, *keys: str) -> tuple[_Read, frozenset[str]]:
    return read, _EVERYWHERE | set(keys)


_UNKNOWN: Final[tuple[_Read, frozenset[str]]] = (lambda _, __: None), frozenset()
_READERS: Final[Mapping[str, tuple[_Read, frozenset[str]]]] = {
    "str": _leaf(_is_str),
    "int": _leaf(_is_int),
    "bool": _leaf(_is_bool),
    "none": _leaf(_is_none),
    "float": _leaf(_is_float),
    "any": _leaf(_is_json),
    "date": _leaf(_exact(date)),
    "datetime": _leaf(_is_datetime, "microseconds_precision"),
    "uuid": _leaf(_exact(UUID)),
    "literal": _node(_Reader.literal, "expected"),
    "enum": _node(_Reader.enum, "cls", "members", "sub_type"),
    "nullable": _node(_Reader.nullable, "schema"),
    "default": _node(_Reader.inner, "schema", *_NEW_IN_DEFAULT),
    "list": _node(_Reader.list_, "items_schema"),
    "tuple": _node(_Reader.tuple_, "items_schema", "variadic_item_index"),
    "dict": _node(_Reader.dict_, "keys_schema", "values_schema"),
    "model": _node(_Reader.model, "cls", "schema", "custom_init", "root_model", "frozen", "config", "generic_origin"),
    "dataclass": _node(
        _Reader.dataclass, "cls", "schema", "fields", "post_init", "frozen", "slots", "config", "generic_origin"
    ),
    "typed-dict": _node(_Reader.typed_dict, *_RECORD_KEYS),
    "definitions": _node(_Reader.definitions, "schema", "definitions"),
    "definition-ref": _node(_Reader.reference, "schema_ref"),
}
