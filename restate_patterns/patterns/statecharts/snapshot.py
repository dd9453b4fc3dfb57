"""What is stored of a running chart. Plain values: a snapshot can be read, moved and mended without the chart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue


class PendingEvent(BaseModel):
    """An event that a durable timer will deliver."""

    model_config = ConfigDict(frozen=True)

    event: str
    args: list[JsonValue] = []
    data: dict[str, JsonValue] = {}
    send_id: str | None = None
    """By which the chart may cancel it."""
    state: str | None = None
    """The state whose exit ends it, for the timeout of a state."""
    invocation: str = ""
    """The delayed send that delivers it."""
    failed_count: int = 0
    """How often it was delivered in vain."""
    error: str = ""
    """What the last delivery ended with."""
    next_try: datetime | None = None
    """After a delivery in vain: when the next one is; None when it waits for a person."""

    @property
    def is_late(self) -> bool:
        """Whether it was due, and was refused."""
        return self.failed_count > 0


class ChartSnapshot(BaseModel):
    """The durable state of one statechart."""

    model_config = ConfigDict(frozen=True)

    version: int
    """The version of the chart that wrote it."""
    configuration: list[str]
    """The ids of the active states, in the order in which they were entered."""
    history: dict[str, list[str]] = {}
    """What each history state remembers."""
    data: dict[str, JsonValue] = {}
    """The chart's model, as JSON."""
    timers: dict[str, PendingEvent] = {}
    """The delayed events under way, by id."""
    is_done: bool = False
    """Whether a top-level final state was reached."""

    def renamed(
        self, *, states: Mapping[str, str] | None = None, events: Mapping[str, str] | None = None
    ) -> ChartSnapshot:
        """Return the snapshot with other ids; for migrations.

        Args:
            states: New ids of states by their old ones.
            events: New ids of events by their old ones.
        """
        new, named = states or {}, events or {}

        def state(id_: str) -> str:
            return new.get(id_, id_)

        timers = {
            key: timer.model_copy(
                update={
                    "event": named.get(timer.event, timer.event),
                    "state": None if timer.state is None else state(timer.state),
                }
            )
            for key, timer in self.timers.items()
        }
        return self.model_copy(
            update={
                "configuration": [state(id_) for id_ in self.configuration],
                "history": {state(id_): [state(each) for each in ids] for id_, ids in self.history.items()},
                "timers": timers,
            }
        )
