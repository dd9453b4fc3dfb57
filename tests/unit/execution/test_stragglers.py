"""Rule 14: a cancel reaches those, too, who wait for nothing durable, once nothing durable can wake them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest

from restate_patterns.errors import Cancelled, NotDurable
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.seam import Crashed, MustPause
from tests.support.engines.attempts import Driven, failure_of, output_of, step, stuck_with, within_loop

Wait = Callable[[], Coroutine[Any, Any, object]]


async def _event() -> None:
    await asyncio.Event().wait()


async def _future() -> None:
    await asyncio.get_running_loop().create_future()


async def _queue() -> None:
    await asyncio.Queue[int]().get()


async def _full_queue() -> None:
    queue = asyncio.Queue[int](1)
    await queue.put(1)
    await queue.put(2)


async def _join() -> None:
    queue = asyncio.Queue[int]()
    await queue.put(1)
    await queue.join()


async def _lock() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    async with lock:
        pass


async def _semaphore() -> None:
    async with asyncio.Semaphore(0):
        pass


async def _condition() -> None:
    condition = asyncio.Condition()
    async with condition:
        await condition.wait()


async def _condition_for() -> None:
    condition = asyncio.Condition()
    async with condition:
        await condition.wait_for(lambda: False)


async def _barrier() -> None:
    await asyncio.Barrier(2).wait()


async def _anyio_event() -> None:
    await anyio.Event().wait()


async def _anyio_lock() -> None:
    lock = anyio.Lock()
    await asyncio.create_task(lock.acquire())
    async with lock:
        pass


async def _anyio_stream() -> None:
    _send, receive = anyio.create_memory_object_stream[int]()
    with _send, receive:
        await receive.receive()


async def _anyio_full_stream() -> None:
    send, _receive = anyio.create_memory_object_stream[int]()
    with send, _receive:
        await send.send(1)


async def _anyio_condition() -> None:
    condition = anyio.Condition()
    async with condition:
        await condition.wait()


async def _anyio_semaphore() -> None:
    async with anyio.Semaphore(0):
        pass


async def _anyio_limiter() -> None:
    limiter = anyio.CapacityLimiter(1)
    await limiter.acquire_on_behalf_of(1)
    async with limiter:
        pass


async def _timed_event() -> None:
    async with asyncio.timeout(3600):
        await asyncio.Event().wait()


async def _anyio_scope() -> None:
    with anyio.fail_after(3600):
        await anyio.Event().wait()


async def _wait_for() -> None:
    await asyncio.wait_for(asyncio.Event().wait(), 3600)


async def _wait_for_a_future() -> None:
    await asyncio.wait_for(asyncio.get_running_loop().create_future(), 3600)


async def _gather() -> None:
    await asyncio.gather(_event(), _event())


async def _gathered_futures() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(loop.create_future(), loop.create_future())


async def _wait() -> None:
    done, _ = await asyncio.wait([asyncio.create_task(_event())])
    for task in done:
        task.result()


async def _awaited_future_of_wait() -> None:
    await asyncio.wait([asyncio.get_running_loop().create_future()])


async def _as_completed() -> None:
    for first in asyncio.as_completed([asyncio.create_task(_event())]):
        await first


async def _task() -> None:
    await asyncio.create_task(_event())


async def _shield() -> None:
    await asyncio.shield(asyncio.create_task(_event()))


async def _callback() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()
    loop.call_later(3600, future.set_result, 1)
    await future


async def _group() -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_event())
            group.create_task(_queue())
    except* Cancelled as cancelled:
        raise cancelled.exceptions[0] from None


async def _anyio_group() -> None:
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_event)
            group.start_soon(_anyio_event)
    except* Cancelled as cancelled:
        raise cancelled.exceptions[0] from None


async def _deep() -> None:
    await asyncio.gather(asyncio.create_task(_task()), _group())


WAITS: list[Wait] = [
    _event, _future, _queue, _full_queue, _join, _lock, _semaphore, _condition, _condition_for, _barrier,
    _anyio_event, _anyio_lock, _anyio_stream, _anyio_full_stream, _anyio_condition, _anyio_semaphore, _anyio_limiter,
    _timed_event, _anyio_scope, _wait_for, _wait_for_a_future, _gather, _gathered_futures, _wait,
    _awaited_future_of_wait, _as_completed, _task, _shield, _callback, _group, _anyio_group, _deep,
]  # fmt: skip
each_wait = pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.__name__.lstrip("_"))


async def _undone_by(attempt: DurableAttempt, waiting: Awaitable[object]) -> bytes:
    try:
        await waiting
    except Cancelled:
        await step(attempt, "undo")
        raise
    return b"not cancelled"


@each_wait
def test_rule_14_a_wait_that_a_task_was_to_end_is_cancelled_once_that_task_is(wait: Wait) -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        feeding = asyncio.create_task(step(attempt, "feed"))
        try:
            return await _undone_by(attempt, wait())
        finally:
            feeding.cancel()

    async def test() -> None:
        driven = Driven(main)
        assert driven.cancel() is None
        assert driven.asked[-1] == "run feed"  # the step that feeds settles first
        assert driven.deliver(driven.asked.index("run feed"), b"") is None
        assert driven.asked[-1] == "run undo"
        assert failure_of(driven.deliver(len(driven.asked) - 1, b"")) == (409, "cancelled")

    within_loop(test)


@each_wait
def test_rule_14_so_is_one_that_nobody_was_to_end(wait: Wait) -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        return await _undone_by(attempt, wait())

    async def test() -> None:
        driven = Driven(main)
        if driven.end is None:
            assert driven.cancel() is None
            assert driven.asked[-1] == "run undo"
        else:
            assert isinstance(stuck_with(driven.end), NotDurable)

    within_loop(test)


def test_rule_14_a_cancel_that_waits_reaches_a_handler_that_waits_for_nothing() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        return await _undone_by(attempt, _event())

    async def test() -> None:
        driven = Driven(main)
        assert isinstance(driven.end, MustPause)
        driven.world.cancel()
        driven = Driven(main, driven.world)
        assert driven.end is None
        assert driven.cancel() is None
        assert driven.asked == ["run undo"]
        assert failure_of(driven.deliver(0, b"")) == (409, "cancelled")

    within_loop(test)


def test_rule_14_who_is_woken_on_the_way_out_is_left_alone() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        fed = asyncio.Event()

        async def feed() -> None:
            try:
                await asyncio.sleep(10)
            except Cancelled:
                await step(attempt, "clean up")
            finally:
                fed.set()

        feeding = asyncio.create_task(feed())
        await fed.wait()
        await feeding
        return b"woken"

    async def test() -> None:
        driven = Driven(main)
        assert driven.cancel() is None
        assert driven.asked[-1] == "run clean up"
        assert output_of(driven.deliver(1, b"")) == b"woken"

    within_loop(test)


def test_rule_14_shielded_tasks_are_waited_for_and_not_reached() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        log: list[str] = []

        async def undo() -> None:
            with attempt.shielded():
                await step(attempt, "undo")
                log.append("undone")

        undoing = asyncio.create_task(undo())
        try:
            await asyncio.Event().wait()
        except Cancelled:
            log.append("cancelled")
        await undoing
        return ",".join(log).encode()

    async def test() -> None:
        driven = Driven(main)
        assert driven.cancel() is None
        assert output_of(driven.deliver(0, b"")) == b"undone,cancelled"

    within_loop(test)


def test_rule_14_a_shielded_wait_for_nothing_is_stuck_all_the_same() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        sleeping = asyncio.create_task(asyncio.sleep(10))
        with attempt.shielded():
            await asyncio.Event().wait()
        await sleeping
        return b""

    async def test() -> None:
        assert isinstance(stuck_with(Driven(main).cancel()), NotDurable)

    within_loop(test)


def test_rule_14_each_is_reached_once_and_all_in_creation_order() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        order: list[int] = []

        async def worker(number: int) -> None:
            try:
                await asyncio.Queue[int]().get()
            except Cancelled:
                order.append(number)
                await asyncio.Event().wait()  # waits for nothing once more

        workers = [asyncio.create_task(worker(number)) for number in range(5)]
        sleeping = [asyncio.create_task(asyncio.sleep(10))]
        try:
            await asyncio.gather(*workers)
        except Cancelled:
            order.append(99)
        assert sleeping[0].done()
        return repr(order).encode()

    async def test() -> None:
        assert output_of(Driven(main).cancel()) == b"[0, 1, 2, 3, 4, 99]"

    within_loop(test)


def test_rule_14_two_that_wait_for_one_future_both_get_it() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        future = asyncio.get_running_loop().create_future()

        async def one() -> str:
            try:
                await future
            except Cancelled:
                return "cancelled"
            return ""

        tasks = [asyncio.create_task(one()) for _ in range(2)]
        sleeping = [asyncio.create_task(asyncio.sleep(10))]
        assert len(sleeping) == 1
        return ",".join(await asyncio.gather(*tasks)).encode()

    async def test() -> None:
        assert output_of(Driven(main).cancel()) == b"cancelled,cancelled"

    within_loop(test)


def test_rule_14_a_lock_goes_to_the_next_when_its_waiter_was_reached() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        lock = anyio.Lock()
        await lock.acquire()
        log: list[str] = []

        async def waits(name: str) -> None:
            try:
                async with lock:
                    log.append(f"{name} has it")
            except Cancelled:
                log.append(f"{name} cancelled")

        tasks = [asyncio.create_task(waits("a"))]
        sleeping = [asyncio.create_task(asyncio.sleep(10))]
        await asyncio.wait(tasks)
        tasks.append(asyncio.create_task(waits("b")))
        lock.release()
        await asyncio.wait([*tasks, *sleeping])
        return ",".join(log).encode()

    async def test() -> None:
        assert output_of(Driven(main).cancel()) == b"a cancelled,b has it"

    within_loop(test)


@pytest.mark.parametrize("error", [OSError("weather"), ValueError("a bug")])
def test_rule_14_an_attempt_that_fails_before_its_cancel_reaches_it_ends_as_cancelled(error: Exception) -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        raise error

    async def test() -> None:
        driven = Driven(main)
        assert isinstance(driven.end, Crashed)
        driven.world.cancel()
        assert failure_of(Driven(main, driven.world).end) == (409, "cancelled")

    within_loop(test)


def test_rule_14_what_fails_after_the_cancel_has_reached_it_is_tried_again() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        try:
            await asyncio.sleep(10)
        except Cancelled:
            raise OSError("weather in the undo") from None
        return b""

    async def test() -> None:
        assert isinstance(Driven(main).cancel(), Crashed)

    within_loop(test)


def test_rule_14_what_is_owed_or_shielded_is_tried_again() -> None:
    async def owing(attempt: DurableAttempt) -> bytes:
        attempt.owe("an undo")
        raise OSError("weather")

    async def shielded(attempt: DurableAttempt) -> bytes:
        with attempt.shielded():
            raise OSError("weather")

    async def test() -> None:
        for main in (owing, shielded):
            driven = Driven(main)
            driven.world.cancel()
            assert isinstance(Driven(main, driven.world).end, Crashed)

    within_loop(test)
