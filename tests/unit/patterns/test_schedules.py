"""Schedules on the engine, under a clock that the test drives: ticks, overlaps, and what people do with them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from restate_patterns import (
    App,
    BackfillTooLong,
    Schedule,
    ScheduleRecord,
    Schedules,
    UnknownSchedule,
)
from restate_patterns.patterns.schedules.declaration import Missed, Overlap
from restate_patterns.testing import run_test
from restate_patterns.testing.clock import START
from tests.support.schedules.jobs import DAY, HOUR, Desk, Job, Review, Seen, app_with, hosted, names, timers

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def states(record: ScheduleRecord) -> list[str]:
    return [f"{run.due:%d %H:%M} {run.why} {run.state}" for run in reversed(record.runs)]


@pytest.mark.parametrize(
    ("every", "count"),
    [(timedelta(milliseconds=10), 120), (MINUTE, 30), (DAY, 30), (timedelta(days=2 * 365), 4)],
    ids=str,
)
async def test_each_tick_once_from_ten_milliseconds_to_years(every: timedelta, count: int) -> None:
    seen, start = Seen(), datetime(2030, 1, 1, 0, 0, 1, tzinfo=UTC)
    schedule = Schedule("often", every=every, start=start, to=Job.of_tick)
    async with run_test(app_with(seen, schedule)) as env:
        await env.advance(timedelta(seconds=1) + (count - 1) * every)
        assert seen.notes == [f"often {start + number * every:%d %H:%M:%S}" for number in range(count)]
        assert len(await timers(env)) == 1


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", datetime(2030, 3, 31, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2030, 10, 27, tzinfo=UTC)),
        ("America/New_York", datetime(2030, 3, 10, tzinfo=UTC)),
        ("America/New_York", datetime(2030, 11, 3, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2030, 4, 7, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2030, 10, 6, tzinfo=UTC)),
    ],
)
async def test_each_night_once_where_the_clocks_change(zone: str, day: datetime) -> None:
    """At a quarter to two and a quarter past, where hours are missing and come twice: each day has both runs."""
    tz, nights = ZoneInfo(zone), [(day + more * DAY).date() for more in range(-2, 3)]
    schedules = [Schedule(cron, cron=cron, zone=zone, to=Job.of_tick) for cron in ("45 1 * * *", "15 2 * * *")]
    seen, start = Seen(), (day - 2 * DAY).replace(tzinfo=tz)
    async with run_test(app_with(seen, *schedules), start=start) as env:
        await env.advance(5 * DAY)
        for schedule in schedules:
            record = await schedule.show(env.client)
            assert sorted(run.due.astimezone(tz).date() for run in record.runs) == nights
        assert len(set(seen.notes)) == len(seen.notes) == 10


async def test_what_a_target_is_given() -> None:
    seen = Seen()
    schedules = [
        Schedule("plain", to=Job.plain, every=DAY, start=START + HOUR),
        Schedule("tick", to=Job.of_tick, every=DAY, start=START + HOUR),
        Schedule("payload", to=Job.paid, payload=7, every=DAY, start=START + HOUR),
        Schedule("bytes", to=Job.raw, payload=b"\xff\x00", every=DAY, start=START + HOUR),
        Schedule("object", to=Desk.clean, key="a b", every=DAY, start=START + HOUR),
        Schedule("workflow", to=Review.run, every=DAY, start=START + HOUR),
        Schedule("of a workflow", to=Review.remind, key="r", every=DAY, start=START + HOUR),
    ]
    async with run_test(app_with(seen, *schedules)) as env:
        await env.advance(HOUR)
        assert sorted(seen.take()) == [
            "01 01:00:00",
            "7 cents",
            "a b 01 01:00",
            "b'\\xff\\x00'",
            "remind r",
            "tick 01 01:00:00",
            "workflow@2030-01-01T01:00:00Z",
        ]
        await env.advance(DAY)
        assert "workflow@2030-01-02T01:00:00Z" in seen.notes
        assert await names(env) == sorted(schedule.name for schedule in schedules)


async def test_the_tick_knows_its_night() -> None:
    """A run that is late is for the night that it was due in."""
    nights: list[str] = []
    nightly = Schedule("nightly", cron="30 0 * * *", zone="Asia/Tokyo", to=Job.of_tick)
    async with run_test(app_with(Seen(notes=nights), nightly)) as env:
        await env.advance(DAY)
        record = await nightly.show(env.client)
        (run,) = record.runs
        assert run.due.astimezone(ZoneInfo("Asia/Tokyo")).isoformat() == "2030-01-02T00:30:00+09:00"
        assert nights == ["nightly 01 15:30:00"]


@pytest.mark.parametrize(
    ("overlap", "notes", "skipped"),
    [
        ("skip", "began 1, ended 1, began 3, ended 3", 2),
        ("queue", "began 1, ended 1, began 2, ended 2, began 3", 0),
        ("cancel", "began 1, ended 1, began 2, ended 2, began 3, ended 3, began 4", 0),
        ("allow", "began 1, began 2, ended 1, began 3, ended 2, began 4, ended 3", 0),
    ],
)
async def test_overlap(overlap: Overlap, notes: str, skipped: int) -> None:
    """A run of an hour and a half, each hour: skipped, queued, cancelled and begun, or beside each other."""
    seen = Seen(takes=timedelta(minutes=90))
    hourly = Schedule("hourly", every=HOUR, to=Job.slow, overlap=overlap)
    async with run_test(app_with(seen, hourly)) as env:
        await env.advance(5 * HOUR - MINUTE)
        assert ", ".join(seen.notes).replace(" 01 0", " ").replace(":00", "") == notes
        assert (await hourly.show(env.client)).skipped_count == skipped


async def test_a_cancelled_run_is_waited_for() -> None:
    """The next one begins when the one before has cleaned up, and not beside it."""
    seen = Seen(takes=timedelta(hours=9), cleans_up=10 * MINUTE)
    hourly = Schedule("hourly", every=HOUR, to=Job.slow, overlap="cancel")
    async with run_test(app_with(seen, hourly)) as env:
        await env.advance(2 * HOUR + 9 * MINUTE)
        assert seen.notes == ["began 01 01:00"]
        assert (await hourly.show(env.client)).queued == [START + 2 * HOUR]
        await env.advance(MINUTE)
        assert seen.notes == ["began 01 01:00", "ended 01 01:00", "began 01 02:00"]
        record = await hourly.show(env.client)
        assert states(record) == ["01 01:00 due failed", "01 02:00 due running"]


async def test_the_end_of_a_run_is_known_whatever_ends_it() -> None:
    seen = Seen(takes=10 * HOUR)
    failing = Schedule("failing", every=HOUR, to=Job.fails)
    slow = Schedule("slow", every=HOUR, to=Job.slow)
    async with run_test(app_with(seen, failing, slow)) as env:
        await env.advance(HOUR)
        record = await failing.show(env.client)
        assert states(record) == ["01 01:00 due failed"]
        assert record.runs[0].error == "409: the printer is out of paper"
        (run,) = (await slow.show(env.client)).runs
        assert run.state == "running"
        await env.engine.kill(run.invocation_id)
        await env.settle()
        assert states(await slow.show(env.client)) == ["01 01:00 due failed"]
        await env.advance(HOUR)
        assert states(await slow.show(env.client)) == ["01 01:00 due failed", "01 02:00 due running"]


@pytest.mark.parametrize(
    ("missed", "due"),
    [("skip", []), ("once", ["03 01:00"]), ("all", ["01 01:00", "02 01:00", "03 01:00"])],
)
async def test_a_restart_that_outlasts_the_delay(missed: Missed, due: list[str]) -> None:
    """Down for two days and a half: missed nights are skipped, made up by the last, or by all, in order."""
    seen = Seen(takes=MINUTE)
    nightly = Schedule("nightly", cron="0 1 * * *", to=Job.slow, missed=missed)
    async with run_test(app_with(seen, nightly)) as env:
        env.clock.set_wall(env.clock.wall_ms() + (2 * DAY + 12 * HOUR) / timedelta(milliseconds=1))
        await env.crash()
        await env.advance(HOUR)
        assert seen.take() == [f"{what} {each}" for each in due for what in ("began", "ended")]
        record = await nightly.show(env.client)
        assert (record.started_count, record.missed_count) == (len(due), 3 - len(due))
        await env.advance(13 * HOUR)
        assert seen.notes == ["began 04 01:00", "ended 04 01:00"]


async def test_a_short_restart_is_no_miss() -> None:
    seen, nightly = Seen(), Schedule("nightly", cron="0 1 * * *", to=Job.of_tick, missed="skip")
    async with run_test(app_with(seen, nightly)) as env:
        await env.advance(HOUR - timedelta(seconds=1))
        env.clock.set_wall(env.clock.wall_ms() + 50_000)
        await env.crash()
        await env.settle()
        assert seen.notes == ["nightly 01 01:00:00"]


@pytest.mark.parametrize("crash", [False, True])
async def test_a_clock_that_jumps_both_ways(crash: bool) -> None:
    """Each tick once: what the clock passes over is missed and made up, what it shows again is not run again."""
    seen, hourly = Seen(), Schedule("hourly", every=HOUR, to=Job.of_tick, missed="all")
    async with run_test(app_with(seen, hourly)) as env:
        await env.advance(2 * HOUR)
        for jump in (3 * HOUR, -2 * HOUR, -4 * HOUR, 9 * HOUR):
            env.clock.set_wall(env.clock.wall_ms() + jump / timedelta(milliseconds=1))
            if crash:
                await env.crash()
            await env.advance(HOUR)
        await env.advance(DAY)
        assert seen.notes == sorted(set(seen.notes))
        ran = [datetime.strptime(f"2026 {note}", "%Y hourly %d %H:%M:%S").replace(tzinfo=UTC) for note in seen.notes]
        assert ran == [ran[0] + number * HOUR for number in range(len(ran))]
        assert len(await timers(env)) == 1


async def test_paused_it_begins_nothing_and_resumed_it_goes_on_from_now() -> None:
    seen = Seen()
    hourly = Schedule("hourly", every=HOUR, to=Job.of_tick, missed="all")
    async with run_test(app_with(seen, hourly)) as env:
        await env.advance(HOUR)
        await hourly.pause(env.client, "the disk is full")
        assert await timers(env) == []
        await env.advance(3 * HOUR + MINUTE)
        record = await hourly.show(env.client)
        assert (record.note, record.next_due, record.paused_at) == ("the disk is full", None, START + HOUR)
        assert await hourly.declare(env.client) is False
        await env.crash()
        await env.advance(HOUR)
        assert seen.take() == ["hourly 01 01:00:00"]
        await hourly.resume(env.client)
        await env.advance(HOUR)
        assert seen.notes == ["hourly 01 06:00:00"]
        assert (await hourly.show(env.client)).paused_at is None


async def test_paused_what_is_queued_waits() -> None:
    seen = Seen(takes=timedelta(minutes=90))
    hourly = Schedule("hourly", every=HOUR, to=Job.slow, overlap="queue")
    async with run_test(app_with(seen, hourly)) as env:
        await env.advance(2 * HOUR + MINUTE)
        await hourly.pause(env.client)
        await env.advance(5 * HOUR)
        assert seen.take() == ["began 01 01:00", "ended 01 01:00"]
        assert (await hourly.show(env.client)).queued == [START + 2 * HOUR]
        assert await hourly.backfill(env.client, START + HOUR, START + HOUR) == 1
        await env.advance(2 * HOUR)
        assert seen.take() == ["began 01 01:00", "ended 01 01:00"]
        await hourly.resume(env.client)
        await env.settle()
        assert seen.notes == ["began 01 02:00"]


async def test_triggered_it_runs_now_also_while_it_is_paused() -> None:
    seen = Seen(takes=MINUTE)
    nightly = Schedule("nightly", cron="0 2 * * *", to=Job.slow)
    async with run_test(app_with(seen, nightly)) as env:
        await nightly.pause(env.client)
        run = await nightly.trigger(env.client)
        assert (run.state, run.why, run.due) == ("running", "triggered", START)
        assert (await nightly.trigger(env.client)).state == "skipped"
        await env.advance(HOUR)
        assert (await nightly.trigger(env.client)).state == "running"
        await env.client.invocation(Job.slow, run.invocation_id).result()
        await env.settle()
        assert seen.notes == ["began 01 00:00", "ended 01 00:00", "began 01 01:00"]


async def test_backfilled_it_runs_for_each_tick_one_after_the_other() -> None:
    seen = Seen(takes=timedelta(minutes=10))
    nightly = Schedule("nightly", cron="0 2 * * *", to=Job.slow)
    async with run_test(app_with(seen, nightly)) as env:
        await env.advance(2 * DAY)
        ran = seen.take()
        assert len(ran) == 4
        since = datetime(2029, 12, 30, 2, tzinfo=UTC)
        assert await nightly.backfill(env.client, since, START + 30 * DAY) == 4
        await env.advance(HOUR)
        due = ["30 02:00", "31 02:00", "01 02:00", "02 02:00"]
        assert seen.take() == [f"{what} {each}" for each in due for what in ("began", "ended")]
        assert states(await nightly.show(env.client))[-1] == "02 02:00 backfilled succeeded"
        await env.advance(2 * HOUR)
        assert seen.notes == ["began 03 02:00", "ended 03 02:00"]


async def test_a_backfill_has_an_end() -> None:
    minutely = Schedule("minutely", every=MINUTE, to=Job.plain)
    async with run_test(app_with(Seen(), minutely)) as env:
        with pytest.raises(BackfillTooLong, match="over 1000 ticks of the schedule 'minutely'"):
            await minutely.backfill(env.client, START - DAY, START)
        assert (await minutely.show(env.client)).queued == []


async def test_a_workflow_is_backfilled_under_another_key() -> None:
    """Its run of that tick happened, and a workflow runs once per key."""
    seen, nightly = Seen(), Schedule("nightly", cron="0 2 * * *", to=Review.run)
    async with run_test(app_with(seen, nightly)) as env:
        await env.advance(3 * HOUR)
        assert await nightly.backfill(env.client, START, START + DAY) == 1
        await env.settle()
        first, second = seen.notes
        assert first == "nightly@2030-01-01T02:00:00Z"
        assert second.startswith(f"{first}#inv_")


async def test_removed_it_is_gone() -> None:
    seen, hourly = Seen(takes=timedelta(minutes=90)), Schedule("hourly", every=HOUR, to=Job.slow)
    async with run_test(app_with(seen, hourly)) as env:
        await env.advance(HOUR)
        assert await hourly.remove(env.client) is True
        assert (await names(env), await timers(env)) == ([], [])
        assert await hourly.remove(env.client) is False
        await env.advance(5 * HOUR)
        assert seen.notes == ["began 01 01:00", "ended 01 01:00"]
        for verb in (hourly.show, hourly.pause, hourly.resume, hourly.trigger):
            with pytest.raises(UnknownSchedule, match="there is no schedule 'hourly'"):
                await verb(env.client)
        assert await env.engine.get_state("Schedules", "hourly") == {}
        assert await env.engine.get_state("ScheduleIndex", "all") == {}


async def test_what_is_kept_does_not_grow() -> None:
    """After two hours of ticks at each minute, with runs that fail, are skipped and cancelled, as after half of one."""
    seen = Seen(takes=timedelta(minutes=2))
    schedules = [
        Schedule("skips", every=MINUTE, to=Job.slow),
        Schedule("fails", every=MINUTE, to=Job.fails),
        Schedule("cancels", every=MINUTE, to=Job.slow, overlap="cancel"),
    ]
    async with run_test(app_with(seen, *schedules)) as env:

        async def size() -> int:
            kept = [await env.engine.get_state("Schedules", schedule.name) for schedule in schedules]
            return sum(len(value) for states in kept for value in states.values())

        await env.advance(HOUR / 2)
        before = await size()
        await env.advance(HOUR)
        assert await size() < before + 50
        assert len(await timers(env)) == len(schedules)


async def test_one_that_is_known_by_its_name_alone() -> None:
    async with run_test(App([*hosted(Seen()), Schedule("a/b c", every=HOUR, to=Job.plain)])) as env:
        record = await env.client.object_client(Schedules, "a/b c").show()
        assert (record.name, record.declaration.target()) == ("a/b c", "Job/plain")
