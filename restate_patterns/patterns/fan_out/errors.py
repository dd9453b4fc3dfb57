"""What goes wrong with a fan-out as a whole, for callers."""

from __future__ import annotations

from restate_patterns.errors import TerminalError


class FanOutFailed(TerminalError, code=500):
    """More items failed than a fan-out goes on with."""

    message = "{failed} of {ended} items failed, and {wanted}; the first error was: {first}"
    failed: int
    """How many had failed."""
    ended: int
    """How many had ended."""
    wanted: str
    """What was asked for."""
    first: str
    """The first error, in words."""
