"""Values to bytes and back."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from restate_patterns import DefinitionError, InvalidInput, UndefinedName, UnreadableValue
from restate_patterns.values.serde import JSON, OCTETS, codec


class Level(enum.Enum):
    LOW = "low"


class Row(TypedDict):
    name: str


class User(BaseModel):
    name: str
    tags: list[str] = Field(default_factory=list)


@dataclass
class Order:
    user: User
    amounts: dict[str, Decimal] = field(default_factory=dict)


class Opaque:
    pass


class Unfinished(BaseModel):
    later: NobodyDefinesThis  # type: ignore[name-defined]  # noqa: F821 - on purpose


@pytest.mark.parametrize(
    ("type_", "value", "wire"),
    [
        (str, "ann", b'"ann"'),
        (int, 3, b"3"),
        (float, 3, b"3.0"),
        (bool, True, b"true"),
        (type(None), None, b""),
        (None, None, b""),
        (int | None, None, b"null"),
        (bytes, b"\xff\x00", b"\xff\x00"),
        (bytes, b"", b""),
        (list[bytes], [b"\xff"], b'["_w=="]'),
        (Level, Level.LOW, b'"low"'),
        (Row, {"name": "x"}, b'{"name":"x"}'),
        (User, User(name="ann"), b'{"name":"ann","tags":[]}'),
        (
            Order,
            Order(User(name="a"), {"x": Decimal("1.10")}),
            b'{"user":{"name":"a","tags":[]},"amounts":{"x":"1.10"}}',
        ),
        (datetime, datetime(2026, 1, 1, tzinfo=UTC), b'"2026-01-01T00:00:00Z"'),
        (timedelta, timedelta(seconds=1), b'"PT1S"'),
        (UUID, UUID(int=0), b'"00000000-0000-0000-0000-000000000000"'),
        (Annotated[int, Field(gt=0)], 3, b"3"),
        (Annotated[int, []], 3, b"3"),
        (Any, {"a": [1, None]}, b'{"a":[1,null]}'),
    ],
)
def test_values_come_back_as_they_went(type_: Any, value: object, wire: bytes) -> None:
    assert codec(type_).encode(value) == wire
    assert codec(type_).decode(wire) == value


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinities_come_back(value: float) -> None:
    assert codec(float).decode(codec(float).encode(value)) == value
    assert math.isnan(codec(float).decode(codec(float).encode(math.nan)))


def test_no_body_is_none_where_none_fits() -> None:
    assert codec(int | None).decode(b"") is None
    assert codec(Any).decode(b"") is None


@pytest.mark.parametrize(
    ("type_", "data", "sentence"),
    [
        (int, b"", "the body is empty, expected int"),
        (int, b"{", "Invalid JSON: EOF while parsing"),
        (str, b'"\xff"', "Invalid JSON: invalid unicode code point at line 1 column 2"),
        (User, b'{"name": 3}', "name: Input should be a valid string (found 3)"),
        (User, b"{}", "name: Field required"),
        (Order, b'{"user": {"name": "a", "tags": ["x", 3]}}', "user.tags[1]: Input should be a valid string (found 3)"),
        (list[int], b'["a","a","a","a","a","a","a"]', "and 2 more"),
        (None, b"3", "(found 3)"),
    ],
)
def test_bad_input_is_terminal_and_says_where_and_why(type_: Any, data: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        codec(type_).decode(data)

    assert caught.value.code == 400
    assert caught.value.message.startswith("input validation error: ")
    assert sentence in caught.value.message


def test_long_input_is_cut_in_the_sentence() -> None:
    with pytest.raises(InvalidInput) as caught:
        codec(int).decode(b'"' + b"x" * 10_000 + b'"')

    assert len(caught.value.message) < 300


def test_a_stored_value_that_no_longer_fits_is_a_bug_to_mend() -> None:
    with pytest.raises(UnreadableValue, match=r"^the state 'n' can't be read: Input .*\(found 'x'\).*resume"):
        codec(int).read(b'"x"', "the state 'n'")


@pytest.mark.parametrize(
    ("type_", "value"),
    [(int, "x"), (str, 3), (None, 3), (bytes, 3), (list[int], ["x"]), (User, {"nme": 1}), (Level, "lw"), (int, 3.5)],
)
def test_a_value_of_another_type_is_not_sent(type_: Any, value: object) -> None:
    with pytest.raises(TypeError, match="is not of the type"):
        codec(type_).encode(value)


def test_types_that_are_no_json_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"^Opaque can't be turned into JSON and back"):
        codec(Opaque)
    with pytest.raises(UndefinedName, match="'NobodyDefinesThis' can't be resolved"):
        codec(Unfinished)


def test_one_codec_per_type() -> None:
    assert codec(list[int]) is codec(list[int])
    assert codec(int) is not codec(bool)


def test_content_types_and_schemas() -> None:
    assert (codec(bytes).content_type, codec(int).content_type) == (OCTETS, JSON)
    assert codec(int).json_schema("validation") == {"type": "integer"}
    assert codec(bytes).json_schema("validation") is None
    assert codec(None).json_schema("serialization") is None
    assert codec(None).is_empty
    assert not codec(int | None).is_empty
