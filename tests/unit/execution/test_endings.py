"""Rules 8 and 9: what outlives the handler, waits that are given up, and calls never awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from restate_patterns.errors import CallNotAwaited, NotDurable, TerminalError
from restate_patterns.execution.attempt import DurableAttempt
from tests.support.engines.attempts import (
    Driven,
    failure_of,
    first_drain,
    output_of,
    request,
    step,
    stuck_with,
    within_loop,
)

background: list[asyncio.Task[Any]] = []
forgotten: list[object] = []


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    background.clear()
    forgotten.clear()


class DeclinedError(TerminalError, code=402):
    """declined"""


def test_rule_08_what_outlives_the_handler_is_cancelled_in_order_and_runs_to_its_end_before_the_output() -> None:
    ended: list[str] = []

    async def linger(attempt: DurableAttempt, name: str) -> None:
        try:
            await attempt.call(request(name), None)
        finally:
            ended.append(name)
            await step(attempt, f"clean {name}")
            ended.append(f"clean {name}")

    async def main(attempt: DurableAttempt) -> bytes:
        background.extend(asyncio.create_task(linger(attempt, name)) for name in "ab")
        await step(attempt, "work")
        return b"output"

    async def test() -> None:
        driven = Driven(main)
        assert driven.deliver(0, b"") is None
        assert ended == ["a", "b"]
        assert driven.asked[3:] == ["run clean a", "run clean b"]
        assert driven.deliver(4, b"") is None
        assert output_of(driven.deliver(3, b"")) == b"output"
        assert ended == ["a", "b", "clean b", "clean a"]

    within_loop(test)


def test_rule_08_a_step_in_flight_settles_before_the_output() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        background.append(asyncio.create_task(step(attempt, "background")))
        await step(attempt, "work")
        return b"output"

    async def test() -> None:
        driven = Driven(main)
        assert driven.asked == ["run work", "run background"]
        assert driven.deliver(0, b"") is None
        assert driven.hints == [("stop_step", 1)]
        assert output_of(driven.deliver(1, b"")) == b"output"

    within_loop(test)


def test_rule_08_a_failure_waits_for_the_rest_too() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        background.append(asyncio.create_task(step(attempt, "background")))
        await step(attempt, "work")
        raise DeclinedError

    async def test() -> None:
        driven = Driven(main)
        assert driven.deliver(0, b"") is None
        assert failure_of(driven.deliver(1, b"")) == (402, "declined")

    within_loop(test)


def test_rule_08_tasks_made_while_cleaning_up_are_left_alone_until_the_cancelled_ones_have_ended() -> None:
    async def undo(attempt: DurableAttempt) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.gather(step(attempt, "undo a"), step(attempt, "undo b"))
            background.append(asyncio.create_task(asyncio.sleep(5)))

    async def main(attempt: DurableAttempt) -> bytes:
        background.append(asyncio.create_task(undo(attempt)))
        await step(attempt, "work")
        return b"output"

    async def test() -> None:
        driven = Driven(main)
        driven.deliver(0, b"")
        assert driven.hints == [("discard", 1)]
        driven.deliver(2, b"")
        assert output_of(driven.deliver(3, b"")) == b"output"

    within_loop(test)


def test_rule_08_a_task_that_will_not_end_and_waits_for_nothing_durable_is_stuck() -> None:
    async def refuse() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def main(attempt: DurableAttempt) -> bytes:
        background.append(asyncio.create_task(refuse()))
        await asyncio.sleep(0)
        return b""

    error = stuck_with(first_drain(main))
    assert isinstance(error, NotDurable)
    assert "in refuse" in str(error)


def test_rule_09_cancelling_a_wait_abandons_it_and_its_completion_is_ignored() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        task = asyncio.create_task(attempt.call(request("callee"), None))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await step(attempt, "after")
        return b"output"

    async def test() -> None:
        driven = Driven(main)
        assert driven.hints == [("discard", 0)]
        assert driven.deliver(0, b"late") is None
        assert driven.deliver(77, b"unknown") is None
        assert output_of(driven.deliver(1, b"")) == b"output"

    within_loop(test)


def test_rule_09_a_call_never_awaited_is_named_when_the_handler_succeeds() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        names = ("Seat/hold", "Seat/release")
        forgotten.extend(attempt.track(attempt.call(request("x"), None), name) for name in names)
        await attempt.track(step(attempt, "used"), "used")
        return b""

    async def test() -> None:
        error = stuck_with(Driven(main).deliver(0, b""))
        assert isinstance(error, CallNotAwaited)
        assert str(error).startswith("Seat/hold, Seat/release: called but never awaited")

    within_loop(test)


def test_rule_09_a_call_never_awaited_does_not_hide_the_error_that_came_before_it() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        forgotten.append(attempt.track(attempt.call(request("x"), None), "never"))
        raise DeclinedError

    assert failure_of(first_drain(main)) == (402, "declined")


def test_rule_09_an_awakeable_can_be_awaited_again_after_a_wait_for_it_was_cancelled() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        _, answer = attempt.awakeable()
        try:
            async with asyncio.timeout(1):
                await answer
        except TimeoutError:
            pass
        both = await asyncio.gather(asyncio.ensure_future(answer), asyncio.ensure_future(answer))
        return both[0] + both[1] + await answer

    async def test() -> None:
        driven = Driven(main)
        assert driven.deliver(1) is None
        assert list(driven.attempt.awaited()) == [0]
        assert output_of(driven.deliver(0, b"yes")) == b"yesyesyes"

    within_loop(test)


def test_rule_09_a_signal_is_asked_for_once_and_is_the_same_for_all_who_ask() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        early = attempt.signal("a")
        both = await asyncio.gather(asyncio.ensure_future(attempt.signal("a")), asyncio.ensure_future(early))
        return both[0] + both[1] + await attempt.signal("a") + await attempt.signal("b")

    async def test() -> None:
        driven = Driven(main)
        assert driven.deliver(0, b"yes") is None
        assert driven.asked == ["signal a", "signal b"]
        assert output_of(driven.deliver(1, b"no")) == b"yesyesyesno"

    within_loop(test)


def test_rule_09_a_timeout_of_a_call_is_asyncio_s() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with pytest.raises(TimeoutError):
            await attempt.call(request("slow"), 2.5)
        with pytest.raises(TimeoutError):
            await attempt.attach("inv_other", 2.5)
        return await attempt.call(request("quick"), 2.5)

    async def test() -> None:
        driven = Driven(main)
        driven.deliver(0)
        driven.deliver(2)
        assert output_of(driven.deliver(5, b"in time")) == b"in time"

    within_loop(test)
