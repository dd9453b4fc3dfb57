"""Rule 2: dropping an attempt runs no user code outside it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from restate_patterns.errors import AttemptSealed, ContextError, TerminalError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.seam import Crashed
from tests.support.engines.attempts import Driven, output_of, request, step, within_loop
from tests.support.engines.memory_backend import Main


def drop(main: Main, *deliver: int) -> Driven:
    """Start an attempt, deliver some completions, drop it, and give it."""
    dropped: list[Driven] = []

    async def test() -> None:
        driven = Driven(main)
        for handle in deliver:
            driven.deliver(handle, b"")
        driven.attempt.close()
        dropped.append(driven)

    within_loop(test)
    gc.collect()
    return dropped[0]


def test_rule_02_primitives_of_a_dropped_attempt_raise_and_append_nothing() -> None:
    raised: list[BaseException] = []

    async def main(attempt: DurableAttempt) -> bytes:
        asked = [attempt.signal("known")]
        try:
            await step(attempt, "first")
        finally:
            for use in (
                lambda: attempt.set_state("a", b""),
                attempt.now_ms,
                attempt.awakeable,
                lambda: attempt.signal("new"),
                lambda: asked.append(attempt.signal("known")),
                attempt.clear_all_state,
            ):
                try:
                    use()
                except BaseException as error:  # noqa: BLE001 - what a finally block may get
                    raised.append(error)
            try:
                await attempt.call(request("undo"), None)
            except BaseException as error:  # noqa: BLE001 - what a finally block may get
                raised.append(error)
        return b""

    driven = drop(main)
    assert [type(error) for error in raised] == [AttemptSealed] * 7
    assert driven.asked == ["signal known", "run first"]
    assert driven.hints == []


def test_rule_02_coroutines_are_closed_in_creation_order_inside_their_own_loop_and_task() -> None:
    closed: list[tuple[int, bool, bool]] = []
    marker: contextvars.ContextVar[int] = contextvars.ContextVar("marker", default=-1)

    async def wait(number: int, loop: asyncio.AbstractEventLoop) -> None:
        token = marker.set(number)
        task = asyncio.current_task()
        try:
            await asyncio.sleep(1000)
        finally:
            closed.append((marker.get(), asyncio.get_running_loop() is loop, asyncio.current_task() is task))
            marker.reset(token)

    async def main(attempt: DurableAttempt) -> bytes:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(wait(number, loop)) for number in range(10)]
        await asyncio.wait(tasks)
        return b""

    drop(main)
    assert closed == [(number, True, True) for number in range(10)]


def test_rule_02_except_exception_does_not_see_the_drop() -> None:
    compensated: list[str] = []

    async def main(attempt: DurableAttempt) -> bytes:
        try:
            await step(attempt, "charge")
        except Exception:  # noqa: BLE001 - as users write compensations
            compensated.append("refund")
        return b""

    drop(main)
    assert compensated == []


def test_rule_02_a_cleanup_that_waits_again_is_unwound_too() -> None:
    reached: list[str] = []

    async def main(attempt: DurableAttempt) -> bytes:
        try:
            await step(attempt, "first")
        finally:
            reached.append("outer")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                reached.append("inner")
        return b""

    drop(main)
    assert reached == ["outer", "inner"]


@pytest.mark.parametrize("kind", ["task group", "anyio group", "gather", "timeout", "scope", "wait_for", "shield"])
def test_rule_02_whatever_waits_is_unwound_without_a_word(
    kind: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    unwound: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            unwound.append(name)

    async def main(attempt: DurableAttempt) -> bytes:
        match kind:
            case "task group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(wait("a"))
                    group.create_task(wait("b"))
            case "anyio group":
                async with anyio.create_task_group() as anyio_group:
                    anyio_group.start_soon(wait, "a")
                    anyio_group.start_soon(wait, "b")
            case "gather":
                await asyncio.gather(wait("a"), wait("b"))
            case "timeout":
                async with asyncio.timeout(5):
                    await asyncio.gather(wait("a"), wait("b"))
            case "scope":
                with anyio.fail_after(5), anyio.CancelScope(shield=True):
                    await asyncio.gather(wait("a"), wait("b"))
            case "wait_for":
                await asyncio.gather(asyncio.wait_for(wait("a"), 5), asyncio.wait_for(wait("b"), 5))
            case _:
                await asyncio.gather(asyncio.shield(wait("a")), asyncio.shield(wait("b")))
        return b""

    drop(main)
    assert sorted(unwound) == ["a", "b"]
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


def test_rule_02_async_generators_are_closed_in_creation_order() -> None:
    closed: list[str] = []

    async def numbers(name: str) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(name)

    async def main(attempt: DurableAttempt) -> bytes:
        for name in "abc":
            async for _ in numbers(name):
                break
        gc.collect()
        assert closed == []
        await step(attempt, "wait")
        return b""

    drop(main)
    assert closed == ["a", "b", "c"]


def test_rule_02_a_generator_left_half_way_is_closed_when_the_handler_ends_and_may_wait() -> None:
    async def numbers(attempt: DurableAttempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await step(attempt, "cleanup")

    async def main(attempt: DurableAttempt) -> bytes:
        async for _ in numbers(attempt):
            break
        await step(attempt, "after")
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        assert driven.deliver(0, b"") is None
        assert driven.asked == ["run after", "run cleanup"]
        assert output_of(driven.deliver(1, b"")) == b"end"

    within_loop(test)


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), TerminalError("no")], ids=repr)
@pytest.mark.parametrize("dropped", [False, True])
def test_rule_02_a_cleanup_that_raises_does_not_skip_the_next(
    dropped: bool, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Each generator that was left half-way is cleaned up, whatever the one before it raised; the handler succeeds."""
    closed: list[str] = []

    async def numbers(name: str) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append(name)
            raise error

    async def main(attempt: DurableAttempt) -> bytes:
        for name in "abc":
            async for _ in numbers(name):
                break
        await step(attempt, "after")
        return b"end"

    async def test() -> None:
        driven = Driven(main)
        if dropped:
            driven.attempt.close()
        else:
            assert output_of(driven.deliver(0, b"")) == b"end"

    within_loop(test)
    assert closed == ["a", "b", "c"]
    assert len(caplog.records) == (0 if dropped else 3)


def test_rule_02_coroutines_never_started_are_closed_without_a_warning() -> None:
    async def cleanup(attempt: DurableAttempt, name: str) -> None:
        await step(attempt, name)

    async def main(attempt: DurableAttempt) -> bytes:
        try:
            await step(attempt, "first")
        finally:
            await asyncio.gather(cleanup(attempt, "a"), cleanup(attempt, "b"))
        return b""

    assert drop(main).asked == ["run first"]


def test_rule_02_a_coroutine_that_catches_everything_for_ever_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        for _ in range(101):  # one more than it is thrown out of
            try:
                await asyncio.get_running_loop().create_future()
            except BaseException:  # noqa: BLE001 - the fault that the test is about
                pass
        return b""

    async def outer(attempt: DurableAttempt) -> bytes:
        stubborn = asyncio.create_task(main(attempt))
        await step(attempt, "wait")
        return await stubborn

    drop(outer)
    assert "catches BaseException in a loop" in caplog.text


def test_rule_02_a_dropped_step_is_not_asked_to_stop() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        async with asyncio.TaskGroup() as group:
            group.create_task(step(attempt, "a"))
            group.create_task(step(attempt, "b"))
        return b""

    assert drop(main).hints == []


def test_rule_02_a_failed_attempt_is_dropped_at_once() -> None:
    closed: list[str] = []

    async def wait(attempt: DurableAttempt) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            attempt.set_state("cleaned", b"by a task of a failed attempt")
        finally:
            closed.append("yes")

    async def main(attempt: DurableAttempt) -> bytes:
        background = asyncio.create_task(wait(attempt))
        await asyncio.sleep(0)
        await step(attempt, "first")
        raise OSError(f"weather {background.get_name()}")

    async def test() -> None:
        driven = Driven(main)
        assert isinstance(driven.deliver(1, b""), Crashed)
        assert closed == ["yes"]
        assert all(not asked.startswith("set") for asked in driven.asked)

    within_loop(test)


def test_rule_02_nothing_of_a_dropped_attempt_stays_in_memory() -> None:
    alive: list[weakref.ref[Any]] = []

    async def main(attempt: DurableAttempt) -> bytes:
        async with asyncio.TaskGroup() as group:
            alive.extend(weakref.ref(group.create_task(step(attempt, name))) for name in "abc")
        return b""

    async def test() -> None:
        gc.collect()
        gc.disable()
        try:
            for dropped in (True, False):
                driven = Driven(main)
                alive.append(weakref.ref(driven.attempt))
                alive.append(weakref.ref(driven.attempt._loop))
                if dropped:
                    driven.attempt.close()
                else:
                    for handle in range(3):
                        driven.deliver(handle, b"")
                driven.operations = None  # type: ignore[assignment]  # the driver lets go of everything
                del driven
            assert [reference() for reference in alive] == [None] * 10
        finally:
            gc.enable()

    within_loop(test)


def test_rule_02_nothing_can_be_delivered_to_an_attempt_that_is_over() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        return await attempt.run_nothing()  # type: ignore[attr-defined, no-any-return]  # fails on purpose

    async def test() -> None:
        driven = Driven(main)
        assert isinstance(driven.end, Crashed)
        with pytest.raises(RuntimeError, match="is over"):
            driven.deliver(0)
        driven.attempt.close()
        with pytest.raises(ContextError, match="after the handler had ended"):
            driven.attempt.now_ms()

    within_loop(test)
