"""What a schedule keeps of itself between invocations; values that know nothing of how it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from restate_patterns.patterns.schedules.record import ScheduleRun


class Timer(BaseModel):
    """The delayed send that wakes a schedule."""

    token: str
    """Names it: of all that were ever set, the one that the schedule has noted counts."""
    at_ms: int
    """When it is to come."""


class WantedRun(BaseModel):
    """A run that is to start."""

    due_ms: int
    why: Literal["due", "triggered", "backfilled"] = "due"
    request: str = ""
    """The invocation that asked for it; empty where time did. One run for each tick and request."""


class RunEnd(BaseModel):
    """How a run ended."""

    invocation_id: str
    state: Literal["succeeded", "failed", "ended"]
    error: str = ""


class Progress(BaseModel):
    """How far a schedule is. It has a bounded size; what waits for a run to end is kept beside it."""

    declared_at: datetime
    dealt_with_ms: int
    """The last tick that was dealt with, or where the schedule begins."""
    timer: Timer | None = None
    """The timer that counts; None while it is paused, and where no more ticks come."""
    timer_id: str = ""
    next_due_ms: int | None = None
    paused_at: datetime | None = None
    note: str = ""
    running: str = ""
    """The invocation of the last run, while it is not known to have ended."""
    runs: list[ScheduleRun] = Field(default_factory=list[ScheduleRun])
    started_count: int = 0
    skipped_count: int = 0
    missed_count: int = 0
