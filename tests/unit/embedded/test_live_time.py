"""Rule 24 while an engine runs: time is the later of both clocks, and what a jump made due is done soon after it."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

import pytest
from typing_extensions import override

from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.live_time import LiveTime
from restate_patterns.embedded.store import Store
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.limits import CLOCK_GAP_WARNING_MS, CLOCK_LOOK_MS
from restate_patterns.system.clock import SystemClock
from restate_patterns.testing.clock import VirtualClock
from tests.support.engines.engines import Functions, bench, bounded, request, until

HOUR_MS = 3_600_000

app = Functions()
woken: list[str] = []


@app.handler("S/now")
async def now(a: DurableAttempt) -> bytes:
    woken.append(a.invocation.body.decode())
    return b"%d" % a.now_ms()


@app.handler("S/sleep")
async def sleep(a: DurableAttempt) -> bytes:
    await asyncio.sleep(int(a.invocation.body))
    woken.append(a.invocation.body.decode())
    return b"%d" % a.now_ms()


@pytest.fixture(autouse=True)
def nothing_woken() -> None:
    woken.clear()


@pytest.mark.parametrize("timeout_ms", [60_000, 0], ids=["in memory", "suspended"])
def test_what_was_due_while_the_machine_slept_is_done_in_order_and_now_is_now(timeout_ms: int) -> None:
    async def test() -> None:
        async with bench(app, timeout_ms=timeout_ms) as b:
            for seconds in (5000, 60, 900):
                await b.send("S/sleep", b"%d" % seconds)
            await b.send("S/now", b"sent", delay_ms=120_000)
            await b.settle()
            began_ms = b.clock.wall_ms()
            b.clock.set_wall(began_ms + HOUR_MS)
            await b.settle()
            assert woken == ["60", "sent", "900"]
            assert int(await b.call("S/now", b"after")) >= began_ms + HOUR_MS
            await b.advance(timedelta(seconds=1399))
            assert "5000" not in woken
            await b.advance(timedelta(seconds=2))
            assert woken[-1] == "5000", "by the wall clock, which has gone on by 5,001 s"

    asyncio.run(bounded(test()))


def test_what_is_sent_right_after_a_jump_is_not_early() -> None:
    """Before anybody has compared the clocks: a delay counts from the time that is."""

    async def test() -> None:
        clock = VirtualClock()
        async with bench(app, clock=clock) as b:
            clock._wall_ahead_ms = HOUR_MS  # pyright: ignore[reportPrivateUsage] # the engine was not told yet
            sent = await b.send("S/now", b"later", delay_ms=60_000)
            clock.set_wall(clock.wall_ms())
            await b.settle()
            assert await b.engine.output(sent) is None
            await b.advance(timedelta(seconds=61))
            assert woken == ["later"]

    asyncio.run(bounded(test()))


def test_a_step_back_never_takes_time_back_nor_holds_anything_up(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with bench(app) as b:
            before_ms = int(await b.call("S/now"))
            await b.send("S/sleep", b"60")
            await b.settle()
            with caplog.at_level(logging.WARNING):
                b.clock.set_wall(before_ms - HOUR_MS)
                assert int(await b.call("S/now")) >= before_ms
                await b.advance(timedelta(seconds=61))
            assert woken[-1] == "60", "by the monotonic clock"
            assert int(await b.call("S/now")) >= before_ms + 61_000
            assert [each.message.partition(" by ")[0] for each in caplog.records] == ["the wall clock went back"]
            b.clock.set_wall(before_ms + 30_000)
            assert int(await b.call("S/now")) >= before_ms + 61_000
            b.clock.set_wall(before_ms + HOUR_MS)
            assert int(await b.call("S/now")) >= before_ms + HOUR_MS

    asyncio.run(bounded(test()))


def test_many_jumps_forth_and_back_at_random_keep_the_later_of_both() -> None:
    clock = VirtualClock()
    live = LiveTime(clock)
    start_ms = clock.wall_ms()
    live.start(start_ms)
    clock.watch(live.compare)
    last_ms = live.now_ms()
    for jump_ms in (0, 40, -40, 5000, -7000, 1, HOUR_MS, -2 * HOUR_MS, 3, -1, 999, -999, HOUR_MS) * 3:
        clock.set_wall(clock.wall_ms() + jump_ms)
        for passed_ms in (0, 1, 700):
            clock.step_to(clock.monotonic_ms() + passed_ms)
            found_ms = live.now_ms()
            assert found_ms >= last_ms + passed_ms - 50
            assert found_ms >= clock.wall_ms()
            assert found_ms >= last_ms
            last_ms = found_ms
    assert last_ms >= start_ms + clock.monotonic_ms() - start_ms - 50


@pytest.mark.parametrize("jump_ms", [CLOCK_GAP_WARNING_MS + 100, HOUR_MS])
def test_a_large_jump_is_said_once(caplog: pytest.LogCaptureFixture, jump_ms: int) -> None:
    async def test() -> None:
        async with bench(app) as b:
            with caplog.at_level(logging.WARNING):
                b.clock.set_wall(b.clock.wall_ms() + jump_ms)
                b.clock.set_wall(b.clock.wall_ms())
                await b.call("S/now")
            assert [each.message.partition(" by ")[0] for each in caplog.records] == ["time went on"]

    asyncio.run(bounded(test()))


def test_over_a_restart_time_goes_on_from_the_later_one() -> None:
    async def test() -> None:
        async with bench(app) as b:
            b.clock.set_wall(b.clock.wall_ms() + HOUR_MS)
            before_ms = int(await b.call("S/now"))
            b.clock.set_wall(before_ms - HOUR_MS)
            await b.restart()
            assert int(await b.call("S/now")) >= before_ms

    asyncio.run(bounded(test()))


class SteppedClock(SystemClock):
    """The machine's clocks, with a wall clock that can be set."""

    ahead_ms = 0

    @override
    def wall_ms(self) -> int:
        return super().wall_ms() + self.ahead_ms


def test_the_machines_clock_is_looked_at_every_second() -> None:
    async def test() -> None:
        clock = SteppedClock()
        engine = Engine(app, Store(":memory:"), clock)
        await engine.start()
        await engine.submit(request("S/sleep", b"1800"), None)
        sent = await engine.submit(request("S/now", b"sent"), 60_000)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        clock.ahead_ms = HOUR_MS
        await until(lambda: len(woken) == 2)
        assert woken == ["sent", "1800"]
        assert time.monotonic() - began < CLOCK_LOOK_MS / 1000 + 5
        result = await engine.output(sent.invocation_id)
        assert result is not None
        assert int(result.value or b"0") >= clock.wall_ms() - 10_000
        clock.ahead_ms = -HOUR_MS
        await asyncio.sleep(CLOCK_LOOK_MS / 1000 + 0.2)
        assert int((await engine.call(request("S/now"))).value or b"0") >= int(result.value or b"0")
        await engine.stop()

    asyncio.run(bounded(test()))
