"""When and how often what failed is tried again: by its policy, or as the error itself asks."""

from __future__ import annotations

import math
import random  # noqa: TID251 - for waits of the process, which no journal knows
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol, Self, cast

from restate_patterns.errors import DefinitionError
from restate_patterns.system.clock import wall_ms
from restate_patterns.text.durations import DELAY_MS_MAX, duration_ms, retry_after_ms
from restate_patterns.text.wording import shown

_ZERO = timedelta(0)


class HttpResponse(Protocol):
    """What a response of httpx, requests or aiohttp has."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, found whatever the case of their names."""
        ...


class RetryableError(Exception):
    """Raised in a step or handler, or by what it calls: it is to be tried again, and after what wait.

        if response.status_code == 429:
            raise RetryableError.after(response, "the provider is busy")

    It counts as a try: `RetryPolicy.max_attempts` ends it as any other error.

    Args:
        message: What went wrong.
        retry_after: The wait before the next try, whatever the policy and its `maximum` say. Default: the policy's.

    Raises:
        TypeError: `retry_after` is no duration.
        ValueError: It is below zero.
    """

    def __init__(self, message: str = "", /, *, retry_after: timedelta | None = None) -> None:
        if retry_after is not None:
            if not isinstance(retry_after, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance] - what types can't stop
                raise TypeError(f"RetryableError: retry_after must be a timedelta, not {shown(retry_after)}")
            if retry_after < _ZERO:
                raise ValueError(f"RetryableError: retry_after={retry_after} must not be below 0")
        super().__init__(message)
        self.retry_after = retry_after

    @classmethod
    def after(cls, response: HttpResponse, message: str = "", /) -> Self:
        """Return the error that waits as the header `Retry-After` of a response says (RFC 9110, 10.2.3).

        That is seconds, or a time. Without the header, or where it says neither or no wait at all, the wait is the
        policy's: a provider that is busy is not asked again at once, whatever its clock says.
        """
        asked = response.headers.get("retry-after")
        wait_ms = None if asked is None else retry_after_ms(asked, wall_ms())
        return cls(message, retry_after=timedelta(milliseconds=wait_ms) if wait_ms else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often something that failed is tried again.

    The wait before try `n + 1` is `initial * factor ** (n - 1)`, at most `maximum`; a `RetryableError` may say another.

    Args:
        initial: The wait after the first failure.
        factor: What each further wait is multiplied by; at least 1.
        maximum: The longest wait.
        max_attempts: Tries in all, the first included; None for no end.
        then: What happens after the last try: `"pause"` keeps the invocation for a person to
            resume, `"fail"` makes the last error terminal.
        jitter: The part of each wait that chance may cut off, from 0 to 1: with 0.5 a wait of 10 s becomes 5 to
            10 s. It keeps those that failed together from coming back together. The waits between attempts of a
            handler on a Restate server are the server's own, without it.
        retry_on: Classes of errors that are tried again; any other error is the last try. Default: all.
        give_up_on: Classes of errors that are not, whatever `retry_on` says.

    Raises:
        DefinitionError: A value is out of range.
    """

    initial: timedelta = timedelta(milliseconds=50)
    factor: float = 2.0
    maximum: timedelta = timedelta(minutes=1)
    max_attempts: int | None = None
    then: Literal["pause", "fail"] = "pause"
    jitter: float = 0.0
    retry_on: Sequence[type[BaseException]] = (BaseException,)
    give_up_on: Sequence[type[BaseException]] = ()

    def __post_init__(self) -> None:
        check_duration("RetryPolicy: initial", self.initial)
        check_duration("RetryPolicy: maximum", self.maximum)
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
        if not _is_number(self.jitter) or not (0 <= self.jitter <= 1):
            raise DefinitionError(f"RetryPolicy: jitter={shown(self.jitter)} must be a number from 0 to 1")
        # Frozen means frozen: a list that is changed later must not change the policy.
        object.__setattr__(self, "retry_on", error_classes("RetryPolicy: retry_on", self.retry_on))
        object.__setattr__(self, "give_up_on", error_classes("RetryPolicy: give_up_on", self.give_up_on))

    def delay_ms(
        self, failed_count: int, error: BaseException | None = None, draw: Callable[[], float] = random.random
    ) -> int | None:
        """Return the wait in milliseconds after a failure, or None when it was the last try.

        Args:
            failed_count: How many failures there were, this one included.
            error: What it failed with.
            draw: Where chance comes from: numbers from 0 to 1.
        """
        if self.max_attempts is not None and failed_count >= self.max_attempts:
            return None
        if error is not None and self.gives_up_on(error):
            return None
        asked_ms = None if error is None else asked_wait_ms(error)
        if asked_ms is not None:
            return asked_ms
        if not self.initial:
            return 0
        initial_ms = self.initial / timedelta(milliseconds=1)
        maximum_ms = self.maximum / timedelta(milliseconds=1)
        try:
            wait_ms = initial_ms * self.factor ** (failed_count - 1)
        except OverflowError:
            wait_ms = maximum_ms
        return round(min(wait_ms, maximum_ms) * (1 - self.jitter * draw() if self.jitter else 1))

    def gives_up_on(self, error: BaseException) -> bool:
        """Return whether an error, or one of its group, is not tried again however many tries are left."""
        return any(
            isinstance(each, tuple(self.give_up_on)) or not isinstance(each, tuple(self.retry_on))
            for each in leaves_of(error)
        )


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """Return the errors of an exception group, however nested; or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        for member in group.exceptions:
            yield from leaves_of(member)
    else:
        yield error


def check_duration(what: str, duration: Any) -> None:
    """Check that something is a `timedelta`.

    Raises:
        DefinitionError: It is not.
    """
    if not isinstance(duration, timedelta):
        raise DefinitionError(f"{what} must be a timedelta, not {shown(duration)}{_as_seconds(duration)}")


def _as_seconds(value: Any) -> str:
    return f": write timedelta(seconds={value})" if _is_number(value) else ""


def error_classes(what: str, given: object) -> tuple[type[BaseException], ...]:
    """Return classes of errors as a tuple.

    Raises:
        DefinitionError: They are none.
    """
    classes: list[type[BaseException]] = []
    found = cast("Sequence[object]", given) if isinstance(given, Sequence) else (given,)
    for each in found:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise DefinitionError(f"{what} must be classes of errors, as in [ConnectionError], not {shown(found)}")
        classes.append(each)
    return tuple(classes)


def asked_wait_ms(error: BaseException) -> int | None:
    """Return the longest wait that an error asks for, or one of its group; None where none does."""
    asked = [each.retry_after for each in leaves_of(error) if isinstance(each, RetryableError)]
    return max((min(duration_ms(wait), DELAY_MS_MAX) for wait in asked if wait is not None), default=None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
