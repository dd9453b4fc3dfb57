"""What a schedule was declared with, as it travels and is kept; and the tick that a run may be told of."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, JsonValue

Overlap: TypeAlias = Literal["skip", "queue", "cancel", "allow"]
"""What becomes of a run that is to start while the last one goes on."""

Missed: TypeAlias = Literal["skip", "once", "all"]
"""What becomes of ticks that came while nothing ran."""

Takes: TypeAlias = Literal["nothing", "tick", "payload", "bytes"]
"""What the target is given: nothing, the `Tick`, or always the same payload, as JSON or as bytes in base64."""


class Tick(BaseModel):
    """One tick of a schedule: a handler that takes it knows which night it is for, however late it runs."""

    model_config = ConfigDict(frozen=True)

    schedule: str
    """The name of the schedule."""
    due: datetime
    """When it was due, in UTC; a run that was triggered by hand was due then."""
    zone: str = "UTC"
    """The time zone of the schedule."""

    @property
    def local(self) -> datetime:
        """When it was due, in the time zone of the schedule: `tick.local.date()` is the day."""
        return self.due.astimezone(ZoneInfo(self.zone))


class ScheduleDeclaration(BaseModel):
    """What a schedule was declared with. Made by `Schedule`, which checks it."""

    model_config = ConfigDict(frozen=True)

    cron: str | None = None
    zone: str = "UTC"
    every: timedelta | None = None
    start: datetime | None = None
    jitter: timedelta = timedelta(0)
    overlap: Overlap = "skip"
    missed: Missed = "once"
    service: str
    """The wire name of the target's service."""
    handler: str
    key: str | None = None
    key_of_tick: bool = False
    """Whether each run has a key of its own, made from the tick: it is the run of a workflow."""
    takes: Takes = "nothing"
    payload: JsonValue = None

    @property
    def argument_type(self) -> Any:
        """The type of what the target is given; None for nothing."""
        return {"nothing": None, "tick": Tick, "payload": Any, "bytes": bytes}[self.takes]

    def arguments(self, schedule: str, due: datetime) -> tuple[Any, ...]:
        """Return what the target is given for a tick: one argument, or none."""
        match self.takes:
            case "nothing":
                return ()
            case "tick":
                return (Tick(schedule=schedule, due=due, zone=self.zone),)
            case "payload":
                return (self.payload,)
            case "bytes":
                return (base64.b64decode(str(self.payload)),)

    def target(self) -> str:
        """Return the target as in the path of the ingress."""
        if self.key_of_tick:
            return f"{self.service}/(of the tick)/{self.handler}"
        return "/".join(part for part in (self.service, self.key, self.handler) if part is not None)
