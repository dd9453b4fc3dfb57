"""What server and client agree on beyond the reference's surface."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, cast

from pydantic_core import to_json

from restate_patterns.errors import Failure

SERVER_NAME: Final = "restate-patterns"
"""What an embedded server calls itself under `server` in `GET /version`; Restate says nothing there."""

FAILURE_TYPE: Final = "application/vnd.restate-patterns.failure+json"
"""Content type of a reject whose body is a whole terminal error instead of its sentence."""


def encode_failure(failure: Failure) -> bytes:
    """Write a terminal error as JSON, in the form of an error body."""
    return to_json({"code": failure.code, "message": failure.message, "metadata": failure.metadata})


def decode_failure(body: bytes) -> Failure:
    """Read a terminal error from the form of an error body.

    Raises:
        ValueError: It is not one.
    """
    found: object = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    fields = cast("dict[str, object]", found)
    code, message, metadata = fields.get("code"), fields.get("message"), fields.get("metadata", {})
    if not isinstance(code, int) or not isinstance(message, str) or not isinstance(metadata, Mapping):
        raise ValueError("a code, a message and metadata are needed")
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in cast("Mapping[str, object]", metadata).items()
    }
    return Failure(code, message, texts)
