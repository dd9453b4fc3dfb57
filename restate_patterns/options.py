"""Options of handlers and steps: frozen values, given once, read everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from restate_patterns.errors import DefinitionError
from restate_patterns.text.wording import shown, why_no_text

_ZERO = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often something that failed is tried again.

    The wait before try `n + 1` is `initial * factor ** (n - 1)`, at most `maximum`.

    Args:
        initial: The wait after the first failure.
        factor: What each further wait is multiplied by; at least 1.
        maximum: The longest wait.
        max_attempts: Tries in all, the first included; None for no end.
        then: What happens after the last try: `"pause"` keeps the invocation for a person to
            resume, `"fail"` makes the last error terminal.

    Raises:
        DefinitionError: A value is out of range.
    """

    initial: timedelta = timedelta(milliseconds=50)
    factor: float = 2.0
    maximum: timedelta = timedelta(minutes=1)
    max_attempts: int | None = None
    then: Literal["pause", "fail"] = "pause"

    def __post_init__(self) -> None:
        _check_duration("RetryPolicy: initial", self.initial)
        _check_duration("RetryPolicy: maximum", self.maximum)
        if self.initial < _ZERO or self.maximum < self.initial:
            raise DefinitionError(
                f"RetryPolicy: initial={self.initial} and maximum={self.maximum} must be 0 <= initial <= maximum"
            )
        if not _is_number(self.factor) or not (1 <= self.factor < math.inf):
            raise DefinitionError(f"RetryPolicy: factor={shown(self.factor)} must be a number of at least 1")
        if self.max_attempts is not None and (not _is_whole(self.max_attempts) or self.max_attempts < 1):
            raise DefinitionError(
                f"RetryPolicy: max_attempts={shown(self.max_attempts)} must be at least 1, or None for no end"
            )
        if self.then not in ("pause", "fail"):
            raise DefinitionError(f'RetryPolicy: then={self.then!r} must be "pause" or "fail"')

    def delay_ms(self, failed_count: int) -> int | None:
        """Return the wait in milliseconds after `failed_count` failures, or None when tries are used up."""
        if self.max_attempts is not None and failed_count >= self.max_attempts:
            return None
        if not self.initial:
            return 0
        initial_ms = self.initial / timedelta(milliseconds=1)
        maximum_ms = self.maximum / timedelta(milliseconds=1)
        try:
            wait_ms = initial_ms * self.factor ** (failed_count - 1)
        except OverflowError:
            wait_ms = maximum_ms
        return round(min(wait_ms, maximum_ms))


@dataclass(frozen=True, slots=True)
class Step:
    """Name and options of one `ctx.run`; a plain frozen value.

    Args:
        name: What the journal and the tools call the step.
        retry: How a failing action is tried again inside the step. Default: the `RetryPolicy()`.
        timeout: The longest one try may take; a try over it counts as failed.
    """

    name: str
    retry: RetryPolicy | None = None
    timeout: timedelta | None = None

    def __post_init__(self) -> None:
        reason = why_no_text(self.name)
        if reason is not None:
            raise DefinitionError(f"Step: the name {reason}")
        if not self.name:
            raise DefinitionError("Step: the name must not be empty")
        if self.retry is not None and not isinstance(self.retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance] - what types can't stop
            raise DefinitionError(f"Step {self.name!r}: retry must be a RetryPolicy, not {shown(self.retry)}")
        if self.timeout is not None:
            _check_duration(f"Step {self.name!r}: timeout", self.timeout)
            if self.timeout <= _ZERO:
                raise DefinitionError(f"Step {self.name!r}: timeout={self.timeout} must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerOptions:
    """Options of a handler; None means: ask the service, then the default.

    Args:
        retry: How failing attempts are tried again.
        retention: How long the result of a completed invocation stays readable.
        inactivity_timeout: How long an idle invocation stays in memory before it suspends.
        private: Whether the handler can be called from outside.
        lazy_state: Whether a Restate server sends the state of a key when a handler reads it, instead of all of
            it with each attempt; for keys with much state. The embedded engine has it at hand anyway.
    """

    retry: RetryPolicy | None = None
    retention: timedelta | None = None
    inactivity_timeout: timedelta | None = None
    private: bool | None = None
    lazy_state: bool | None = None

    def __post_init__(self) -> None:
        if self.retry is not None and not isinstance(self.retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance] - what types can't stop
            raise DefinitionError(f"retry must be a RetryPolicy, not {shown(self.retry)}")
        for name, duration in (("retention", self.retention), ("inactivity_timeout", self.inactivity_timeout)):
            if duration is not None:
                _check_duration(name, duration)
                if duration < _ZERO:
                    raise DefinitionError(f"{name}={duration} must not be below 0")

    def or_else(self, other: HandlerOptions) -> HandlerOptions:
        """Return these options with what is None taken from `other`."""
        return replace(
            self,
            retry=self.retry if self.retry is not None else other.retry,
            retention=self.retention if self.retention is not None else other.retention,
            inactivity_timeout=self.inactivity_timeout
            if self.inactivity_timeout is not None
            else other.inactivity_timeout,
            private=self.private if self.private is not None else other.private,
            lazy_state=self.lazy_state if self.lazy_state is not None else other.lazy_state,
        )


def _check_duration(what: str, duration: Any) -> None:
    if not isinstance(duration, timedelta):
        raise DefinitionError(f"{what} must be a timedelta, not {shown(duration)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
