"""The nightly report: each night once, for its day, whatever is late, crashes, or stops for long."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from examples.queues.nightly_report import app, nightly, tidying
from examples.queues.nightly_report.books import Archive, Books, DayReport
from examples.queues.nightly_report.report import SHOP
from restate_patterns import Client
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from tests.support.bounds import PATIENCE_S
from tests.support.engines.hosting import BACKENDS, RESTATE, SUSPENDING, backend_of

pytestmark = pytest.mark.anyio

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2030, 3, 29, 12, tzinfo=BERLIN)
"""Two days before the clocks go forth, and there is no half past two."""
DAY = timedelta(days=1)


async def days(client: Client) -> list[date]:
    return [report.day for report in await client.object_client(Archive, SHOP).read()]


async def test_each_day_is_reported_in_the_night_after_it() -> None:
    async with run_test(app, start=SPRING) as env:
        for cents in (500, 750):
            await env.client.object_client(Books, "2030-03-29").sell(cents)
        await env.advance(4 * DAY)
        reports = await env.client.object_client(Archive, SHOP).read()
        assert reports[0] == DayReport(day=date(2030, 3, 29), sale_count=2, total_cents=1_250)
        assert [report.day for report in reports] == [date(2030, 3, 29) + number * DAY for number in range(4)]


async def test_after_a_long_stop_each_night_has_its_report() -> None:
    async with run_test(app, start=SPRING) as env:
        env.clock.set_wall(env.clock.wall_ms() + 5 * DAY / timedelta(milliseconds=1))
        await env.crash()
        await env.settle()
        assert await days(env.client) == [date(2030, 3, 29) + number * DAY for number in range(5)]


@at_every_crash_point(lambda: app, start=SPRING)
async def test_each_night_once_whatever_crashes(env: TestEnvironment) -> None:
    await env.advance(2 * DAY)
    assert await days(env.client) == [date(2030, 3, 29), date(2030, 3, 30)]
    assert (await nightly.show(env.client)).started_count == 2


@pytest.mark.parametrize(
    "where",
    [pytest.param(name, marks=pytest.mark.restate if name in (RESTATE, SUSPENDING) else ()) for name in BACKENDS],
)
async def test_on_each_backend(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Declared at the start, triggered and backfilled: a report of each night that was asked for."""
    async with app.start(backend_of(request, where, tmp_path)) as client:
        assert await nightly.declare(client) is False
        today = datetime.now(UTC)
        count = await nightly.backfill(client, today - 3 * DAY, today)
        assert count in (2, 3, 4), "a night is in them, or the clocks have changed"
        async with asyncio.timeout(PATIENCE_S):
            while len(await days(client)) < count:
                await asyncio.sleep(0.02)
        assert (await nightly.show(client)).runs[0].why == "backfilled"
        for schedule in (nightly, tidying):
            assert await schedule.remove(client)
