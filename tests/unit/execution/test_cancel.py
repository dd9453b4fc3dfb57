"""Rule 14: cancelling the invocation fails the durable waits of unshielded tasks, and what follows runs normally."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import pytest

from restate_patterns.errors import Cancelled
from restate_patterns.execution.attempt import DurableAttempt
from tests.support.engines.attempts import Driven, failure_of, output_of, request, step, within_loop


def test_rule_14_every_outstanding_wait_fails_in_creation_order_of_its_task() -> None:
    failed: list[str] = []

    async def wait(attempt: DurableAttempt, name: str) -> None:
        try:
            match name:
                case "sleep":
                    await asyncio.sleep(100)
                case "anyio sleep":
                    await anyio.sleep(100)
                case "call":
                    await attempt.call(request("c"), None)
                case "timed call":
                    await attempt.call(request("c"), 5)
                case "promise":
                    await attempt.promise_value("p")
                case "attach":
                    await attempt.attach("inv_other", None)
                case "signal":
                    await attempt.signal("s")
                case _:
                    await attempt.awakeable()[1]
        except Cancelled:
            failed.append(name)

    kinds = ["sleep", "call", "promise", "awakeable", "signal", "anyio sleep", "attach", "timed call"]

    async def main(attempt: DurableAttempt) -> bytes:
        await asyncio.gather(*(wait(attempt, kind) for kind in kinds))
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        assert output_of(driven.cancel()) == b"end"
        assert failed == kinds

    within_loop(test)


def test_rule_14_an_undo_runs_normally_and_the_failure_is_cancelled() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        try:
            await attempt.call(request("book"), None)
        except Cancelled:
            await step(attempt, "undo")
            await asyncio.sleep(5)
            raise
        return b""

    async def test() -> None:
        driven = Driven(main)
        assert driven.cancel() is None
        assert driven.hints == [("cancel_call", 0), ("discard", 0)]
        assert driven.deliver(1, b"") is None
        assert failure_of(driven.deliver(2)) == (409, "cancelled")

    within_loop(test)


def test_rule_14_only_calls_that_were_waited_for_are_cancelled_too() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        await attempt.send(request("sent"), 0)
        with contextlib.suppress(TimeoutError):
            await attempt.call(request("abandoned"), 1)
        with contextlib.suppress(Cancelled):
            await attempt.call(request("outstanding"), None)
        return b""

    async def test() -> None:
        driven = Driven(main)
        driven.deliver(1)
        driven.cancel()
        assert [hint for hint in driven.hints if hint[0] == "cancel_call"] == [("cancel_call", 3)]

    within_loop(test)


def test_rule_14_a_step_stops_and_settles_before_the_task_learns_of_the_cancellation() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with pytest.raises(Cancelled):
            await step(attempt, "pay")
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        assert driven.cancel() is None
        assert driven.hints == [("stop_step", 0)]
        assert output_of(driven.deliver(0, b"paid")) == b"end"

    within_loop(test)


def test_rule_14_a_second_cancel_does_not_reach_a_shielded_undo() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        try:
            await attempt.call(request("book"), None)
        except Cancelled:
            with attempt.shielded():
                await asyncio.gather(attempt.call(request("undo"), None), asyncio.sleep(5))
            raise
        return b""

    async def test() -> None:
        driven = Driven(main)
        driven.cancel()
        assert driven.cancel() is None
        assert [hint for hint in driven.hints if hint[0] == "cancel_call"] == [("cancel_call", 0)]
        driven.deliver(1, b"")
        assert failure_of(driven.deliver(2)) == (409, "cancelled")

    within_loop(test)


def test_rule_14_a_cancel_that_finds_nobody_fails_the_next_durable_wait() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with attempt.shielded():
            await attempt.call(request("shielded"), None)
        with pytest.raises(Cancelled):
            await step(attempt, "never issued")
        await step(attempt, "after")
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        assert driven.cancel() is None
        assert driven.deliver(0, b"") is None
        assert driven.asked == ["call Peer/shielded b''", "run after"]
        assert output_of(driven.deliver(1, b"")) == b"end"

    within_loop(test)


@pytest.mark.parametrize("kind", ["sleep", "get", "call", "awakeable", "signal", "promise", "attach", "timed call"])
def test_rule_14_the_next_wait_may_be_of_any_kind(kind: str) -> None:
    async def wait(attempt: DurableAttempt) -> None:
        match kind:
            case "sleep":
                await asyncio.sleep(5)
            case "get":
                await attempt.get_state("a")
            case "call":
                await attempt.call(request("c"), None)
            case "timed call":
                await attempt.call(request("c"), 5)
            case "awakeable":
                await attempt.awakeable()[1]
            case "signal":
                await attempt.signal("s")
            case "promise":
                await attempt.promise_value("p")
            case _:
                await attempt.attach("inv_other", None)

    async def main(attempt: DurableAttempt) -> bytes:
        with attempt.shielded():
            await step(attempt, "shielded")
        with pytest.raises(Cancelled):
            await wait(attempt)
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        driven.cancel()
        assert output_of(driven.deliver(0, b"")) == b"end"

    within_loop(test)


def test_rule_14_tasks_made_in_a_shield_keep_it_and_others_do_not_get_it() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with attempt.shielded():
            inside = asyncio.create_task(attempt.call(request("inside"), None))
        outside = asyncio.create_task(attempt.call(request("outside"), None))
        await asyncio.wait([inside, outside])
        assert isinstance(outside.exception(), Cancelled)
        return inside.result()

    async def test() -> None:
        driven = Driven(main)
        assert driven.cancel() is None
        assert output_of(driven.deliver(0, b"kept")) == b"kept"

    within_loop(test)


def test_rule_14_a_timeout_around_a_cancelled_wait_goes_on_with_the_cancellation() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        async with asyncio.timeout(5):
            await attempt.call(request("c"), None)
        return b""

    async def test() -> None:
        assert failure_of(Driven(main).cancel()) == (409, "cancelled")

    within_loop(test)


def test_rule_14_a_cancelled_error_after_a_cancel_is_the_cancellation() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        try:
            await attempt.call(request("c"), None)
        except Cancelled:
            raise asyncio.CancelledError from None
        return b""

    async def test() -> None:
        assert failure_of(Driven(main).cancel()) == (409, "cancelled")

    within_loop(test)


def test_rule_14_a_group_fails_as_cancelled() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(attempt.call(request(name), None))
        return b""

    async def test() -> None:
        assert failure_of(Driven(main).cancel()) == (409, "cancelled")

    within_loop(test)
