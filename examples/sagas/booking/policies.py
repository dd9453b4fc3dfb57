"""How often each step tries: forward steps give up in the end, undo steps never do."""

from __future__ import annotations

from datetime import timedelta

from restate_patterns import RetryPolicy, Step

FORWARD = RetryPolicy(initial=timedelta(milliseconds=50), max_attempts=5, then="fail")
"""After the last try the step fails for good, and the trip is undone."""

UNTIL_DONE = RetryPolicy(initial=timedelta(milliseconds=50), maximum=timedelta(seconds=30))
"""For what must happen, whatever it takes: an undo that gives up would lose somebody's money."""

_TRY = timedelta(seconds=5)


def forward(name: str) -> Step:
    """Give a step that may fail the trip."""
    return Step(name, retry=FORWARD, timeout=_TRY)


def undo(name: str) -> Step:
    """Give a step that is tried until it succeeds."""
    return Step(name, retry=UNTIL_DONE, timeout=_TRY)
