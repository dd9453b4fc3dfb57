"""A delay counts from the handler's durable time: an attempt that comes later has less of it left, or nothing."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from restate_patterns import App, Context, RetryPolicy, Service, handler
from restate_patterns.testing import run_test
from restate_patterns.testing.contract.recorder import Recorder
from tests.support.engines.hosting import BACKENDS, EMBEDDED, backend_of

pytestmark = pytest.mark.anyio

DELAY_S = 3.0
FAILING_S = 3.0
SLACK_S = 2.0


class Bell(Service):
    def __init__(self) -> None:
        self.seen = Recorder()
        self.times: dict[str, float] = {}

    async def mark(self, what: str) -> None:
        """Note when something happened first."""
        self.times.setdefault(what, time.monotonic())
        self.seen.note("bell", what)

    @handler
    async def ring(self, ctx: Context) -> None:
        await ctx.run("ring", self.mark, "rang")

    @handler(retry=RetryPolicy(initial=timedelta(milliseconds=50), factor=1))
    async def wind(self, ctx: Context, way: str) -> None:
        await ctx.run("begin", self.mark, "begun")
        if time.monotonic() < self.times["begun"] + FAILING_S:
            raise OSError("the attempt is away")
        self.times.setdefault("back", time.monotonic())
        match way:
            case "send_after":
                await ctx.service_client(Bell).ring.send_after(timedelta(seconds=DELAY_S))
            case "until":
                due = ctx.now() + timedelta(seconds=DELAY_S)
                await ctx.service_client(Bell).ring.send_after(due - ctx.now())
            case _:
                await asyncio.sleep(DELAY_S)
                await ctx.run("ring", self.mark, "rang")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["send_after", "until", "sleep"])
@pytest.mark.parametrize(
    "backend", [each if each == EMBEDDED else pytest.param(each, marks=pytest.mark.restate) for each in BACKENDS]
)
async def test_what_is_left_of_a_delay(backend: str, way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Failing attempts take as long as the delay that follows a step: it is over when the next one comes to it."""
    bell = Bell()
    async with App([bell]).start(backend_of(request, backend, tmp_path)) as client:
        await client.service_client(Bell).wind(way)
        await bell.seen.until("bell", "rang")
    assert bell.times["rang"] - bell.times["begun"] >= DELAY_S - 0.1
    assert bell.times["rang"] - bell.times["back"] < SLACK_S


class Clock(Service):
    def __init__(self) -> None:
        self.rang: list[datetime] = []
        self.failures: list[OSError] = []

    @handler
    async def ring(self, ctx: Context) -> None:
        self.rang.append(ctx.now())

    @handler(retry=RetryPolicy(initial=timedelta(seconds=20)))
    async def wind(self, ctx: Context, delay_s: int) -> datetime:
        if not self.failures:
            self.failures.append(OSError("once"))
            raise self.failures[0]
        await ctx.service_client(Clock).ring.send_after(timedelta(seconds=delay_s))
        return ctx.now()


@pytest.mark.parametrize(("delay_s", "rings_after_s"), [(30, 30), (10, 20), (0, 20)])
async def test_on_a_clock_that_stands_still(delay_s: int, rings_after_s: int) -> None:
    clock = Clock()
    async with run_test(App([clock])) as env:
        begun = env.now()
        handle = await env.client.service_client(Clock).wind.send(delay_s)
        await env.advance(timedelta(minutes=2))
        assert await handle.result() == begun
    assert clock.rang == [begun + timedelta(seconds=rings_after_s)]
