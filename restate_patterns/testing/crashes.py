"""Where the process may die, and where it does: points of four kinds, counted as they come.

It knows neither store nor steps: they say what they have reached, and it says whether the process dies there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

CrashKind: TypeAlias = Literal["commit", "before", "during", "after"]
"""After a commit; before, during (at an await) and after a try of a step, whose result is not recorded then."""

CRASH_KINDS: Final[tuple[CrashKind, ...]] = get_args(CrashKind)


class CrashPoint(NamedTuple):
    """A place where the process may die; `number` counts those of its kind, from 1."""

    kind: CrashKind
    number: int


CrashPlan: TypeAlias = Callable[[CrashPoint], bool]
"""Tells whether the process dies at a point."""


def never(point: CrashPoint) -> bool:
    """Let the process live."""
    return False


def after_commits(chosen: Callable[[int], bool]) -> CrashPlan:
    """Let the process die after the commits of some numbers, counted from 1."""
    return lambda point: point.kind == "commit" and chosen(point.number)


class Crashes:
    """Counts the points of one run, and lets the process die at those of a plan.

    Args:
        plan: Tells where.
    """

    def __init__(self, plan: CrashPlan = never) -> None:
        self.reached_counts: Counter[CrashKind] = Counter()
        self.places: list[str] = []
        """Where the process died, in words: "after commit 3"."""
        self._plan: CrashPlan = plan
        self._die: Callable[[], None] | None = None

    def begin(self, die: Callable[[], None]) -> None:
        """Take what to call where the process dies."""
        self._die = die

    def end(self) -> None:
        """Count no more: the run is over."""
        self._die = None

    def reached(self, kind: CrashKind, place: str) -> None:
        """Note that a point is reached; the process may die at it.

        Args:
            kind: Of which kind it is.
            place: What to call it.
        """
        if self._die is None:
            return
        self.reached_counts[kind] += 1
        if self._plan(CrashPoint(kind, self.reached_counts[kind])):
            self.places.append(place)
            self._die()
