"""What is to be done about the ticks that have come: decided in pure code, from what is kept and the time."""

from __future__ import annotations

from typing import Final, NamedTuple

from restate_patterns.limits import SCHEDULE_LATE_MS, SCHEDULE_MADE_UP_MAX
from restate_patterns.patterns.schedules.declaration import Missed
from restate_patterns.patterns.schedules.timing import Due, Timing

_WINDOW_MS: Final = 60_000
"""How far back is looked for the last ticks at first; further, by ever more, where none came in it."""


class Plan(NamedTuple):
    """What is to be done."""

    runs: tuple[int, ...]
    """The ticks to run for, by when they were due, oldest first."""
    missed_count: int
    """How many are not made up; of more than `SCHEDULE_MADE_UP_MAX` ticks the older ones are not counted."""
    dealt_with_ms: int
    """The last tick that is dealt with."""
    next: Due | None
    """The one to wait for."""


def plan(timing: Timing, missed: Missed, dealt_with_ms: int, now_ms: int) -> Plan:
    """Return what is to be done.

    A tick is missed when it comes over `SCHEDULE_LATE_MS` late, or when a later one has come, too.

    Args:
        timing: When ticks come.
        missed: What becomes of those that were missed.
        dealt_with_ms: The last tick that was dealt with, or where the schedule begins.
        now_ms: The time.
    """
    come = _come(timing, dealt_with_ms, now_ms)
    if come:
        dealt_with_ms = come[-1].due_ms
    following = timing.after(dealt_with_ms)
    if not come:
        return Plan((), 0, dealt_with_ms, following)
    late = now_ms - come[-1].at_ms > SCHEDULE_LATE_MS
    wanted = come if missed == "all" else come[-1:] if missed == "once" or not late else []
    runs = tuple(due.due_ms for due in wanted)
    return Plan(runs, len(come) - len(runs), dealt_with_ms, following)


def _come(timing: Timing, since_ms: int, now_ms: int) -> list[Due]:
    """Return the ticks that have come, the last ones of them where they are many; each after the one before it."""
    window_ms = max(_WINDOW_MS, 2 * timing.jitter_ms)
    while True:
        from_ms = max(since_ms, now_ms - window_ms)
        come: list[Due] = []
        for due in timing.between(from_ms, now_ms):
            if due.at_ms > now_ms:
                break
            come.append(due)
        if from_ms == since_ms or len(come) >= SCHEDULE_MADE_UP_MAX:
            return come[-SCHEDULE_MADE_UP_MAX:]
        window_ms *= 2
