"""Durations in a query (`PT10S`, `500ms`, `1 sec`) and times in an answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_ISO = re.compile(
    rf"P(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?P<time>T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.IGNORECASE | re.ASCII,
)
_FRIENDLY_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµμ]+)\s*,?", re.IGNORECASE)

_SECOND_MS = 1_000
_MINUTE_MS = 60 * _SECOND_MS
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_UNITS_MS: dict[str, Decimal] = {
    name: Decimal(size)
    for size, names in {
        "0.000001": "ns nsec nsecs nanosecond nanoseconds",
        "0.001": "us µs μs usec usecs microsecond microseconds",
        "1": "ms msec msecs milli millis millisecond milliseconds",
        str(_SECOND_MS): "s sec secs second seconds",
        str(_MINUTE_MS): "m min mins minute minutes",
        str(_HOUR_MS): "h hr hrs hour hours",
        str(_DAY_MS): "d day days",
        str(7 * _DAY_MS): "w wk wks week weeks",
    }.items()
    for name in names.split()
}
_ISO_UNITS_MS = (None, None, 7 * _DAY_MS, _DAY_MS, _HOUR_MS, _MINUTE_MS, _SECOND_MS)

_SHOWN_CHARS = 100

DELAY_MS_MAX = 100 * 365 * _DAY_MS
"""The longest delay: a hundred years."""


_FRACTION = r"(?:\.[0-9]{1,9})?"
_PARTS = "|".join(
    f"[0-9]{{1,{digits}}}{_FRACTION} ?(?:{names})"
    for digits, names in (
        (11, "ms|msecs?|millis(?:econds?)?|millisecond"),
        (8, "s|secs?|seconds?"),
        (6, "m|mins?|minutes?"),
        (5, "h|hrs?|hours?"),
        (4, "d|days?"),
        (3, "w|wks?|weeks?"),
    )
)
DURATION_PATTERN = (
    rf"^(?:P(?=[0-9T])(?:[0-9]{{1,3}}{_FRACTION}W)?(?:[0-9]{{1,4}}{_FRACTION}D)?"
    rf"(?:T(?=[0-9])(?:[0-9]{{1,5}}{_FRACTION}H)?(?:[0-9]{{1,6}}{_FRACTION}M)?(?:[0-9]{{1,8}}{_FRACTION}S)?)?"
    rf"|(?:{_PARTS})(?:,? (?:{_PARTS})){{0,2}})$"
)
"""What a document may say of a duration: all that matches is read, and is shorter than the longest."""


def parse_duration_ms(text: str) -> int:
    """Give the milliseconds of an ISO 8601 duration or of a friendly one, rounded up.

    Years and months have no fixed length and are refused; so is a bare number, which says no unit.

    Raises:
        ValueError: It is neither, or it is longer than a hundred years; the text says what to write.
    """
    duration_ms = _iso_ms(text) if text[:1] in ("P", "p") else _friendly_ms(text)
    if duration_ms > DELAY_MS_MAX:
        raise ValueError(f"the duration '{text[:_SHOWN_CHARS]}' is longer than 100 years")
    return int(duration_ms.to_integral_value(rounding="ROUND_CEILING"))


def _iso_ms(text: str) -> Decimal:
    match = _ISO.fullmatch(text)
    if match is None or match["time"] in ("T", "t") or len(text) == 1:
        raise _unreadable(text)
    total = Decimal(0)
    groups = [group for index, group in enumerate(match.groups(), 1) if index != match.re.groupindex["time"]]
    for number, unit_ms in zip(groups, _ISO_UNITS_MS, strict=True):
        if number is None:
            continue
        if unit_ms is None:
            raise ValueError(f"the duration '{text[:_SHOWN_CHARS]}' has years or months, whose length varies: use days")
        total += Decimal(number.replace(",", ".")) * unit_ms
    return total


def _friendly_ms(text: str) -> Decimal:
    total, position = Decimal(0), 0
    while position < len(text):
        match = _FRIENDLY_PART.match(text, position)
        unit_ms = None if match is None else _UNITS_MS.get(match[2].lower())
        if match is None or unit_ms is None:
            raise _unreadable(text)
        total += Decimal(match[1]) * unit_ms
        position = match.end()
    if position == 0 or text.rstrip().endswith(","):
        raise _unreadable(text)
    return total


def _unreadable(text: str) -> ValueError:
    return ValueError(f"'{text[:_SHOWN_CHARS]}' is not a duration: write ISO 8601 as in PT10S, or 10s, 500ms, 1 min")


def duration_ms(value: timedelta) -> int:
    """Give the whole milliseconds of a duration, rounded up."""
    whole, rest = divmod(value, timedelta(milliseconds=1))
    return whole + 1 if rest and whole >= 0 else whole


def retry_after_ms(header: str, now_ms: int) -> int | None:
    """Give the wait that a `Retry-After` asks for, in seconds or until a time; None where it says neither."""
    said = header.strip()
    if said.isascii() and said.isdigit():
        return min(int(said[:_SHOWN_CHARS]) * _SECOND_MS, DELAY_MS_MAX)
    try:
        moment = parsedate_to_datetime(said)
        return min(max(round(moment.timestamp() * 1000) - now_ms, 0), DELAY_MS_MAX)
    except (ValueError, OverflowError):
        return None


def duration_text(value: timedelta) -> str:
    """Write a duration in the friendly form, as in `1d 12h`; what is below a millisecond is cut."""
    left_ms = value // timedelta(milliseconds=1)
    parts: list[str] = []
    for name, unit_ms in (("d", _DAY_MS), ("h", _HOUR_MS), ("m", _MINUTE_MS), ("s", _SECOND_MS), ("ms", 1)):
        count, left_ms = divmod(left_ms, unit_ms)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts) or "0s"


def rfc3339(time_ms: int) -> str:
    """Write Unix milliseconds as UTC with nine digits of fraction, as the reference does."""
    seconds, millis = divmod(time_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{millis:03d}000000Z"


def parse_rfc3339_ms(text: str) -> int:
    """Give the Unix milliseconds of a time in UTC, as `rfc3339` or the reference writes it; what is finer is cut.

    Raises:
        ValueError: It is none.
    """
    moment, _, fraction = text.removesuffix("Z").partition(".")
    seconds = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return int(seconds.timestamp()) * 1000 + int(f"{fraction[:3]:0<3}" if fraction else 0)
