"""What a machine answers to an event that it does not take."""

from __future__ import annotations

from typing_extensions import override

from restate_patterns.errors import TerminalError


class IllegalEvent(TerminalError, code=409):
    """The event is not possible in the state the machine is in; nothing was changed.

    Its fields tell what would have been possible.
    """

    machine: str
    """The wire name of the machine."""
    event: str
    """The wire name of the event."""
    state: str
    """The name of the state the machine is in."""
    legal: list[str]
    """The wire names of the events that this state takes from callers."""

    @override
    def describe(self) -> str:
        possible = f"possible now: {', '.join(self.legal)}" if self.legal else "nothing is possible any more"
        return f"{self.machine}: {self.event!r} is not possible in the state {self.state}; {possible}"


class EventRefused(TerminalError, code=409):
    """The state takes the event, and a guard said no; nothing was changed."""

    message = "{machine}: {event!r} was refused in the state {state} by the guard {guard!r}"
    machine: str
    """The wire name of the machine."""
    event: str
    """The wire name of the event."""
    state: str
    """The name of the state the machine is in."""
    guard: str
    """The name of the guard."""
