"""Calls that are cancelled with the wait for them, which then ends when the callee has."""

from __future__ import annotations

import asyncio

import pytest

from restate_patterns.errors import Cancelled
from restate_patterns.execution.attempt import DurableAttempt
from tests.support.engines.attempts import START_MS, Driven, failure_of, output_of, request, step, within_loop


def test_a_cancelled_wait_asks_the_callee_to_cancel_and_waits_for_its_end() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await attempt.call(request("slow"), None, stops=True)
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        assert driven.deliver(0) is None
        assert driven.asked == [f"sleep timeout {START_MS + 1000}", "call Peer/slow b''", "stop_call of 1"]
        assert output_of(driven.deliver(1, b"late")) == b"end"

    within_loop(test)


def test_its_own_time_is_such_a_cancellation() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with pytest.raises(TimeoutError):
            await attempt.call(request("slow"), 1, stops=True)
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        assert driven.deliver(0) is None
        assert driven.asked[-1] == "stop_call of 1"
        assert output_of(driven.deliver(1, b"late")) == b"end"

    within_loop(test)


def test_it_is_asked_once_however_often_it_is_cancelled() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        call = asyncio.ensure_future(attempt.call(request("slow"), None, stops=True))
        await step(attempt, "first")
        call.cancel()
        await step(attempt, "second")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        driven.deliver(0, b"")
        driven.deliver(3, b"")
        assert [asked for asked in driven.asked if asked.startswith("stop")] == ["stop_call of 1"]
        assert output_of(driven.deliver(1, b"late")) == b"end"

    within_loop(test)


def test_a_cancel_of_the_invocation_cancels_the_callee_and_waits_for_its_end() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        try:
            await attempt.call(request("slow"), None, stops=True)
        except Cancelled:
            await step(attempt, "undo")
            raise
        return b""

    async def test() -> None:
        driven = Driven(main)
        assert driven.cancel() is None
        assert driven.hints == [("cancel_call", 0)]
        assert len(driven.asked) == 1
        assert driven.deliver(0, b"late") is None
        assert failure_of(driven.deliver(1)) == (409, "cancelled")

    within_loop(test)


def test_one_that_ends_by_itself_is_a_call_like_any_other() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        return await attempt.call(request("quick"), 5, stops=True)

    async def test() -> None:
        driven = Driven(main)
        assert output_of(driven.deliver(1, b"done")) == b"done"
        assert driven.asked == [f"sleep timeout {START_MS + 5000}", "call Peer/quick b''"]

    within_loop(test)
