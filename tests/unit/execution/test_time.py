"""Rule 7: durable time, and the timers that follow from it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import anyio
import pytest

from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.execution.timers import FOREVER_MS, deadline_ms
from tests.support.engines.attempts import (
    START_MS,
    Driven,
    output_of,
    request,
    step,
    within_loop,
)
from tests.support.engines.memory_backend import Main, World


def test_rule_07_time_is_the_maximum_of_start_results_and_deadlines() -> None:
    seen: list[int] = []

    async def main(attempt: DurableAttempt) -> bytes:
        def see() -> None:
            seen.append(attempt.now_ms() - START_MS)
            assert asyncio.get_running_loop().time() == pytest.approx(attempt.now_ms() / 1000)

        see()
        await step(attempt, "a")
        see()
        await asyncio.sleep(0.25)
        see()
        await step(attempt, "b")
        see()
        return b""

    async def test() -> None:
        driven = Driven(main)
        driven.deliver(0, b"", START_MS + 100)
        assert driven.asked[1] == f"sleep sleep {START_MS + 350}"
        driven.deliver(1, None, 0)  # a backend that stores no time with a timer
        driven.deliver(2, b"", START_MS + 200)  # stored before the timer fired, delivered after it
        output_of(driven.end)
        assert seen == [0, 100, 350, 350]

    within_loop(test)


def test_rule_07_a_completion_that_nobody_waits_for_does_not_move_time() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with anyio.move_on_after(1):
            await attempt.call(request("slow"), None)
        await step(attempt, "next")
        return str(attempt.now_ms() - START_MS).encode()

    async def test() -> None:
        driven = Driven(main)
        driven.deliver(0, None, START_MS + 1000)
        driven.deliver(1, b"late", START_MS + 9999)
        assert output_of(driven.deliver(2, b"", START_MS + 1500)) == b"1500"

    within_loop(test)


@pytest.mark.parametrize("delay_s", [0, -1])
def test_rule_07_no_time_is_no_timer(delay_s: float) -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(delay_s)
        called = asyncio.Event()
        loop.call_later(delay_s, called.set)
        await called.wait()
        loop.call_at(loop.time() + delay_s, called.clear)
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(delay_s):
                await step(attempt, "cut off")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), delay_s)
        with anyio.move_on_after(delay_s) as scope:
            await asyncio.Event().wait()
        assert scope.cancelled_caught
        return b"no timer"

    async def test() -> None:
        driven = Driven(main)
        assert driven.hints == [("stop_step", 0)]
        assert driven.asked == ["run cut off"]
        assert driven.end is None
        output_of(driven.deliver(0, b""))
        assert driven.asked == ["run cut off"]

    within_loop(test)


def test_rule_07_a_moved_deadline_is_a_new_timer_and_the_old_one_is_given_up() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(5) as scope:
                scope.reschedule(loop.time() + 2)
                await attempt.call(request("slow"), None)
        except TimeoutError:
            return str(attempt.now_ms() - START_MS).encode()
        return b"not reached"

    async def test() -> None:
        driven = Driven(main)
        assert driven.asked[:2] == [f"sleep timeout {START_MS + 5000}", f"sleep timeout {START_MS + 2000}"]
        assert driven.hints == [("discard", 0)]
        assert output_of(driven.deliver(1)) == b"2000"
        assert driven.hints == [("discard", 0), ("discard", 2)]

    within_loop(test)


def test_rule_07_timeout_at_and_sleep_that_are_over_leave_nothing_behind() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + 3):
            await asyncio.sleep(1)
        return b""

    async def test() -> None:
        driven = Driven(main)
        output_of(driven.deliver(1))
        assert driven.hints == [("discard", 0)]

    within_loop(test)


def test_rule_07_a_deadline_between_two_milliseconds_is_reached_when_its_timer_fires() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with anyio.move_on_after(0.0104) as scope:
            await anyio.sleep(1)
        assert scope.cancelled_caught
        return b""

    async def test() -> None:
        driven = Driven(main)
        assert driven.asked[0] == f"sleep timeout {START_MS + 11}"
        output_of(driven.deliver(0, None, 0))

    within_loop(test)


def test_rule_07_deadlines_survive_the_error_of_floating_point_seconds() -> None:
    for milliseconds in range(0, 4000, 7):
        assert deadline_ms(START_MS / 1000 + milliseconds / 1000) == START_MS + milliseconds
    assert deadline_ms(math.inf) == FOREVER_MS
    assert deadline_ms(1.00015) == 1001
    with pytest.raises(ValueError, match="NaN"):
        deadline_ms(math.nan)


def untimed_world(main: Main) -> World:
    """A world whose backend knows no times, as a Restate server."""
    world = World(main)
    world.invocation = replace(world.invocation, start_ms=None)
    return world


def test_rule_07_where_nothing_carries_a_time_a_reading_is_journaled() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        first = attempt.now_ms()
        assert attempt.now_ms() == first
        await attempt.call(request("peer"), None)
        attempt.now_ms()
        loop = asyncio.get_running_loop()
        assert loop.time() == attempt.now_ms() / 1000
        return b""

    async def test() -> None:
        driven = Driven(main, untimed_world(main))
        assert [asked.partition(" ")[0] for asked in driven.asked] == ["now", "call"]
        output_of(driven.deliver(1, b"", None))
        assert [asked.partition(" ")[0] for asked in driven.asked] == ["now", "call", "now"]

    within_loop(test)


def test_rule_07_a_sleep_needs_no_time_and_a_timeout_needs_one() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        await asyncio.sleep(2)
        async with asyncio.timeout(5):
            await asyncio.sleep(1)
        return b""

    async def test() -> None:
        driven = Driven(main, untimed_world(main))
        assert driven.asked == ["sleep sleep 2000"]
        driven.deliver(0, None, None)
        assert driven.asked[1:] == ["now", f"sleep timeout {START_MS + 5000}", f"sleep sleep {START_MS + 1000}"]
        output_of(driven.deliver(3, None, None))

    within_loop(test)


def test_rule_07_the_time_of_a_step_and_the_deadline_of_a_timer_are_known() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        await step(attempt, "charge")
        assert attempt.now_ms() == START_MS + 7
        await asyncio.sleep(1)
        assert attempt.now_ms() == START_MS + 1007
        return b""

    async def test() -> None:
        driven = Driven(main, untimed_world(main))
        driven.deliver(0, b"done", START_MS + 7)
        output_of(driven.deliver(1, None, None))
        assert not [asked for asked in driven.asked if asked.startswith("now")]

    within_loop(test)
