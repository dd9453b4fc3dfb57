"""What fails and is tried again, in the log: each kind once with its traceback, and no kind more often than is read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import timedelta
from typing import Final

from restate_patterns.limits import (
    FAILURE_FORGOTTEN_MS,
    FAILURE_KINDS_MAX,
    FAILURE_LINE_EVERY_MS,
    FAILURE_LINES_AT_ONCE,
)
from restate_patterns.seam import Target
from restate_patterns.system.clock import Clock
from restate_patterns.text.durations import duration_text
from restate_patterns.text.log_lines import logger_named
from restate_patterns.text.wording import sentence_of

_logger: Final = logger_named("restate_patterns")


class _Kind:
    """What was said of the failures of one kind."""

    __slots__ = ("at_ms", "lines_left", "refilled_ms", "unsaid_count", "was_told")

    def __init__(self, now_ms: float) -> None:
        self.at_ms = now_ms
        self.refilled_ms = now_ms
        self.lines_left = FAILURE_LINES_AT_ONCE
        self.unsaid_count = 0
        self.was_told = False

    def may_say(self, now_ms: float) -> bool:
        """Whether there is a line for one more failure; takes it."""
        self.at_ms = now_ms
        gained = int((now_ms - self.refilled_ms) / FAILURE_LINE_EVERY_MS)
        if gained > 0:
            self.lines_left = min(self.lines_left + gained, FAILURE_LINES_AT_ONCE)
            self.refilled_ms += gained * FAILURE_LINE_EVERY_MS
        if self.lines_left == 0:
            self.unsaid_count += 1
            return False
        self.lines_left -= 1
        return True


class FailureReports:
    """Warns of failed tries of handlers and steps.

    Failures are of one kind when the handler and the class of the error are the same, in steps or beside them, whatever
    invocation they are of: a provider that is down fails thousands alike.

    Args:
        clock: Tells how long ago a kind was told of.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()

    def attempt_failed(self, target: Target, invocation_id: str, error: BaseException, following: str) -> None:
        """Warn that an attempt of a handler failed; `following` says which one, and what comes next."""
        self._report(f"{target} ({invocation_id}) failed, {following}", target, "attempt", error)

    def step_failed(
        self,
        target: Target,
        invocation_id: str,
        step: str,
        error: BaseException,
        failed_count: int,
        retry_in_ms: int | None,
    ) -> None:
        """Warn that a try of a step failed, and say when the next one is; None after the last."""
        what = f"the step {step!r} of {target} ({invocation_id}) failed, {following('try', failed_count, retry_in_ms)}"
        self._report(what, target, "step", error)

    def _report(self, what: str, target: Target, part: str, error: BaseException) -> None:
        now_ms = self._clock.monotonic_ms()
        # Not the step's name: it may have a number in it, and is in the line.
        place = (target.service, target.handler, part, type(error))
        kind = self._kinds.pop(place, None)
        if kind is None or now_ms - kind.at_ms > FAILURE_FORGOTTEN_MS:
            kind = _Kind(now_ms)
        self._kinds[place] = kind
        if len(self._kinds) > FAILURE_KINDS_MAX:
            self._kinds.popitem(last=False)
        if not kind.may_say(now_ms):
            return
        is_first, unsaid = not kind.was_told, kind.unsaid_count
        kind.was_told, kind.unsaid_count = True, 0
        _logger.warning(
            "%s: %s%s",
            what,
            sentence_of(error),
            f" ({unsaid} more like it since the last such line)" if unsaid else "",
            exc_info=error if is_first else None,
        )


def following(what: str, failed_count: int, retry_in_ms: int | None) -> str:
    """Say which try it was, and when the next one is; None after the last."""
    if retry_in_ms is None:
        return f"{what} {failed_count}, the last"
    return f"{what} {failed_count}, next in {duration_text(timedelta(milliseconds=retry_in_ms))}"
