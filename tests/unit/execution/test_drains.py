"""Rules 4, 5 and 10: a drain is bounded, nothing foreign wakes it, and many operations cost linear time."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import pytest

from restate_patterns import limits
from restate_patterns.errors import AttemptSpins, ContextError, NotDurable
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import Crashed
from tests.support.attempts import Driven, act, first_drain, output_of, request, run, step, stuck_with, within_loop
from tests.support.memory_backend import World, run_to_end


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


def test_rule_05_a_lock_shared_between_attempts_is_named_by_who_wakes_it() -> None:
    lock = asyncio.Lock()

    async def holder(attempt: DurableAttempt) -> bytes:
        async with lock:
            await step(attempt, "hold")
        return b""

    async def waiter(attempt: DurableAttempt) -> bytes:
        async def wait() -> None:
            async with lock:
                pass

        await asyncio.gather(wait(), asyncio.sleep(1000))
        return b""

    async def test() -> None:
        first, second = Driven(holder), Driven(waiter)
        assert second.end is None
        error = stuck_with(first.deliver(0, b""))
        assert isinstance(error, NotDurable)
        assert "asyncio.locks.Lock" in str(error)
        assert "shared between invocations" in str(error)
        second.attempt.close()

    within_loop(test)


def test_rule_05_waiting_for_nothing_durable_is_stuck_and_says_where() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        await asyncio.Event().wait()
        return b""

    error = stuck_with(first_drain(main))
    assert isinstance(error, NotDurable)
    assert f"{__file__}:{main.__code__.co_firstlineno + 1} in main" in str(error)
    assert "ctx.run" in str(error)


def test_rule_05_an_awakeable_that_nobody_awaits_is_nothing_to_wait_for() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        attempt.awakeable()
        await asyncio.Event().wait()
        return b""

    assert isinstance(stuck_with(first_drain(main)), NotDurable)


async def _thread() -> None:
    await asyncio.to_thread(time.monotonic)


async def _anyio_thread() -> None:
    await anyio.to_thread.run_sync(time.monotonic)


async def _socket() -> None:
    await asyncio.open_connection("127.0.0.1", 9)


async def _server() -> None:
    await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)


async def _subprocess() -> None:
    await asyncio.create_subprocess_exec(sys.executable, "-V")


async def _names() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 1)


async def _signals() -> None:
    asyncio.get_running_loop().add_signal_handler(1, print)


@pytest.mark.parametrize("reach", [_thread, _anyio_thread, _socket, _server, _subprocess, _names, _signals])
def test_rule_05_reaching_outside_says_wrap_it_in_run(reach: Callable[[], Coroutine[Any, Any, None]]) -> None:
    before = set(threading.enumerate())

    async def main(attempt: DurableAttempt) -> bytes:
        await reach()
        return b""

    error = stuck_with(first_drain(main))
    assert isinstance(error, NotDurable)
    assert "ctx.run" in str(error)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_rule_05_awaiting_a_future_of_the_loop_outside_says_wrap_it_in_run() -> None:
    async def test() -> None:
        outside = asyncio.get_running_loop().create_future()

        async def main(attempt: DurableAttempt) -> bytes:
            await outside
            return b""

        error = stuck_with(Driven(main).end)
        assert isinstance(error, NotDurable)
        assert "belongs to the event loop outside" in str(error)

    within_loop(test)


def test_rule_05_a_context_in_the_action_of_its_own_step_raises_and_the_step_does_not_go_on() -> None:
    raised: list[BaseException] = []

    async def main(attempt: DurableAttempt) -> bytes:
        async def act_inside() -> bytes:
            for use in (attempt.now_ms, lambda: attempt.random.random(), lambda: attempt.set_state("a", b"")):
                try:
                    use()
                except ContextError as error:
                    raised.append(error)
            return b""

        return await attempt.run(Step("inside"), b"", act_inside)

    output_of(run(main))
    assert len(raised) == 3


def test_rule_05_a_context_or_its_random_in_another_attempt_raises() -> None:
    async def test() -> None:
        contexts: list[DurableAttempt] = []

        async def first(attempt: DurableAttempt) -> bytes:
            contexts.append(attempt)
            attempt.random.random()
            return (await step(attempt, "wait")).encode()

        async def second(attempt: DurableAttempt) -> bytes:
            with pytest.raises(ContextError):
                contexts[0].random.randrange(5)
            with pytest.raises(ContextError):
                await contexts[0].get_state("a")
            with pytest.raises(ContextError):
                contexts[0].random.shuffle([1, 2, 3])
            return b"refused"

        driven = Driven(first)
        assert output_of(Driven(second).end) == b"refused"
        driven.attempt.close()

    within_loop(test)


def test_rule_05_actions_run_in_the_context_variables_of_where_they_were_asked_for() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")

    async def main(attempt: DurableAttempt) -> bytes:
        async def branch(name: str) -> str:
            tenant.set(name)
            return await step(attempt, "who", who)

        return ",".join(await asyncio.gather(branch("a"), branch("b"))).encode()

    async def who() -> bytes:
        return tenant.get().encode()

    assert output_of(run(main)) == b"a,b"
    assert tenant.get() == "nobody"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["main", "task", "callback"])
def test_rule_05_exits_raised_by_a_handler_fail_the_attempt_only(error: type[BaseException], where: str) -> None:
    async def leave() -> None:
        raise error

    def leave_now() -> None:
        raise error

    async def main(attempt: DurableAttempt) -> bytes:
        match where:
            case "main":
                raise error
            case "task":
                await asyncio.gather(leave(), step(attempt, "a"))
            case _:
                asyncio.get_running_loop().call_soon(leave_now)
                await step(attempt, "a")
        return b""

    end = first_drain(main)
    assert isinstance(end, Crashed)
    assert isinstance(end.error, error)


def test_rule_05_an_error_in_a_callback_is_not_lost() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        def fail(_task: object) -> None:
            raise ZeroDivisionError

        asyncio.create_task(asyncio.sleep(0)).add_done_callback(fail)
        await step(attempt, "a")
        return b""

    end = first_drain(main)
    assert isinstance(end, Crashed)
    assert isinstance(end.error, ZeroDivisionError)


def test_rule_05_the_error_of_a_task_that_nobody_awaited_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("lost")

    async def main(attempt: DurableAttempt) -> bytes:
        task = asyncio.create_task(fail())
        awaited = asyncio.create_task(fail())
        await step(attempt, "a")
        with pytest.raises(ZeroDivisionError):
            await awaited
        return task.get_name().encode()

    name = output_of(run(main)).decode()
    assert [record.getMessage() for record in caplog.records] == [
        f"Test/handler: a task failed and nobody awaited it: {name}"
    ]


def test_rule_05_a_handler_that_can_not_even_be_made_fails_its_attempt_only() -> None:
    def main(attempt: DurableAttempt) -> Coroutine[Any, Any, bytes]:
        raise ZeroDivisionError

    end = first_drain(main)
    assert isinstance(end, Crashed)
    assert isinstance(end.error, ZeroDivisionError)


def test_rule_05_random_is_a_function_of_the_invocation() -> None:
    drawn: list[list[float]] = []

    async def main(attempt: DurableAttempt) -> bytes:
        dice = attempt.random
        drawn.append(
            [dice.random(), dice.randrange(1000), dice.gauss(0, 1), dice.getrandbits(70), dice.choice([1, 2, 3])]
        )
        await step(attempt, "a")
        return b""

    async def go(random_seed: int) -> None:
        output_of(await run_to_end(World(main, random_seed=random_seed), suspend_chance=1.0))

    asyncio.run(go(1))
    asyncio.run(go(2))
    assert drawn[0] == drawn[1]
    assert drawn[-1] != drawn[0]
    assert isinstance(random.Random(), random.Random)


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
