"""When the ticks of a schedule come: pure functions of its declaration.

Owns cron expressions, time zones and their changes, intervals and jitter. Only this file knows `cronsim`. It follows
Debian's cron where a local time does not exist or comes twice:

- an expression whose minute and hour both say when (neither begins with `*`) ticks once for each local time that it
  names: at the first moment after a gap that swallowed it, and the first time of one that comes twice;
- any other ticks by elapsed time, as its local times come: none in a gap, and in each pass of an hour that comes twice.

Times are Unix milliseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from typing_extensions import override

from restate_patterns.errors import DefinitionError
from restate_patterns.limits import SCHEDULE_EVERY_MS_MIN, SCHEDULE_YEARS_BEGIN_MS
from restate_patterns.patterns.schedules.declaration import ScheduleDeclaration

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END_MS: Final = 253_402_300_799_000
"""The end of the year 9999, where dates end."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_DAY_MS: Final = 24 * 60 * 60 * 1000
_HOUR_MS: Final = 60 * 60 * 1000
_HALF_HOUR_MS: Final = _HOUR_MS // 2


class Due(NamedTuple):
    """A tick: the time that it is for, and that at which it comes, which jitter may put off."""

    due_ms: int
    at_ms: int


class _Times(Protocol):
    def after(self, moment_ms: int) -> int | None:
        """Return the first time after a moment; None where no more come."""
        ...


class _Cron(_Times):
    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._expression = expression
        self._zone = zone

    @override
    def after(self, moment_ms: int) -> int | None:
        try:
            due_ms = self._next(moment_ms)
            if due_ms is None:
                return None
            # The library walks by whole hours: where clocks change by half of one it passes over the rest of an hour.
            since_ms = max(moment_ms, due_ms - _DAY_MS)
            if not (self._offset_ms(since_ms - _HOUR_MS) - self._offset_ms(due_ms)) % _HOUR_MS:
                return due_ms
            first = since_ms - since_ms % _HALF_HOUR_MS + _HALF_HOUR_MS
            found = (self._next(probe_ms - 1) for probe_ms in range(first, due_ms, _HALF_HOUR_MS))
            return min([due_ms, *(each for each in found if each is not None)])
        except OverflowError:  # past the last year that dates have
            return None

    def _next(self, moment_ms: int) -> int | None:
        # A time that comes twice is its first one: from inside the second pass that is in the past.
        times = (ms_of(due) for due in CronSim(self._expression, self._local(moment_ms)))
        return next((due_ms for due_ms in times if due_ms > moment_ms), None)

    def _offset_ms(self, moment_ms: int) -> int:
        return (self._local(moment_ms).utcoffset() or timedelta(0)) // _MILLISECOND

    def _local(self, moment_ms: int) -> datetime:
        return date_of(moment_ms).astimezone(self._zone)


class _Every(_Times):
    def __init__(self, every_ms: int, anchor_ms: int) -> None:
        self._every_ms = every_ms
        self._anchor_ms = anchor_ms

    @override
    def after(self, moment_ms: int) -> int | None:
        due_ms = self._anchor_ms + ((moment_ms - self._anchor_ms) // self._every_ms + 1) * self._every_ms
        return due_ms if due_ms <= _END_MS else None


class Timing:
    """The ticks of one schedule.

    Args:
        name: The name of the schedule: schedules that are due together spread over their jitter by it.
        declaration: What it was declared with.

    Raises:
        DefinitionError: The declaration says no time, or one that never comes; the sentence names the fix.
    """

    def __init__(self, name: str, declaration: ScheduleDeclaration) -> None:
        self._name = name
        self._start_ms = None if declaration.start is None else ms_of(declaration.start)
        self._times = _times_of(name, declaration, self._start_ms)
        self.jitter_ms = declaration.jitter // _MILLISECOND
        self.moves = declaration.cron is not None and declaration.zone != "UTC"
        """Whether the time of a tick can change while it is waited for, as the rules of zones do."""

    def after(self, moment_ms: int) -> Due | None:
        """Return the first tick that is due after a moment; None where no more come."""
        if self._start_ms is not None:
            moment_ms = max(moment_ms, self._start_ms - 1)
        due_ms = self._times.after(moment_ms)
        return None if due_ms is None else Due(due_ms, due_ms + self._put_off_ms(due_ms))

    def between(self, since_ms: int, until_ms: int) -> Iterator[Due]:
        """Return the ticks that are due after `since_ms` and until `until_ms`, the oldest first."""
        due = self.after(since_ms)
        while due is not None and due.due_ms <= until_ms:
            yield due
            due = self.after(due.due_ms)

    def _put_off_ms(self, due_ms: int) -> int:
        if not self.jitter_ms:
            return 0
        digest = hashlib.blake2b(f"{self._name} {due_ms}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % (self.jitter_ms + 1)


def ms_of(moment: datetime) -> int:
    """Return a time in Unix milliseconds."""
    return (moment - _EPOCH) // _MILLISECOND


def date_of(moment_ms: int) -> datetime:
    """Return a time in UTC."""
    return _EPOCH + moment_ms * _MILLISECOND


def check(name: str, declaration: ScheduleDeclaration) -> None:
    """Check that a declaration says when.

    Raises:
        DefinitionError: It does not, or what it says never comes.
    """
    timing = Timing(name, declaration)
    if declaration.jitter < timedelta(0):
        raise DefinitionError(f"Schedule {name!r}: jitter={declaration.jitter!r} must not be negative")
    if declaration.every is not None and declaration.jitter > declaration.every:
        raise DefinitionError(f"Schedule {name!r}: jitter={declaration.jitter!r} must not be longer than the interval")
    if timing.after(SCHEDULE_YEARS_BEGIN_MS) is None:
        raise DefinitionError(f"Schedule {name!r}: cron={declaration.cron!r} never comes; is there such a day?")


def _times_of(name: str, declaration: ScheduleDeclaration, start_ms: int | None) -> _Times:
    zone = _zone(name, declaration.zone)
    match declaration.cron, declaration.every:
        case str() as expression, None:
            try:
                CronSim(expression, _EPOCH)
            except CronSimError as error:
                raise DefinitionError(
                    f"Schedule {name!r}: cron={expression!r} can't be read: {error}. Write minute, hour, day of the "
                    'month, month and weekday, as in "0 2 * * *" for 2:00 each night; a sixth field in front is seconds'
                ) from None
            return _Cron(expression, zone)
        case None, timedelta() as every:
            every_ms = every // _MILLISECOND
            if every_ms < SCHEDULE_EVERY_MS_MIN:
                raise DefinitionError(
                    f"Schedule {name!r}: every={every!r} must be {SCHEDULE_EVERY_MS_MIN} milliseconds or more"
                )
            if declaration.zone != "UTC":
                raise DefinitionError(
                    f"Schedule {name!r}: zone={declaration.zone!r} has no use with every=, as an interval is elapsed "
                    "time; leave it out, or write cron="
                )
            return _Every(every_ms, start_ms or 0)
        case _:
            raise DefinitionError(
                f'Schedule {name!r}: say when, by one of cron="0 2 * * *" and every=timedelta(minutes=5)'
            )


def _zone(name: str, key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DefinitionError(
            f"Schedule {name!r}: zone={key!r} is no time zone; write its name in the IANA database, as in Europe/Berlin"
        ) from None
