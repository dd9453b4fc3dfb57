"""Rules 4 and 10: a drain is bounded, and many operations cost linear time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import pytest

from restate_patterns import limits
from restate_patterns.errors import AttemptSpins
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from tests.support.engines.attempts import Driven, act, first_drain, output_of, request, step, stuck_with, within_loop


def test_rule_04_a_handler_that_spins_is_stuck_and_the_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAIN_CALLBACKS_MAX", 1000)

    async def main(attempt: DurableAttempt) -> bytes:
        while True:
            await asyncio.sleep(0)  # the line

    error = stuck_with(first_drain(main))
    assert isinstance(error, AttemptSpins)
    assert f"{__file__}:{main.__code__.co_firstlineno + 2} in main" in str(error)


def test_rule_04_a_callback_that_schedules_itself_is_parked_until_the_next_completion() -> None:
    ticks: list[int] = []

    async def main(attempt: DurableAttempt) -> bytes:
        loop = asyncio.get_running_loop()

        def tick() -> None:
            ticks.append(len(ticks))
            loop.call_soon(tick)

        loop.call_soon(tick)
        for name in "abcd":
            await step(attempt, name)
        return b""

    async def test() -> None:
        driven = Driven(main)
        counts = [len(ticks)]
        for handle in range(4):
            driven.deliver(handle, b"")
            counts.append(len(ticks))
        output_of(driven.end)
        assert all(later > earlier for earlier, later in itertools.pairwise(counts[:-1]))
        assert counts[-1] <= 5 * limits.CANCEL_REDELIVERIES_MAX

    within_loop(test)


def test_rule_04_a_cancelled_anyio_scope_over_a_step_does_not_spin() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        with anyio.move_on_after(1):
            async with asyncio.TaskGroup() as group:
                group.create_task(step(attempt, "slow"))
        return b"moved on"

    async def test() -> None:
        driven = Driven(main)
        assert driven.asked[0].startswith("sleep timeout")
        assert driven.deliver(0) is None
        assert ("stop_step", 1) in driven.hints
        assert output_of(driven.deliver(1, b"late")) == b"moved on"

    within_loop(test)


def test_rule_04_an_anyio_cancellation_reaches_waits_that_follow_in_the_same_drain() -> None:
    reached: list[str] = []

    async def main(attempt: DurableAttempt) -> bytes:
        with anyio.CancelScope() as scope:
            scope.cancel()
            for name in "abc":
                try:
                    await anyio.sleep(5)
                except asyncio.CancelledError:
                    reached.append(name)
        return b"end"

    assert output_of(first_drain(main)) == b"end"
    assert reached == ["a", "b", "c"]


def _calls_per_operation(
    count: int, main: Callable[[int], Callable[[DurableAttempt], Coroutine[Any, Any, bytes]]]
) -> float:
    """Count the function calls, of Python and of C, that each of `count` outstanding operations costs."""
    calls: list[int] = [0]

    def profile(_frame: object, event: str, _arg: object) -> None:
        if event in ("call", "c_call"):
            calls[0] += 1

    async def test() -> None:
        driven = Driven(main(count))
        handles = list(range(count))
        random.Random(count).shuffle(handles)
        sys.setprofile(profile)
        try:
            for handle in handles:
                if driven.deliver(handle, b"") is not None:
                    break
        finally:
            sys.setprofile(None)
        output_of(driven.end)

    within_loop(test)
    return calls[0] / count


@pytest.mark.parametrize("kind", ["gather", "task group", "anyio group", "awakeables"])
def test_rule_10_outstanding_operations_cost_linear_time(kind: str) -> None:
    def main_of(count: int) -> Callable[[DurableAttempt], Coroutine[Any, Any, bytes]]:
        async def main(attempt: DurableAttempt) -> bytes:
            match kind:
                case "gather":
                    await asyncio.gather(*(attempt.run(Step("s"), b"", act) for _ in range(count)))
                case "task group":
                    async with asyncio.TaskGroup() as group:
                        for _ in range(count):
                            group.create_task(attempt.call(request("c"), None))
                case "anyio group":
                    async with anyio.create_task_group() as anyio_group:
                        for _ in range(count):
                            anyio_group.start_soon(attempt.call, request("c"), None)
                case _:
                    awakeables = [attempt.awakeable()[1] for _ in range(count)]
                    for awakeable in reversed(awakeables):
                        await awakeable
            return b""

        return main

    few, many = _calls_per_operation(100, main_of), _calls_per_operation(3_000, main_of)
    assert many < 1.5 * few


def test_rule_10_awaited_gives_handles_in_order_of_issue() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        attempt.awakeable()
        _, awaited = attempt.awakeable()

        async def wait() -> bytes:
            return await awaited

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(step(attempt, "a"), wait(), asyncio.sleep(9), attempt.call(request("c"), None))
        return b""

    async def test() -> None:
        driven = Driven(main)
        assert [driven.asked[handle].split()[0] for handle in driven.attempt.awaited()] == [
            "awakeable",
            "sleep",
            "run",
            "sleep",
            "call",
        ]
        assert list(driven.attempt.awaited()) == [1, 2, 3, 4, 5]
        driven.deliver(2)
        assert list(driven.attempt.awaited()) == [3]
        driven.attempt.close()

    within_loop(test)
