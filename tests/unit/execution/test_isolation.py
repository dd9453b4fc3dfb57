"""Rule 5: nothing foreign wakes an attempt, and nothing of it is used outside."""

from __future__ import annotations

import asyncio
import contextvars
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import pytest

from restate_patterns.errors import ContextError, NotDurable
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import Crashed
from tests.support.engines.attempts import Driven, first_drain, output_of, run, step, stuck_with, within_loop
from tests.support.engines.memory_backend import World
from tests.support.engines.memory_host import run_to_end


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
