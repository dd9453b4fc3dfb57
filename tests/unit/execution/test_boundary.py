"""Rule 13: what a handler comes to at its boundary."""

from __future__ import annotations

import asyncio
import json

from restate_patterns.errors import Cancelled, Failure, TerminalError, UsageError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.execution.boundary import ALSO_FAILED
from restate_patterns.seam import Completion, Crashed, Failed, MustPause
from tests.support.engines.attempts import (
    START_MS,
    Driven,
    failure_of,
    first_drain,
    request,
    step,
    stuck_with,
    within_loop,
)


class OutOfSeatsError(TerminalError, code=410):
    """no seats"""


class DeclinedError(TerminalError, code=402):
    """declined"""


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
    assert isinstance(end, MustPause)
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


def test_rule_13_a_timeout_that_leaves_the_handler_is_final() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        async with asyncio.timeout(5):
            await step(attempt, "slow")
        return b""

    async def test() -> None:
        driven = Driven(main)
        assert driven.deliver(0) is None  # the limit is over; the step is asked to stop
        assert failure_of(driven.deliver(1, b"")) == (408, "timed out")

    within_loop(test)


def test_rule_13_a_timeout_is_final_in_a_group_as_well_unless_another_error_is_not() -> None:
    end = _end_of_group(TimeoutError("late"), DeclinedError())
    assert isinstance(end, Failed)
    assert (end.failure.code, end.failure.message) == (408, "timed out: late")
    assert isinstance(_end_of_group(TimeoutError(), OSError("weather")), Crashed)


def test_rule_13_an_error_that_is_both_is_the_terminal_one() -> None:
    class TooLateError(TerminalError, TimeoutError, code=410):
        """too late"""

    async def main(attempt: DurableAttempt) -> bytes:
        raise TooLateError

    assert failure_of(first_drain(main)) == (410, "too late")
