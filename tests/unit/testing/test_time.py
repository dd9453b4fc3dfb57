"""Time in tests: where it starts, that it jumps, and that nothing is missed in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel
from typing_extensions import override

from restate_patterns import (
    App,
    Context,
    InvocationNotFound,
    ObjectContext,
    Service,
    State,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from restate_patterns.testing.clock import VirtualClock

pytestmark = pytest.mark.anyio
BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
JUMP = timedelta(days=401)
MOMENT = timedelta(milliseconds=1)


class Alarm(Service):
    """Rings at nine in the morning, whatever the clocks of the country do that night."""

    @handler
    async def ring(self, ctx: Context) -> str:
        now = ctx.now().astimezone(BERLIN)
        nine = (now + DAY).replace(hour=9, minute=0)
        await asyncio.sleep((nine.astimezone(UTC) - now).total_seconds())
        return ctx.now().astimezone(BERLIN).isoformat()


class Note(VirtualObject):
    """Kept for an hour."""

    text = State[str](default="")

    @handler(retention=timedelta(hours=1))
    async def write(self, ctx: ObjectContext, text: str) -> str:
        self.text.set(ctx, text)
        return text


class Visit(Workflow, retention=timedelta(days=30)):
    """Its state goes with it."""

    name = State[str](default="")

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        self.name.set(ctx, ctx.key)
        return ctx.key


class Stay(Workflow, retention=timedelta(hours=1)):
    """Is over before its last visitor has left."""

    name = State[str](default="")

    @handler
    async def run(self, ctx: WorkflowContext) -> None:
        self.name.set(ctx, ctx.key)

    @handler
    async def visit(self, ctx: WorkflowSharedContext) -> str:
        await asyncio.sleep(2 * 3600)
        return await self.name.get(ctx)


class Look(BaseModel, frozen=True):
    """At what, and when."""

    id: str
    after: timedelta


class Watcher(Service):
    """Looks at an invocation at a time of its own."""

    @handler
    async def look(self, ctx: Context, at: Look) -> str:
        await asyncio.sleep(at.after.total_seconds())
        try:
            return str(await ctx.invocation(Note.write, at.id).output())
        except InvocationNotFound:
            return "gone"


@pytest.mark.parametrize(
    ("night", "hours"),
    [(datetime(2026, 3, 28, 10, tzinfo=BERLIN), 22), (datetime(2026, 10, 24, 10, tzinfo=BERLIN), 24)],
    ids=["to summer time", "from it"],
)
async def test_a_night_in_which_the_clocks_change(night: datetime, hours: int) -> None:
    async with run_test(App([Alarm()]), start=night) as env:
        assert env.now() == night
        ringing = await env.client.service_client(Alarm).ring.send()
        await env.advance(timedelta(hours=hours) - MOMENT)
        assert not isinstance(await ringing.output(), str)
        await env.advance(MOMENT)
        assert (await ringing.result())[:19] == f"{(night + DAY).date()}T09:00:00"


def test_every_run_of_a_crash_test_starts_then() -> None:
    night = datetime(2026, 3, 28, 10, tzinfo=BERLIN)

    @at_every_crash_point(lambda: App([Alarm()]), start=night, replay_always=True)
    async def test(env: TestEnvironment) -> None:
        ringing = await env.client.service_client(Alarm).ring.send()
        await env.advance(DAY)
        assert (await ringing.result()).startswith("2026-03-29T09:00:00+02:00")

    test()
    assert test.crash_points.commits > 2


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (
            datetime.fromisoformat("2026-03-28T10:00"),
            r"has no time zone.*write `datetime\(\.\.\., tzinfo=UTC\)`",
        ),
        (datetime(1970, 1, 1, tzinfo=BERLIN), "is before 1970"),
    ],
)
async def test_a_start_that_is_none(start: datetime, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        async with run_test(App([Alarm()]), start=start):
            pass


class CountingClock(VirtualClock):
    """Counts what it wakes."""

    woken_count = 0

    @override
    def step_to(self, time_ms: float) -> bool:
        woke = super().step_to(time_ms)
        self.woken_count += woke
        return woke


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[CountingClock]:
    CountingClock.woken_count = 0
    monkeypatch.setattr("restate_patterns.testing.environment.VirtualClock", CountingClock)
    return CountingClock


async def test_a_time_in_which_nothing_happens_costs_nothing(clock: type[CountingClock]) -> None:
    """401 days have 577,440 minutes, after each of which an engine looks for what is expired."""
    async with run_test(App([Note()])) as env:
        assert isinstance(env.clock, clock)
        await env.advance(JUMP)
        assert env.clock.woken_count <= 2
        assert env.now() == datetime(2030, 1, 1, tzinfo=UTC) + JUMP


async def test_in_a_jump_only_what_happens_counts(clock: type[CountingClock]) -> None:
    async with run_test(App([Note(), Visit()])) as env:
        assert isinstance(env.clock, clock)
        for number in range(5):
            await env.client.object_client(Note, f"n{number}").write("x")
            await env.client.workflow_client(Visit, f"v{number}").run()
            await env.advance(timedelta(minutes=7))
        env.clock.woken_count = 0
        await env.advance(JUMP)
        assert env.clock.woken_count < 25
        assert env.engine.core.store.read("SELECT count(*) FROM invocation") == [(0,)]
        assert env.engine.core.store.read("SELECT name FROM state WHERE service = 'Visit'") == []


@pytest.mark.parametrize("jump", [JUMP, timedelta(minutes=90), timedelta(hours=1, milliseconds=5)], ids=str)
async def test_what_expires_in_a_jump_is_gone_and_was_there_till_then(jump: timedelta) -> None:
    """Timers of the same jump see it until its retention is over, and not after; so does who looks after the jump."""
    hour = timedelta(hours=1)
    async with run_test(App([Note(), Watcher()])) as env:
        await env.advance(timedelta(seconds=13))
        note = await env.client.object_client(Note, "n").write.send("kept")
        await note.result()
        watcher = env.client.service_client(Watcher)
        looks = [await watcher.look.send(Look(id=note.id, after=after)) for after in (hour - MOMENT, hour + MOMENT)]
        await env.advance(jump)
        if jump < DAY:  # else their results are gone, too
            assert [await look.result() for look in looks] == ["kept", "gone"]
        with pytest.raises(InvocationNotFound):
            await note.output()


async def test_what_is_expired_and_in_use_goes_when_it_is_free(clock: type[CountingClock]) -> None:
    """It is put off from minute to minute, and time goes on meanwhile."""
    async with run_test(App([Stay()])) as env:
        assert isinstance(env.clock, clock)
        stay = env.client.workflow_client(Stay, "s")
        visit = await stay.visit.send()
        await stay.run()
        await env.advance(timedelta(hours=2, minutes=30))
        assert await visit.result() == "s"
        assert env.engine.core.store.read("SELECT name FROM state") == []
        assert env.clock.woken_count < 200


async def test_a_crash_in_between_forgets_no_retention() -> None:
    async with run_test(App([Note()])) as env:
        note = await env.client.object_client(Note, "n").write.send("kept")
        await note.result()
        await env.advance(timedelta(minutes=30))
        await env.crash()
        await env.advance(timedelta(minutes=30) - MOMENT)
        assert await note.output() == "kept"
        await env.advance(MOMENT)
        with pytest.raises(InvocationNotFound):
            await note.output()
