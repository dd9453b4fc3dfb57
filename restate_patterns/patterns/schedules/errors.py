"""What goes wrong with schedules, for callers."""

from __future__ import annotations

from restate_patterns.errors import TerminalError


class UnknownSchedule(TerminalError, code=404):
    """There is no schedule of this name."""

    message = "there is no schedule {schedule!r}; see which there are: restate-patterns schedules list"
    schedule: str


class ScheduleRefused(TerminalError, code=400):
    """A declaration can't be taken: its target would refuse each run."""

    message = "the schedule {schedule!r} is refused: {why}"
    schedule: str
    why: str


class BackfillTooLong(TerminalError, code=400):
    """More ticks lie in a span than one backfill takes."""

    message = "over {most} ticks of the schedule {schedule!r} lie in that span; backfill it in parts"
    schedule: str
    most: int
