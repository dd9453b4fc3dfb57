"""How a provider misbehaves: the next N requests of one operation fail in one way.

This file knows the kinds of trouble and when a fault is used up; `provider` makes them happen.
"""

from __future__ import annotations

import enum

from pydantic import BaseModel, Field


class FaultKind(enum.Enum):
    """The ways a remote call goes wrong."""

    ERROR = "error"
    """Answers 503 and does nothing."""

    DECLINE = "decline"
    """Refuses for good, as for a sold-out flight or an empty account, and does nothing."""

    SLOW = "slow"
    """Does what it was asked, and answers late."""

    LOST_ANSWER = "lost_answer"
    """Does what it was asked, and drops the connection: the caller cannot know."""


class Fault(BaseModel):
    """An order to misbehave."""

    operation: str
    """Which operation it hits: `reserve`, `confirm`, `cancel`, `charge`, `refund` or `send`."""

    kind: FaultKind
    times: int | None = Field(default=1, ge=1)
    """How many requests it hits; None for all of them."""

    delay_s: float = Field(default=0.0, ge=0)
    """How long a slow answer takes, in seconds."""


class Faults:
    """The faults ordered and not used up yet, oldest first."""

    def __init__(self) -> None:
        self._ordered: list[Fault] = []

    def order(self, fault: Fault) -> None:
        """Let the next requests of `fault.operation` go wrong."""
        self._ordered.append(fault.model_copy())

    def clear(self) -> None:
        """Behave again."""
        self._ordered.clear()

    def take(self, operation: str) -> Fault | None:
        """Use up one turn of the oldest fault of this operation and give it."""
        for fault in self._ordered:
            if fault.operation == operation:
                self._use(fault)
                return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times == 0:
            self._ordered = [other for other in self._ordered if other is not fault]
