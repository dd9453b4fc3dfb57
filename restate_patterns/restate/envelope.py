"""How the result of a step is stored in a journal that has one value for it.

Beside the value it keeps when the step ended, which is durable time, and a fingerprint of its arguments,
so that a replay which asks for the same step with others is a mismatch and no swap.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from restate_patterns.errors import Failure
from restate_patterns.seam import ValueOrFailure

_STEP_KEY: Final = "restate-patterns.step"
"""Under this name a failure's metadata carries time and fingerprint."""


class Recorded(NamedTuple):
    """The result of a step as the journal has it."""

    result: ValueOrFailure
    time_ms: int
    fingerprint: str


def wrap(result: ValueOrFailure, time_ms: int, fingerprint: str) -> ValueOrFailure:
    """Give the form that is stored: a line of JSON, then the value; a failure has that line in its metadata."""
    head = json.dumps({"time_ms": time_ms, "arguments": fingerprint, "empty": result.value is None})
    failure = result.failure
    if failure is not None:
        return ValueOrFailure(None, Failure(failure.code, failure.message, {**failure.metadata, _STEP_KEY: head}))
    return ValueOrFailure(head.encode() + b"\n" + (result.value or b""), None)


def unwrap(stored: ValueOrFailure) -> Recorded:
    """Read what `wrap` gave.

    Raises:
        ValueError: Another program wrote it.
    """
    failure = stored.failure
    if failure is not None:
        metadata = dict(failure.metadata)
        head = metadata.pop(_STEP_KEY, None)
        if head is None:
            raise ValueError(f"a step failed with {failure.code} {failure.message!r}, without what this adapter adds")
        return _recorded(head, ValueOrFailure(None, Failure(failure.code, failure.message, metadata)))
    line, newline, value = (stored.value or b"").partition(b"\n")
    if not newline:
        raise ValueError(f"the result of a step is {line[:80]!r}, without what this adapter adds")
    return _recorded(line.decode(), ValueOrFailure(value, None))


def _recorded(head: str, result: ValueOrFailure) -> Recorded:
    try:
        found: dict[str, object] = json.loads(head)
        time_ms, fingerprint = found["time_ms"], found["arguments"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"the head of a step's result is {head[:80]!r}") from None
    if not isinstance(time_ms, int) or not isinstance(fingerprint, str):
        raise ValueError(f"the head of a step's result is {head[:80]!r}")
    if result.failure is None and found.get("empty"):
        result = ValueOrFailure(None, None)
    return Recorded(result, time_ms, fingerprint)
