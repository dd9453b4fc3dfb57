"""Options of handlers and steps: frozen values, given once, read everywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from restate_patterns.errors import DefinitionError
from restate_patterns.retries import RetryPolicy, check_duration
from restate_patterns.text.wording import shown, why_no_text

_ZERO = timedelta(0)


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
            check_duration(f"Step {self.name!r}: timeout", self.timeout)
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
                check_duration(name, duration)
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
