"""When the ticks of a schedule come: over the changes of clocks, at intervals, with jitter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restate_patterns import DefinitionError, ScheduleDeclaration
from restate_patterns.patterns.schedules.timing import Timing, check, date_of, ms_of

DAY = timedelta(days=1)
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
CHANGES = {
    "Europe/Berlin": (date(2030, 3, 31), date(2030, 10, 27)),
    "America/New_York": (date(2030, 3, 10), date(2030, 11, 3)),
    "Australia/Lord_Howe": (date(2030, 10, 6), date(2030, 4, 7)),
    "America/Santiago": (date(2030, 9, 8), date(2030, 4, 7)),
}
"""The days on which clocks go forth and back. Lord Howe's go half an hour; Santiago's go at midnight."""


def declared(**options: object) -> ScheduleDeclaration:
    return ScheduleDeclaration.model_validate({"service": "Report", "handler": "nightly", **options})


def ends_of(day: date, zone: str, days: int = 1) -> tuple[int, int]:
    """Return when a local day begins, and when it or one of those after it ends."""
    tz = ZoneInfo(zone)
    since, until = (datetime.combine(day + timedelta(days=more), time(), tz) for more in (0, days))
    return ms_of(since), ms_of(until)


def ticks(zone: str, cron: str, day: date) -> list[str]:
    """Return the ticks of a local day, in local time with its offset."""
    since, until = ends_of(day, zone)
    timing = Timing("a", declared(cron=cron, zone=zone))
    local = (date_of(due.due_ms).astimezone(ZoneInfo(zone)) for due in timing.between(since - 1, until - 1))
    return [moment.isoformat()[11:] for moment in local]


@pytest.mark.parametrize(
    ("zone", "cron", "forth", "back"),
    [
        ("Europe/Berlin", "30 2 * * *", ["03:00:00+02:00"], ["02:30:00+02:00"]),
        ("Europe/Berlin", "0,30 2 * * *", ["03:00:00+02:00"], ["02:00:00+02:00", "02:30:00+02:00"]),
        ("Europe/Berlin", "0 2,3 * * *", ["03:00:00+02:00"], ["02:00:00+02:00", "03:00:00+01:00"]),
        ("Europe/Berlin", "0 12 * * *", ["12:00:00+02:00"], ["12:00:00+01:00"]),
        ("America/New_York", "30 2 * * *", ["03:00:00-04:00"], ["02:30:00-05:00"]),
        ("America/New_York", "30 1 * * *", ["01:30:00-05:00"], ["01:30:00-04:00"]),
        ("Australia/Lord_Howe", "15 2 * * *", ["02:30:00+11:00"], ["02:15:00+10:30"]),
        ("Australia/Lord_Howe", "45 1 * * *", ["01:45:00+10:30"], ["01:45:00+11:00"]),
        ("America/Santiago", "0 0 * * *", ["01:00:00-03:00"], ["00:00:00-04:00"]),
    ],
)
def test_each_local_time_that_is_named_has_one_tick(zone: str, cron: str, forth: list[str], back: list[str]) -> None:
    """One that a gap swallows comes at its end; one that comes twice ticks the first time."""
    gone_forth, gone_back = CHANGES[zone]
    assert ticks(zone, cron, gone_forth) == forth
    assert ticks(zone, cron, gone_back) == back


@pytest.mark.parametrize("zone", ZONES)
def test_wildcards_tick_by_elapsed_time(zone: str) -> None:
    """Every quarter of an hour is that through both changes: a day of 23 hours has fewer of them, one of 25 more."""
    gone_forth, gone_back = CHANGES[zone]
    for day in (gone_forth, gone_back):
        since, until = ends_of(day, zone)
        timing = Timing("a", declared(cron="*/15 * * * *", zone=zone))
        assert [due.due_ms for due in timing.between(since - 1, until - 1)] == list(range(since, until, 15 * 60_000))


def test_an_hour_that_comes_twice_has_its_wildcard_ticks_twice() -> None:
    assert ticks("Europe/Berlin", "30 * * * *", date(2030, 10, 27))[1:5] == [
        "01:30:00+02:00",
        "02:30:00+02:00",
        "02:30:00+01:00",
        "03:30:00+01:00",
    ]
    assert "02:30:00+02:00" not in ticks("Europe/Berlin", "30 * * * *", date(2030, 3, 31))


def test_with_seconds_it_ticks_by_elapsed_time() -> None:
    """The guide says so: a local time in a gap has no tick then."""
    assert ticks("Europe/Berlin", "0 30 2 * * *", date(2030, 3, 31)) == []
    assert len(ticks("Europe/Berlin", "0 30 2 * * *", date(2030, 10, 27))) == 2


@pytest.mark.parametrize("cron", ["30 2 * * *", "0,30 1-3 * * *", "*/20 * * * *", "15 */2 * * SUN", "0 0 * * *"])
@pytest.mark.parametrize("zone", [*ZONES, "America/Santiago"])
def test_wherever_one_looks_from_the_next_tick_is_the_same(zone: str, cron: str) -> None:
    """A schedule is resumed and declared at any moment, also between two passes of an hour."""
    timing = Timing("a", declared(cron=cron, zone=zone))
    for day in CHANGES[zone]:
        since, until = ends_of(day, zone)
        all_ticks = [due.due_ms for due in timing.between(since - 1, ends_of(day, zone, 9)[1])]
        assert all_ticks == sorted(set(all_ticks))
        for moment_ms in range(since, until, 11 * 60_000):
            following = timing.after(moment_ms)
            assert following is not None
            assert following.due_ms == next(due_ms for due_ms in all_ticks if due_ms > moment_ms), date_of(moment_ms)


FIELDS: Sequence[st.SearchStrategy[str]] = [
    st.sampled_from(["*", "*/7", "0", "30", "0,59", "10-20"]),
    st.sampled_from(["*", "*/5", "0", "2", "1-3", "0,23"]),
    st.sampled_from(["*", "1", "29", "31", "L", "10-12"]),
    st.sampled_from(["*", "1", "2", "3,10", "6-9"]),
    st.sampled_from(["*", "MON", "0", "7", "MON#1", "5L"]),
]


@settings(max_examples=60, deadline=None)
@given(
    cron=st.tuples(*FIELDS).map(" ".join),
    zone=st.sampled_from([*CHANGES, "UTC", "Asia/Kathmandu", "Africa/Casablanca"]),
    moment_ms=st.integers(ms_of(datetime(1971, 1, 1, tzinfo=UTC)), ms_of(datetime(2090, 1, 1, tzinfo=UTC))),
)
def test_ticks_only_go_on(cron: str, zone: str, moment_ms: int) -> None:
    """The next tick is after the moment, and there is none between it and one that is found from a moment before it."""
    try:
        timing = Timing("a", declared(cron=cron, zone=zone))
    except DefinitionError:  # on a day that there is not
        return
    following = timing.after(moment_ms)
    if following is None:
        return
    assert following.due_ms > moment_ms
    assert timing.after(following.due_ms - 1) == following
    assert timing.after((moment_ms + following.due_ms) // 2 - 1) == following or following.due_ms - moment_ms < 4


def test_intervals_are_counted_from_1970_or_from_their_start() -> None:
    six_hours = Timing("a", declared(every=timedelta(hours=6)))
    at = datetime(2030, 5, 5, 7, tzinfo=UTC)
    assert [date_of(due.due_ms).hour for due in six_hours.between(ms_of(at), ms_of(at + DAY))] == [12, 18, 0, 6]
    anchored = Timing("a", declared(every=timedelta(hours=6), start=at))
    assert [date_of(due.due_ms) for due in anchored.between(0, ms_of(at + DAY / 2))] == [at, at + DAY / 4, at + DAY / 2]


@pytest.mark.parametrize("every", [timedelta(milliseconds=10), timedelta(days=3 * 365), timedelta(days=365_000)])
def test_intervals_from_ten_milliseconds_to_years(every: timedelta) -> None:
    timing = Timing("a", declared(every=every))
    first = timing.after(0)
    assert first is not None
    assert first.due_ms == every / timedelta(milliseconds=1)


def test_past_the_last_date_there_is_no_tick() -> None:
    assert Timing("a", declared(every=timedelta(days=9_000 * 365))).after(0) is None
    last = ms_of(datetime(9999, 12, 31, 23, tzinfo=UTC))
    assert Timing("a", declared(cron="0 0 * * *", zone="Europe/Berlin")).after(last) is None


def test_no_tick_before_the_start() -> None:
    start = datetime(2030, 5, 5, 2, tzinfo=UTC)
    first = Timing("a", declared(cron="0 2 * * *", start=start)).after(0)
    assert first is not None
    assert date_of(first.due_ms) == start


def test_jitter_puts_off_each_tick_by_its_own_time_and_always_the_same() -> None:
    """It is what spreads schedules that are due together, and a restart changes nothing about it."""
    jitter = timedelta(minutes=10)
    put_off: set[int] = set()
    for name in ("a", "b"):
        timing = Timing(name, declared(cron="0 2 * * *", jitter=jitter))
        dues = list(timing.between(0, ms_of(date_of(0) + 30 * DAY)))
        assert dues == list(Timing(name, declared(cron="0 2 * * *", jitter=jitter)).between(0, dues[-1].due_ms))
        assert all(0 <= due.at_ms - due.due_ms <= jitter / timedelta(milliseconds=1) for due in dues)
        put_off |= {due.at_ms - due.due_ms for due in dues}
    assert len(put_off) > 50


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, r'say when, by one of cron="0 2 \* \* \*" and every='),
        ({"cron": "0 2 * * *", "every": DAY}, "say when, by one of"),
        ({"cron": "0 2 * *"}, "can't be read: Wrong number of fields. Write minute, hour"),
        ({"cron": "61 2 * * *"}, "Bad minute"),
        ({"cron": "0 0 31 2 *"}, "Bad day-of-month"),
        ({"cron": "* * */20 * 1L"}, "never comes"),
        ({"cron": "0 2 * * *", "zone": "Mars/Olympus"}, "no time zone; write its name in the IANA database"),
        ({"cron": "0 2 * * *", "zone": "../../etc/hosts"}, "no time zone"),
        ({"every": timedelta(milliseconds=9)}, "must be 10 milliseconds or more"),
        ({"every": DAY, "zone": "Europe/Berlin"}, "an interval is elapsed time"),
        ({"every": DAY, "jitter": 2 * DAY}, "must not be longer than the interval"),
        ({"every": DAY, "jitter": -DAY}, "must not be negative"),
    ],
)
def test_what_says_no_time_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        check("a", declared(**options))


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789*/-,#LWMONSUJAN² ", max_size=30))
def test_any_text_is_an_expression_or_refused(cron: str) -> None:
    """Declarations come over the network: nothing but `DefinitionError` leaves."""
    try:
        check("a", declared(cron=cron))
    except DefinitionError:
        return
    assert len(cron.split()) in (5, 6)
