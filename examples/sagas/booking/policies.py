"""How often each step tries: forward steps give up in the end; what must happen never does."""

from __future__ import annotations

from datetime import timedelta

from restate_patterns import RetryPolicy, Step, UndoPolicy

FORWARD = RetryPolicy(initial=timedelta(milliseconds=50), max_attempts=5, then="fail")
"""After the last try the step fails for good, and the trip is undone."""

UNTIL_DONE = RetryPolicy(initial=timedelta(milliseconds=50), maximum=timedelta(seconds=30))
"""For trouble on the way back, and after the pivot: it passes."""

REFUSALS = UndoPolicy(retry=RetryPolicy(initial=timedelta(milliseconds=50), max_attempts=3, then="fail"))
"""For refusals there: a refusal that stays is for a person to look at."""

_TRY = timedelta(seconds=5)


def forward(name: str) -> Step:
    """Give a step that may fail the trip."""
    return Step(name, retry=FORWARD, timeout=_TRY)


def until_done(name: str) -> Step:
    """Give a step that is tried until it has an answer."""
    return Step(name, retry=UNTIL_DONE, timeout=_TRY)
