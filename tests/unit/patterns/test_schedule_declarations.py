"""Declarations of schedules: at each start, by several at once, changed, refused, and of targets that are gone."""

from __future__ import annotations

import asyncio
import logging
import shutil
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from restate_patterns import (
    App,
    Context,
    DefinitionError,
    Embedded,
    Schedule,
    ScheduleRefused,
    Schedules,
    Service,
    WrongValue,
    handler,
    schedule_services,
)
from restate_patterns import app as app_module
from restate_patterns.api.typed_clients import link_of
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus
from restate_patterns.patterns.schedules.progress import Progress
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from restate_patterns.testing.clock import START
from tests.support.engines.engines import request
from tests.support.schedules.jobs import DAY, HOUR, Desk, Job, Review, Seen, app_with, hosted, names, timers

pytestmark = pytest.mark.timeout(60)

HOURLY = Schedule("report", every=HOUR, to=Job.of_tick)
HALF_PAST = Schedule("report", cron="30 * * * *", to=Job.of_tick)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


SEEN = Seen()


@at_every_crash_point(lambda: app_with(SEEN, HOURLY))
async def test_a_changed_declaration_replaces_the_timer_once_whatever_crashes(env: TestEnvironment) -> None:
    """Several nodes declare the new one, some twice; afterwards there is one timer, and each tick comes once."""
    SEEN.take()
    await env.advance(HOUR + timedelta(minutes=10))
    changed = await asyncio.gather(*(HALF_PAST.declare(env.client) for _ in range(4)))
    assert sorted(changed) == [False, False, False, True]
    assert len(await timers(env)) == 1
    await env.advance(2 * HOUR)
    ran = list(dict.fromkeys(SEEN.take()))  # the step of a run whose result a crash lost is done again
    assert ran == ["report 01 01:00:00", "report 01 01:30:00", "report 01 02:30:00"]
    record = await HALF_PAST.show(env.client)
    assert record.started_count == 3
    assert len(await timers(env)) == 1


@at_every_crash_point(lambda: app_with(SEEN, HOURLY), replay_always=True)
async def test_each_tick_runs_once_whatever_crashes(env: TestEnvironment) -> None:
    """Also one that is triggered and those that are backfilled, of a run that takes its time."""
    SEEN.take()
    await env.advance(2 * HOUR)
    await HOURLY.trigger(env.client)
    await env.advance(timedelta(minutes=5))
    await HOURLY.backfill(env.client, START + HOUR, START + 2 * HOUR)
    await env.settle()
    record = await HOURLY.show(env.client)
    assert [run.why for run in record.runs] == ["backfilled", "backfilled", "triggered", "due", "due"]
    assert {run.state for run in record.runs} == {"succeeded"}
    assert record.started_count == 5
    assert len({run.invocation_id for run in record.runs}) == 5


@pytest.mark.anyio
async def test_a_timer_that_was_replaced_does_nothing() -> None:
    """Cancelling it is a courtesy: one that comes all the same is not the one that counts."""
    seen = Seen()
    async with run_test(app_with(seen, HOURLY)) as env:
        kept = await env.engine.get_state("Schedules", "report")
        old = Progress.model_validate_json(kept["progress"]).timer
        assert old is not None
        await HALF_PAST.declare(env.client)
        await env.advance(HOUR)
        assert seen.take() == ["report 01 00:30:00"]
        await env.engine.submit(request("Schedules/report/tick", old.model_dump_json().encode()), None)
        await env.settle()
        assert (seen.notes, len(await timers(env))) == ([], 1)


@pytest.mark.anyio
async def test_a_tick_that_comes_again_finds_its_run() -> None:
    """Somebody has put back what a schedule kept an hour ago: the tick after it has a run, and gets no other."""
    seen = Seen()
    async with run_test(app_with(seen, HOURLY)) as env:
        before = await env.engine.get_state("Schedules", "report")
        await env.advance(HOUR)
        await env.engine.set_state("Schedules", "report", before)
        await HOURLY.declare(env.client)
        await env.advance(HOUR)
        assert seen.notes == ["report 01 01:00:00", "report 01 02:00:00"]


@pytest.mark.anyio
async def test_what_was_due_before_the_change_is_run_by_the_new_target() -> None:
    """A deployment that ends a long stop renames the handler, and comes before the timer: no missed night is lost."""
    seen = Seen()
    nightly = Schedule("report", cron="0 2 * * *", to=Job.slow)
    async with run_test(app_with(seen, nightly)) as env:
        (timer,) = await timers(env)
        await env.engine.kill(timer.id)
        await env.advance(5 * HOUR)
        await Schedule("report", cron="0 3 * * *", to=Job.of_tick).declare(env.client)
        await env.settle()
        assert seen.take() == ["report 01 02:00:00"]
        await env.advance(DAY)
        assert seen.notes == ["report 02 03:00:00"]


@pytest.mark.anyio
async def test_each_start_declares_and_an_equal_declaration_changes_nothing(tmp_path: Path) -> None:
    """On a file, as a program is started again and again."""
    backend, seen = Embedded(tmp_path / "app.db"), Seen()
    async with app_with(seen, HOURLY).start(backend) as client:
        first = await HOURLY.show(client)
    async with app_with(seen, HOURLY).start(backend) as client:
        assert await HOURLY.show(client) == first
    async with app_with(seen, HALF_PAST).start(backend) as client:
        changed = await HALF_PAST.show(client)
        assert changed.declaration == HALF_PAST.declaration
        assert changed.declared_at > first.declared_at
    async with App([*hosted(seen), *schedule_services()]).start(backend) as client:
        assert (await HALF_PAST.show(client)).next_due is not None, "no longer declared it stays until it is removed"


@pytest.mark.anyio
async def test_a_killed_timer_and_a_killed_watch_come_back_with_the_next_declaration() -> None:
    seen = Seen(takes=timedelta(minutes=90))
    hourly = Schedule("hourly", every=HOUR, to=Job.slow)
    async with run_test(app_with(seen, hourly)) as env:
        await env.advance(HOUR)
        for handler_name in ("tick", "watch"):
            for view in await env.engine.list_invocations(
                InvocationFilter(service="Schedules", handler=handler_name), limit=10
            ):
                if view.status is not InvocationStatus.COMPLETED:
                    await env.engine.kill(view.id)
        await env.advance(timedelta(minutes=2))  # what was killed is forgotten with the next expiry
        assert await timers(env) == []
        assert await hourly.declare(env.client) is False
        assert len(await timers(env)) == 1
        await env.advance(3 * HOUR)
        assert seen.notes[:3] == ["began 01 01:00", "ended 01 01:00", "began 01 03:00"]


@pytest.mark.anyio
async def test_a_target_that_is_gone_is_waited_for() -> None:
    """It was renamed, or its service is no longer hosted: the run waits for the next declaration, and is not lost."""
    seen = Seen()
    elsewhere = Schedule("elsewhere", every=HOUR, to=Absent.work)
    async with run_test(App([*hosted(seen), *schedule_services()])) as env:
        await elsewhere.declare(env.client)
        await env.advance(2 * HOUR)
        record = await elsewhere.show(env.client)
        assert record.queued == [START + HOUR]
        assert "404: service 'Absent' not found" in next(run.error for run in record.runs if run.state == "queued")
        assert record.skipped_count == 1
        await Schedule("elsewhere", every=HOUR, to=Job.of_tick).declare(env.client)
        await env.settle()
        assert seen.notes == ["elsewhere 01 01:00:00"]


class Absent(Service):
    @handler
    async def work(self, ctx: Context) -> None: ...


@pytest.mark.anyio
async def test_one_that_is_made_at_run_time() -> None:
    seen = Seen()
    async with run_test(App([Maker(), *hosted(seen), *schedule_services()])) as env:
        await env.client.service_client(Maker).make("a")
        assert await names(env) == ["reminder of a"]
        await env.advance(HOUR)
        await env.client.service_client(Maker).stop("a")
        await env.advance(HOUR)
        assert seen.notes == ["reminder of a 01 01:00:00"]


class Maker(Service):
    @handler
    async def make(self, ctx: Context, who: str) -> None:
        await Schedule(f"reminder of {who}", every=HOUR, to=Job.of_tick).declare(ctx)

    @handler
    async def stop(self, ctx: Context, who: str) -> None:
        reminder = Schedule(f"reminder of {who}", every=HOUR, to=Job.of_tick)
        assert (await reminder.show(ctx)).started_count == 1
        await reminder.remove(ctx)


@pytest.mark.anyio
async def test_who_may_call_may_not_run_what_is_private() -> None:
    """Whoever reaches the ingress reaches `Schedules/declare`: a private handler is run by declarations in the code."""
    seen = Seen()
    own = Schedule("own", every=HOUR, to=Job.hidden)
    async with run_test(app_with(seen, own)) as env:
        await env.advance(HOUR)
        assert seen.notes == ["hidden"]
        with pytest.raises(ScheduleRefused, match="Job/hidden is private, so only"):
            await Schedule("other", every=HOUR, to=Job.hidden).declare(env.client)
        assert await names(env) == ["own"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"handler": "nothing"}, "Job has no handler 'nothing'; it has fails, hidden"),
        ({"key": "k"}, "'Job' is a Service, which has no keys"),
        ({"handler": "paid"}, "Job/paid does not take what it would be given"),
        ({"handler": "paid", "takes": "payload", "payload": "seven"}, "does not take what it would be given"),
        ({"every": None}, "say when"),
    ],
)
async def test_what_its_target_would_refuse_is_refused(change: dict[str, object], why: str) -> None:
    """A declaration may come from anybody, and a stored one from other code."""
    async with run_test(App([*hosted(Seen()), *schedule_services()])) as env:
        wrong = HOURLY.declaration.model_copy(update=change)
        with pytest.raises(ScheduleRefused, match=why):
            await env.client.object_client(Schedules, "wrong").declare(wrong)
        assert await names(env) == []


@pytest.mark.anyio
async def test_an_app_may_say_what_keeps_its_schedules() -> None:
    """One that makes some at run time as well writes both, and hosts it once."""
    async with run_test(App([*hosted(Seen()), HOURLY, *schedule_services()])) as env:
        assert await names(env) == ["report"]


def test_two_of_a_name_are_refused() -> None:
    with pytest.raises(DefinitionError, match="two schedules have the name 'report'"):
        app_with(Seen(), HOURLY, HALF_PAST)


Untyped: Any = Schedule
"""What type checkers refuse is refused all the same where there are none."""


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("", {"to": Job.plain}, "give it a name"),
        ("a", {"to": Desk.clean}, "say which one: key="),
        ("a", {"to": Job.plain, "key": "b"}, "leave key= out"),
        ("a", {"to": Review.run, "key": "b"}, "a workflow runs once per key"),
        ("a", {"to": Review.remind}, "say which one: key="),
        ("a", {"to": Job(Seen()).plain}, "name the handler on its class"),
        ("a", {"to": Job.plain, "overlap": "never"}, "is none of 'skip', 'queue'"),
        ("a", {"to": Job.plain, "missed": "never"}, "is none of 'skip', 'once'"),
        ("a", {"to": Job.plain, "start": datetime(2030, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - the error
    ],
)
def test_what_can_not_work_is_refused_where_it_is_made(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        Untyped(name, every=DAY, **options)


def test_a_payload_is_what_the_handler_takes() -> None:
    with pytest.raises(WrongValue, match=r"Job\.paid takes one argument, 'cents'"):
        Untyped("a", every=DAY, to=Job.paid)
    with pytest.raises(WrongValue, match="the argument 'cents'"):
        Untyped("a", every=DAY, to=Job.paid, payload="7")


@pytest.mark.anyio
async def test_a_busy_schedule_does_not_hold_up_a_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An invocation of it that is paused keeps its key: the start says so and goes on, and it is declared later."""
    caplog.set_level(logging.ERROR)
    seen = Seen()
    async with run_test(app_with(seen, HOURLY)) as env:
        with monkeypatch.context() as broken:
            broken.setattr("restate_patterns.patterns.schedules.course.plan", _broken)
            await env.advance(HOUR)
        monkeypatch.setattr(app_module, "SCHEDULE_DECLARE_S", 0.05)
        await app_with(seen, HALF_PAST).deployment.started(link_of(env.client).caller)
        assert "the schedule 'report' did not take its declaration within 0.05 s" in caplog.text
        paused = InvocationFilter(service="Schedules", statuses=frozenset({InvocationStatus.PAUSED}))
        (stuck,) = await env.engine.list_invocations(paused, limit=10)
        await env.engine.resume(stuck.id)
        await env.settle()
        assert (await HALF_PAST.show(env.client)).declaration == HALF_PAST.declaration
        assert seen.notes == ["report 01 01:00:00"]


def _broken(*_: object) -> None:
    raise DefinitionError("a bug")


@pytest.fixture
def changing_zone(tmp_path: Path) -> Iterator[Path]:
    """Give the file of the time zone `Test/Place`, which is that of Berlin until somebody changes it."""
    place = tmp_path / "Test" / "Place"
    place.parent.mkdir()
    shutil.copy(_file_of("Europe/Berlin"), place)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path), *before])
    yield place
    zoneinfo.reset_tzpath(before)
    ZoneInfo.clear_cache()


def _file_of(zone: str) -> Path:
    return next(Path(folder) / zone for folder in zoneinfo.TZPATH if (Path(folder) / zone).exists())


@pytest.mark.anyio
async def test_the_rules_of_a_zone_change_while_a_tick_is_waited_for(changing_zone: Path) -> None:
    """A month ahead the government decides: the timer looks each day, and the run is at the new local time, once."""
    seen = Seen()
    monthly = Schedule("monthly", cron="0 2 1 * *", zone="Test/Place", to=Job.plain)
    async with run_test(app_with(seen, monthly), start=datetime(2030, 1, 2, tzinfo=UTC)) as env:
        await env.advance(20 * DAY)
        shutil.copy(_file_of("Asia/Tokyo"), changing_zone)
        ZoneInfo.clear_cache(only_keys=["Test/Place"])
        await env.advance(40 * DAY)
        assert seen.notes == ["31 17:00:00", "28 17:00:00"]
        assert len(await timers(env)) == 1
