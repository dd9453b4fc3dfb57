"""State as JSON that people read and write: the form in which the admin API takes and gives it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Final, cast

from restate_patterns.values.json_text import read_json

BASE64_KEY: Final = "$base64"
"""Wraps a value that is not JSON: `{"$base64": "..."}`."""


def state_json(state: Mapping[str, bytes]) -> dict[str, object]:
    """Give state by name: JSON where the value is JSON that `read_json` reads, else `{"$base64": ...}`."""
    return {name: _value(value) for name, value in sorted(state.items())}


def state_bytes(values: Mapping[str, object]) -> dict[str, bytes]:
    """Read state from the form of `state_json`.

    Raises:
        ValueError: A `$base64` is not base64.
    """
    return {name: _value_bytes(value) for name, value in values.items()}


def _value(value: bytes) -> object:
    try:
        return read_json(value)
    except ValueError:
        return {BASE64_KEY: base64.b64encode(value).decode("ascii")}


def _value_bytes(value: object) -> bytes:
    if isinstance(value, dict) and list(cast("dict[str, object]", value)) == [BASE64_KEY]:
        return base64.b64decode(str(cast("dict[str, object]", value)[BASE64_KEY]), validate=True)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
