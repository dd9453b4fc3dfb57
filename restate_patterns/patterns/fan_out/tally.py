"""Counts outcomes, tells how far it is, and says when failures are too many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from restate_patterns.errors import TerminalError
from restate_patterns.patterns.fan_out.errors import FanOutFailed
from restate_patterns.patterns.fan_out.outcomes import FanOutProgress, Outcome
from restate_patterns.patterns.fan_out.policies import OnError, Tolerate
from restate_patterns.patterns.fan_out.window import Window


async def fan_in(calls: Window[Any, Any], tally: Tally) -> list[Any]:
    """Read all outcomes and return the results; what runs is cancelled, and has ended, when failures are too many."""
    while (outcome := await calls.next()) is not None:
        failure = tally.add(outcome)
        if failure is not None:
            await calls.stop()
            raise failure
    return tally.results()


class Tally:
    """What has become of the items of one fan-out.

    Args:
        total: How many items there are; None where that is known at the end only.
        on_error: When failures are too many.
        progress: Told how far it is.
        every: After how many items.
    """

    def __init__(
        self, total: int | None, on_error: OnError, progress: Callable[[FanOutProgress], object] | None, every: int
    ) -> None:
        self._total = total
        self._on_error = on_error
        self._progress = progress
        self._every = every
        self._outcomes: dict[int, Outcome[Any]] = {}
        self._failed_count = 0
        self._first: TerminalError | None = None
        self._told_at = -1
        self._tell()

    def add(self, outcome: Outcome[Any]) -> TerminalError | None:
        """Count an outcome; gives the error with which all fails, where it is too much."""
        self._outcomes[outcome.index] = outcome
        if outcome.error is not None:
            self._failed_count += 1
            self._first = self._first or outcome.error
        if len(self._outcomes) - self._told_at >= self._every:
            self._tell()
        if outcome.error is None:
            return None
        return outcome.error if self._on_error == "fail" else self._too_many(self._total)

    def results(self) -> list[Any]:
        """Return what came of the items, in their order.

        Raises:
            FanOutFailed: More failed than are tolerated.
        """
        if self._told_at != len(self._outcomes) or self._total is None:
            self._total = len(self._outcomes)
            self._tell()
        failure = self._too_many(len(self._outcomes))
        if failure is not None:
            raise failure
        found = [self._outcomes[index] for index in range(len(self._outcomes))]
        return [outcome.value for outcome in found] if self._on_error == "fail" else found

    def _too_many(self, total: int | None) -> FanOutFailed | None:
        policy = self._on_error
        if not isinstance(policy, Tolerate) or not policy.exceeded_by(self._failed_count, total):
            return None
        first = "" if self._first is None else self._first.message
        return FanOutFailed(failed=self._failed_count, ended=len(self._outcomes), wanted=policy.words(), first=first)

    def _tell(self) -> None:
        ended_count = self._told_at = len(self._outcomes)
        if self._progress is not None:
            self._progress(
                FanOutProgress(total=self._total, succeeded=ended_count - self._failed_count, failed=self._failed_count)
            )
