"""Rules 11 and 12: a step has its own life, and no undo overtakes it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import anyio
import pytest

from restate_patterns import limits
from restate_patterns.errors import ContextError, StepFailed, TerminalError
from restate_patterns.execution import steps
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.execution.steps import StepRunner, in_thread
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import StepExhausted, ValueOrFailure
from restate_patterns.values.failures import from_failure
from tests.support.engines.attempts import Driven, output_of, run, step, within_loop
from tests.support.engines.memory_backend import START_MS, World, _Progress
from tests.support.engines.memory_host import run_to_end, settle

_TWICE = RetryPolicy(max_attempts=2, then="fail")


class DeclinedError(TerminalError, code=402):
    """declined"""


async def _run_step(options: Step, action: Callable[[], Awaitable[bytes]]) -> tuple[ValueOrFailure, list[float]]:
    """Run a step alone in virtual time; give its result and when, in milliseconds, each try began."""
    world = World(lambda attempt: attempt.main())  # type: ignore[attr-defined]  # never started
    began: list[float] = []

    async def tried() -> bytes:
        began.append(world.clock.monotonic_ms() - START_MS)
        return await action()

    task = asyncio.ensure_future(StepRunner(options, tried)(_Progress(world, 0)))
    while not task.done():
        await settle()
        due_ms = world.clock.next_ms()
        if due_ms is not None:
            world.clock.step_to(due_ms)
    return await task, began


def test_rule_11_a_failing_action_is_tried_again_inside_its_step_with_growing_waits() -> None:
    tries = iter([OSError(), OSError(), OSError(), None])

    async def flaky() -> bytes:
        if error := next(tries):
            raise error
        return b"at last"

    async def test() -> None:
        result, began = await _run_step(Step("flaky"), flaky)
        assert result == ValueOrFailure(b"at last", None)
        assert began == [0, 50, 150, 350]

    within_loop(test)


def test_rule_11_a_flaky_step_does_not_restart_its_healthy_sibling() -> None:
    tries: dict[str, int] = {"flaky": 0, "healthy": 0}
    attempts: list[int] = []

    async def flaky() -> bytes:
        tries["flaky"] += 1
        if tries["flaky"] < 8:
            raise OSError
        return b"ok"

    async def healthy() -> bytes:
        tries["healthy"] += 1
        return b"ok"

    async def main(attempt: DurableAttempt) -> bytes:
        attempts.append(1)
        await asyncio.gather(step(attempt, "a", flaky), step(attempt, "b", healthy))
        return b""

    output_of(run(main))
    assert tries == {"flaky": 8, "healthy": 1}
    assert len(attempts) == 1


def test_rule_11_the_next_attempt_adopts_an_action_that_still_runs() -> None:
    started: list[str] = []

    async def main(attempt: DurableAttempt) -> bytes:
        return (await step(attempt, "slow", slow)).encode()

    async def test() -> None:
        world.append(World(main))
        output_of(await run_to_end(world[0], suspend_chance=1.0))
        assert started == ["once"]

    async def slow() -> bytes:
        started.append("once")
        await world[0].clock.sleep(50)
        return b"ok"

    world: list[World] = []
    within_loop(test)


def test_rule_11_a_terminal_error_is_the_result() -> None:
    async def declined() -> bytes:
        raise DeclinedError

    async def test() -> None:
        result, began = await _run_step(Step("pay"), declined)
        assert result.failure is not None
        assert isinstance(from_failure(result.failure), DeclinedError)
        assert began == [0]

    within_loop(test)


def test_rule_11_used_up_tries_fail_when_the_policy_says_so() -> None:
    async def down() -> bytes:
        raise OSError("down")

    async def test() -> None:
        result, began = await _run_step(Step("pay", retry=_TWICE), down)
        assert result.failure is not None
        error = from_failure(result.failure)
        assert isinstance(error, StepFailed)
        assert (error.step, error.cause) == ("pay", "OSError: down")
        assert len(began) == 2

    within_loop(test)


def test_rule_11_used_up_tries_pause_by_default() -> None:
    async def down() -> bytes:
        raise OSError("down")

    async def test() -> None:
        with pytest.raises(StepExhausted) as caught:
            await _run_step(Step("pay", retry=RetryPolicy(max_attempts=1)), down)
        assert caught.value.step == "pay"
        assert isinstance(caught.value.cause, OSError)

    within_loop(test)


def test_rule_11_a_bug_in_an_action_is_not_tried_again() -> None:
    async def bug() -> bytes:
        raise ContextError("a context in an action")

    async def test() -> None:
        with pytest.raises(StepExhausted, match="a context in an action"):
            await _run_step(Step("pay"), bug)

    within_loop(test)


def test_rule_11_a_try_over_its_timeout_counts_as_failed() -> None:
    hung: list[asyncio.Future[bytes]] = []

    async def hangs_once() -> bytes:
        if hung:
            return b"ok"
        hung.append(asyncio.get_running_loop().create_future())
        return await hung[0]

    async def test() -> None:
        result, began = await _run_step(Step("pay", timeout=timedelta(seconds=2)), hangs_once)
        assert result == ValueOrFailure(b"ok", None)
        assert began == [0, 2050]
        assert hung[0].cancelled()

    within_loop(test)


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
def test_rule_11_a_cancellation_or_an_exit_that_the_action_made_itself_is_a_failed_try(
    error: type[BaseException],
) -> None:
    errors = [error()]

    async def clumsy() -> bytes:
        if errors:
            raise errors.pop()
        return b"ok"

    async def test() -> None:
        result, began = await _run_step(Step("pay"), clumsy)
        assert result == ValueOrFailure(b"ok", None)
        assert len(began) == 2

    within_loop(test)


def test_rule_13_a_group_of_terminal_errors_ends_a_step_too() -> None:
    async def declined() -> bytes:
        raise ExceptionGroup("both", [DeclinedError(), DeclinedError()])

    async def test() -> None:
        result, _ = await _run_step(Step("pay"), declined)
        assert result.failure is not None
        assert result.failure.code == 402

    within_loop(test)


@pytest.mark.parametrize("kind", ["task", "timeout", "scope", "task group", "anyio group", "invocation"])
def test_rule_12_a_wait_on_a_step_ends_only_when_the_step_has_ended(kind: str) -> None:
    undone: list[str] = []

    async def pay(attempt: DurableAttempt) -> None:
        try:
            await step(attempt, "pay")
        except BaseException:
            undone.append("refund")
            raise

    async def fail(attempt: DurableAttempt) -> None:
        await step(attempt, "trigger")
        raise DeclinedError

    async def main(attempt: DurableAttempt) -> bytes:
        match kind:
            case "task":
                task = asyncio.create_task(pay(attempt))
                await step(attempt, "trigger")
                task.cancel()
                await asyncio.wait([task])
            case "timeout":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1):
                        await pay(attempt)
            case "scope":
                with anyio.move_on_after(1):
                    await pay(attempt)
            case "task group":
                with contextlib.suppress(ExceptionGroup):
                    async with asyncio.TaskGroup() as group:
                        group.create_task(fail(attempt))
                        group.create_task(pay(attempt))
            case "anyio group":
                with contextlib.suppress(ExceptionGroup):
                    async with anyio.create_task_group() as anyio_group:
                        anyio_group.start_soon(fail, attempt)
                        anyio_group.start_soon(pay, attempt)
            case _:
                await pay(attempt)
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        paying = driven.asked.index("run pay")
        if kind == "invocation":
            driven.cancel()
        else:
            driven.deliver(1 - paying, b"")
        assert driven.hints == [("stop_step", paying)]
        assert undone == []
        assert driven.end is None
        driven.deliver(paying, b"paid after all")
        assert undone == ["refund"]
        assert driven.end is not None

    within_loop(test)


def test_rule_12_cancelling_again_asks_once_and_ends_once() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        task = asyncio.create_task(step(attempt, "pay"))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        assert driven.hints == [("stop_step", 0)]
        assert output_of(driven.deliver(0, b"")) == b"end"

    within_loop(test)


def test_rule_12_a_stopped_action_is_not_tried_again() -> None:
    tries: list[int] = []

    async def test() -> None:
        async def clumsy() -> bytes:
            tries.append(1)
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                raise OSError("broken off") from None
            return b""

        world = World(lambda attempt: attempt.main())  # type: ignore[attr-defined]  # never started
        task = asyncio.ensure_future(StepRunner(Step("pay"), clumsy)(_Progress(world, 0)))
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tries == [1]

    within_loop(test)


def test_rule_12_a_thread_is_waited_for_and_its_outcome_counts() -> None:
    running, finish = threading.Event(), threading.Event()

    def block() -> bytes:
        running.set()
        finish.wait(10)
        return b"charged"

    async def test() -> None:
        task = asyncio.ensure_future(in_thread(block))
        while not running.is_set():
            await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await settle()
        assert not task.done()
        finish.set()
        assert await task == b"charged"

    within_loop(test)


def test_rule_12_a_thread_that_does_not_end_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "THREAD_STOP_WARNING_S", 0.01)
    running, finish = threading.Event(), threading.Event()

    def block() -> None:
        running.set()
        finish.wait(10)

    async def test() -> None:
        task = asyncio.ensure_future(in_thread(block))
        while not running.is_set():
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert caplog.messages == []
        task.cancel()
        while not caplog.messages:
            await asyncio.sleep(0.001)
        finish.set()
        await task
        assert len(caplog.messages) == 1
        assert "block was asked to stop and still runs in its thread" in caplog.messages[0]

    within_loop(test)


def test_rule_12_a_function_that_no_thread_has_begun_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, finish = threading.Event(), threading.Event()
    ran: list[str] = []

    def block() -> None:
        busy.set()
        finish.wait(10)

    async def test() -> None:
        with ThreadPoolExecutor(1) as threads:
            monkeypatch.setattr(steps, "_threads", lambda: threads)
            first = asyncio.ensure_future(in_thread(block))
            second = asyncio.ensure_future(in_thread(ran.append, "second"))
            while not busy.is_set():
                await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            finish.set()
            await first
        assert ran == []

    within_loop(test)


def test_rule_12_the_error_of_a_thread_is_the_action_s() -> None:
    def fail() -> bytes:
        raise ZeroDivisionError

    async def test() -> None:
        with pytest.raises(ZeroDivisionError):
            await in_thread(fail)
        began = time.monotonic()
        assert await in_thread(lambda: b"ok") == b"ok"
        assert time.monotonic() >= began

    within_loop(test)


def test_rule_12_a_step_not_yet_started_is_not_run() -> None:
    ran: list[str] = []

    async def effect() -> bytes:
        ran.append("yes")
        return b""

    async def main(attempt: DurableAttempt) -> bytes:
        task = asyncio.create_task(step(attempt, "pay", effect))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return b"end"

    assert output_of(run(main)) == b"end"
    assert ran == []
