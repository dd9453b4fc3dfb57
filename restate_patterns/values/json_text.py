"""JSON at the edge: what is read is JSON and can be written again, what is written is JSON, whatever is in it.

A value that a handler gives may hold what JSON has no word for (a float that is no number, half a surrogate pair); it
leaves as text then.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Final, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from restate_patterns.limits import JSON_COMPARED_BYTES_MAX

_STRING_OR_CONSTANT: Final = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")|(-?Infinity|NaN)', re.DOTALL)


def read_json(text: bytes | str) -> object:
    """Give what JSON text says.

    Raises:
        ValueError: It is not JSON, is nested more than 200 levels deep, or has numbers that a float can't hold.
    """
    found: object = from_json(text, allow_inf_nan=False)
    json.dumps(found, allow_nan=False)
    return found


def write_json(value: object) -> bytes:
    """Give a value as JSON; half a surrogate pair is written as its number, a float that is no number as its name."""
    try:
        return to_json(value, inf_nan_mode="strings")
    except (PydanticSerializationError, ValueError):
        return to_json(_whole(value), inf_nan_mode="strings")


def without_constants(body: bytes) -> bytes:
    """Give JSON in which NaN and Infinity, which are none, are strings; whoever reads a float reads those too."""
    if b"NaN" not in body and b"Infinity" not in body:
        return body
    return _STRING_OR_CONSTANT.sub(lambda match: match[1] or b'"%b"' % match[2], body)


def same_json(one: bytes, other: bytes) -> bool:
    """Say whether two texts are the same JSON: spaces, the order of keys and how numbers are written do not count.

    Texts over `limits.JSON_COMPARED_BYTES_MAX` are the same only where they are byte by byte: more takes too long.
    """
    if max(len(one), len(other)) > JSON_COMPARED_BYTES_MAX:
        return one == other
    try:
        return _compared(one) == _compared(other)
    except (ValueError, ArithmeticError, RecursionError):
        return False


def _compared(text: bytes) -> object:
    """Give JSON in which a number is equal to its like alone, and to no boolean."""
    return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_constant)


def _number(text: str) -> object:
    return "number", Decimal(text)


def _constant(name: str) -> object:
    return "constant", name


def _whole(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_whole(name): _whole(each) for name, each in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_whole(each) for each in cast("list[object]", value)]
    return value
