"""A change of state, as a machine remembers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Generic, TypeVar

E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, slots=True)
class Change(Generic[E]):
    """One transition that a machine made.

    Args:
        event: The wire name of the event.
        source: The state before.
        target: The state after.
        at: When, in durable time (UTC).
        invocation_id: The invocation that made it.
    """

    event: str
    source: E
    target: E
    at: datetime
    invocation_id: str
