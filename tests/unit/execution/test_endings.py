"""Rules 7, 8, 9 and 13: durable time, the end of the handler, and what it comes to at the boundary."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from restate_patterns.errors import CallNotAwaited, Cancelled, Failure, NotDurable, TerminalError, UsageError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.execution.boundary import ALSO_FAILED
from restate_patterns.execution.timers import FOREVER_MS, deadline_ms
from restate_patterns.seam import Completion, Crashed, Failed, Stuck
from tests.support.attempts import (
    START_MS,
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


class OutOfSeatsError(TerminalError, code=410):
    """no seats"""


class DeclinedError(TerminalError, code=402):
    """declined"""


# ---- rule 7


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


# ---- rule 8


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


# ---- rule 9


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


# ---- rule 13


def _end_of_group(*errors: BaseException | None) -> object:
    async def main(attempt: DurableAttempt) -> bytes:
        gate = asyncio.Event()

        async def one(error: BaseException | None) -> None:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                if error is None:
                    raise
            if error is not None:
                raise error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(error)) for error in errors]
            await step(attempt, "wait")
            # The last one fails first: the order of the group's errors is not the order of its tasks.
            tasks[-1].cancel()
            gate.set()
        return b""

    ends: list[object] = []

    async def test() -> None:
        ends.append(Driven(main).deliver(0, b""))

    within_loop(test)
    return ends[0]


def test_rule_13_a_group_of_terminal_errors_is_the_first_by_task_with_the_others_attached() -> None:
    end = _end_of_group(OutOfSeatsError(), DeclinedError(), Cancelled())
    assert isinstance(end, Failed)
    assert (end.failure.code, end.failure.message) == (410, "no seats")
    assert json.loads(end.failure.metadata[ALSO_FAILED]) == [
        {"code": 402, "message": "declined"},
        {"code": 409, "message": "cancelled"},
    ]


def test_rule_13_cancelled_leaves_do_not_spoil_a_terminal_group() -> None:
    end = _end_of_group(None, DeclinedError())
    assert isinstance(end, Failed)
    assert end.failure.code == 402


def test_rule_13_a_mixed_group_is_retried() -> None:
    end = _end_of_group(OSError("weather"), DeclinedError())
    assert isinstance(end, Crashed)
    assert isinstance(end.error, BaseExceptionGroup)


def test_rule_13_a_bug_in_a_group_is_stuck() -> None:
    end = _end_of_group(DeclinedError(), UsageError("a bug"))
    assert isinstance(end, Stuck)
    assert str(end.error) == "a bug"


def test_rule_13_nested_groups_are_flattened() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [DeclinedError()]), OutOfSeatsError()])

    assert failure_of(first_drain(main)) == (402, "declined")


def test_rule_13_a_cancelled_error_that_escapes_is_a_bug() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        task = asyncio.create_task(step(attempt, "never"))
        task.cancel()
        await task
        return b""

    error = stuck_with(first_drain(main))
    assert isinstance(error, UsageError)
    assert "nobody cancelled its invocation" in str(error)


def test_rule_13_terminal_errors_fail_and_other_errors_crash() -> None:
    async def declined(attempt: DurableAttempt) -> bytes:
        raise DeclinedError

    async def weather(attempt: DurableAttempt) -> bytes:
        raise OSError("weather")

    assert failure_of(first_drain(declined)) == (402, "declined")
    end = first_drain(weather)
    assert isinstance(end, Crashed)
    assert isinstance(end.error, OSError)


def test_ready_answers_do_not_suspend_and_failures_arrive_as_terminal_errors() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        attempt.set_state("a", b"1")
        assert await attempt.get_state("a") == b"1"
        assert await attempt.state_names() == ["a"]
        attempt.clear_state("a")
        attempt.clear_all_state()
        assert await attempt.state_names() == []
        assert await attempt.send(request("s"), 5) == "inv_sent"
        return await attempt.promise_value("p")

    async def test() -> None:
        driven = Driven(main)
        assert list(driven.attempt.awaited()) == [len(driven.asked) - 1]
        end = driven.attempt.deliver(Completion(len(driven.asked) - 1, START_MS, None, Failure(402, "rejected")))
        assert failure_of(end) == (402, "rejected")

    within_loop(test)
