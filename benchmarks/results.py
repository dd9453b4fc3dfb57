"""What a row of the table holds: samples of both sides, their ratio pair by pair, and the goal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Spread:
    """Some samples of one quantity."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The sample in the middle."""
        return statistics.median(self.samples)

    def text(self) -> str:
        """Give the median, and the range where there is one."""
        low, high = min(self.samples), max(self.samples)
        median = number(self.median)
        return median if len(self.samples) == 1 else f"{median} ({number(low)} to {number(high)})"


def number(value: float) -> str:
    """Write a number with as many digits as mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table.

    Args:
        name: The name of the row for `--only`.
        what: What is measured, in words.
        unit: Of `ours` and `peer`.
        ours: This framework.
        peer: What it is compared with; None where the goal is a plain number.
        peer_title: Who that is.
        value: What the goal is about: a ratio pair by pair, or the number itself.
        goal: The limit of `value`; None for rows that only inform.
        better: Whether `value` should be at least or at most the goal.
        notes: What else was seen.
    """

    name: str
    what: str
    unit: str
    ours: Spread
    value: Spread
    peer: Spread | None = None
    peer_title: str = ""
    goal: float | None = None
    better: Literal["at least", "at most"] = "at least"
    notes: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the goal; None without a goal."""
        if self.goal is None:
            return None
        return self.value.median >= self.goal if self.better == "at least" else self.value.median <= self.goal

    def as_json(self) -> dict[str, Any]:
        """Give the row as JSON values."""
        return {**asdict(self), "median": self.value.median, "met": self.met}


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Divide pair by pair: what disturbed one side of a pair disturbed the other."""
    return Spread(tuple(a / b for a, b in zip(above, below, strict=True)))
