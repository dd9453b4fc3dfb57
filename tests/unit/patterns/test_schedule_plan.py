"""What is done about ticks that have come: on time, missed, many, put off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restate_patterns import ScheduleDeclaration
from restate_patterns.limits import SCHEDULE_LATE_MS, SCHEDULE_MADE_UP_MAX
from restate_patterns.patterns.schedules.declaration import Missed
from restate_patterns.patterns.schedules.plan import Plan, plan
from restate_patterns.patterns.schedules.timing import Due, Timing, ms_of

HOUR_MS = 3_600_000
HOURLY = Timing("a", ScheduleDeclaration(every=timedelta(hours=1), service="A", handler="b"))
MISSED: list[Missed] = ["skip", "once", "all"]


def later(hour: float) -> Due:
    return Due(round(hour * HOUR_MS), round(hour * HOUR_MS))


@pytest.mark.parametrize("missed", MISSED)
def test_before_its_time_there_is_nothing_to_do(missed: Missed) -> None:
    assert plan(HOURLY, missed, 0, HOUR_MS - 1) == Plan((), 0, 0, later(1))


@pytest.mark.parametrize("missed", MISSED)
@pytest.mark.parametrize("late_ms", [0, 1, SCHEDULE_LATE_MS])
def test_a_minute_late_is_not_missed(missed: Missed, late_ms: int) -> None:
    assert plan(HOURLY, missed, 0, HOUR_MS + late_ms) == Plan((HOUR_MS,), 0, HOUR_MS, later(2))


@pytest.mark.parametrize(
    ("missed", "runs", "missed_count"),
    [("skip", (), 3), ("once", (3 * HOUR_MS,), 2), ("all", (HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS), 0)],
)
def test_missed_ticks(missed: Missed, runs: tuple[int, ...], missed_count: int) -> None:
    """What was missed before one that is on time is missed all the same."""
    assert plan(HOURLY, missed, 0, 3 * HOUR_MS + SCHEDULE_LATE_MS + 1) == Plan(
        runs, missed_count, 3 * HOUR_MS, later(4)
    )
    on_time = plan(HOURLY, missed, 0, 3 * HOUR_MS)
    assert on_time == Plan(runs or (3 * HOUR_MS,), missed_count or 0 if runs else 2, 3 * HOUR_MS, later(4))


def test_what_is_made_up_is_bounded_and_found_at_once() -> None:
    """A year of ticks at every ten milliseconds: the last hundred, without looking at three thousand million."""
    timing = Timing("a", ScheduleDeclaration(every=timedelta(milliseconds=10), service="A", handler="b"))
    year_ms = 365 * 24 * HOUR_MS
    found = plan(timing, "all", 0, year_ms)
    assert found.runs == tuple(range(year_ms - 10 * (SCHEDULE_MADE_UP_MAX - 1), year_ms + 1, 10))
    assert found.next == Due(year_ms + 10, year_ms + 10)


def test_a_schedule_without_a_next_tick_ends() -> None:
    timing = Timing("a", ScheduleDeclaration(every=timedelta(days=1_500_000), service="A", handler="b"))
    first = timing.after(0)
    assert first is not None
    found = plan(timing, "once", 0, first.due_ms)
    assert (found.runs, found.next) == ((first.due_ms,), timing.after(first.due_ms))


def naive(timing: Timing, missed: Missed, since_ms: int, now_ms: int) -> Plan:
    """Say the same by looking at each tick."""
    come = list(takewhile(lambda due: due.at_ms <= now_ms, timing.between(since_ms, now_ms)))[-SCHEDULE_MADE_UP_MAX:]
    late = come if come and now_ms - come[-1].at_ms > SCHEDULE_LATE_MS else come[:-1]
    wanted = {"skip": [due for due in come if due not in late], "once": come[-1:], "all": come}[missed]
    dealt_with_ms = come[-1].due_ms if come else since_ms
    runs = tuple(due.due_ms for due in wanted)
    return Plan(runs, len(come) - len(runs), dealt_with_ms, timing.after(dealt_with_ms))


@settings(max_examples=60, deadline=None)
@given(
    cron=st.sampled_from(["0 2 * * *", "*/10 * * * *", "30 2 * * *", "0 0 1 * *", "7 */3 * * MON"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago"]),
    jitter=st.sampled_from([0, 1, 59, 3_600, 80_000]),
    missed=st.sampled_from(MISSED),
    since_ms=st.integers(ms_of(datetime(2030, 1, 1, tzinfo=UTC)), ms_of(datetime(2031, 1, 1, tzinfo=UTC))),
    span=st.integers(0, 40 * 24 * 3_600_000),
)
def test_the_same_as_looking_at_each_tick(
    cron: str, zone: str, jitter: int, missed: Missed, since_ms: int, span: int
) -> None:
    declaration = ScheduleDeclaration(cron=cron, zone=zone, jitter=timedelta(seconds=jitter), service="A", handler="b")
    timing = Timing("a", declaration)
    assert plan(timing, missed, since_ms, since_ms + span) == naive(timing, missed, since_ms, since_ms + span)


@pytest.mark.parametrize("missed", MISSED)
def test_a_tick_that_is_put_off_keeps_those_after_it_waiting(missed: Missed) -> None:
    """Also where so many have come that only the last of them are looked for."""
    declaration = ScheduleDeclaration(cron="* * * * * *", jitter=timedelta(minutes=10), service="A", handler="b")
    timing, since_ms = Timing("a", declaration), ms_of(datetime(2030, 1, 1, tzinfo=UTC))
    for minutes in (5, 20, 40):
        now_ms = since_ms + minutes * 60_000
        assert plan(timing, missed, since_ms, now_ms) == naive(timing, missed, since_ms, now_ms)
