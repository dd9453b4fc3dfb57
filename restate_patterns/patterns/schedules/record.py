"""What a schedule tells of itself: values that travel and are kept, and know nothing of how it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from restate_patterns.patterns.schedules.declaration import ScheduleDeclaration


class ScheduleRun(BaseModel):
    """A run of a schedule, or one that was to be."""

    due: datetime
    """The tick that it is for, in UTC."""
    why: Literal["due", "triggered", "backfilled"] = "due"
    state: Literal["queued", "skipped", "refused", "running", "succeeded", "failed", "ended"]
    """Of one that never started: `queued` until it does, `skipped` for one that goes on, `refused` by its target.

    Of one that did: `running` and then how it ended; `ended` where its result was not kept.
    """
    invocation_id: str = ""
    """The run's invocation; empty for one that never started."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str = ""
    """Why it failed, or was refused."""


class ScheduleRecord(BaseModel):
    """A schedule: how it was declared, how it stands, and what it did last."""

    name: str
    declaration: ScheduleDeclaration
    declared_at: datetime
    """When it was declared so first, or a declaration replaced another."""
    next_due: datetime | None = None
    """Its next tick; None while it is paused."""
    paused_at: datetime | None = None
    note: str = ""
    """Why it is paused."""
    queued: list[datetime] = Field(default_factory=list[datetime])
    """The ticks that wait for the end of the run that goes on, oldest first."""
    runs: list[ScheduleRun] = Field(default_factory=list[ScheduleRun])
    """The last ones, newest first."""
    started_count: int = 0
    skipped_count: int = 0
    """Runs that did not start because another went on, or because the queue was full."""
    missed_count: int = 0
    """Ticks that came while nothing ran and were not made up."""
