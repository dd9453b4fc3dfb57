"""Rules 1, 3 and 6: order is a function of the journal."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import pytest

from restate_patterns.errors import JournalMismatch, NotDurable
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import MustPause
from tests.support.engines.attempts import Driven, Host, act, output_of, run, step, stuck_with, within_loop
from tests.support.engines.memory_backend import World
from tests.support.engines.memory_host import run_to_end


def test_rule_01_hashes_of_tasks_and_futures_are_the_same_on_each_attempt_and_differ_between_invocations() -> None:
    seen: list[list[int]] = []

    async def main(attempt: DurableAttempt) -> bytes:
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(3)]
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        seen.append([hash(each) for each in (*tasks, *futures)])
        await asyncio.gather(*tasks)
        return b""

    async def go(random_seed: int) -> None:
        output_of(await run_to_end(World(main, random_seed=random_seed)))

    for random_seed in (1, 1, 2):
        asyncio.run(go(random_seed))
    first, again, other = seen
    assert first == again
    assert len(set(first)) == 6
    assert not set(first) & set(other)


def test_rule_01_a_set_of_tasks_is_gone_through_in_the_same_order_whatever_the_heap_looks_like() -> None:
    seen: list[list[str]] = []

    async def main(attempt: DurableAttempt) -> bytes:
        tasks = {asyncio.create_task(asyncio.sleep(0), name=str(number)) for number in range(40)}
        done, _ = await asyncio.wait(tasks)
        seen.append([task.get_name() for task in done])
        return b""

    for count in range(20):
        noise = [bytearray(64 * (count + 1)) for _ in range(200 * count)]
        output_of(run(main))
        del noise
    assert len(seen) == 20
    assert all(order == seen[0] for order in seen)


@pytest.mark.parametrize("kind", ["task group", "anyio group", "gather", "set"])
def test_rule_01_tasks_that_one_sweep_cancels_wake_in_creation_order(kind: str) -> None:
    woken: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            woken.append(number)

    async def fail() -> None:
        await asyncio.sleep(1)
        raise OSError("sweep")

    async def sweep() -> None:
        match kind:
            case "task group":
                async with asyncio.TaskGroup() as group:
                    for number in range(30):
                        group.create_task(wait(number))
                    group.create_task(fail())
            case "anyio group":
                async with anyio.create_task_group() as anyio_group:
                    for number in range(30):
                        anyio_group.start_soon(wait, number)
                    anyio_group.start_soon(fail)
            case "gather":
                waits = asyncio.gather(*(wait(number) for number in range(30)))
                await asyncio.sleep(1)
                waits.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await waits
            case _:
                tasks = [asyncio.create_task(wait(number)) for number in range(30)]
                await asyncio.sleep(1)
                for task in reversed(tasks):
                    task.cancel()
                await asyncio.wait(tasks)

    async def main(attempt: DurableAttempt) -> bytes:
        with contextlib.suppress(ExceptionGroup):
            await sweep()
        return b""

    output_of(run(main))
    assert woken == list(range(30))


def test_rule_01_nested_anyio_scopes_that_are_hashed_by_address_cancel_in_creation_order() -> None:
    woken: list[int] = []

    async def wait(number: int) -> None:
        try:
            with anyio.CancelScope():
                await anyio.sleep(1000)
        finally:
            woken.append(number)

    async def main(attempt: DurableAttempt) -> bytes:
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(wait, number)
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        return b""

    noise: list[bytearray] = []
    for count in range(5):
        woken.clear()
        output_of(run(main))
        assert woken == list(range(30))
        noise.extend(bytearray(48) for _ in range(count * 37))


def test_rule_01_as_completed_over_coroutines_says_make_tasks_first() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        for next_one in asyncio.as_completed([step(attempt, "a"), step(attempt, "b")]):
            await next_one
        return b""

    error = stuck_with(run(main))
    assert isinstance(error, NotDurable)
    assert "Make tasks first" in str(error)


def test_rule_01_as_completed_over_tasks_works() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        tasks = [asyncio.create_task(step(attempt, name)) for name in "abc"]
        return b"".join([(await next_one).encode() for next_one in asyncio.as_completed(tasks)])

    assert output_of(run(main)) == b"donedonedone"


def test_rule_01_a_task_is_named_by_its_number_in_the_attempt() -> None:
    names: list[str] = []

    async def main(attempt: DurableAttempt) -> bytes:
        names.append(asyncio.create_task(asyncio.sleep(0)).get_name())
        return b""

    output_of(run(main))
    output_of(run(main))
    assert names[0] == names[1]


def test_rule_03_each_completion_is_drained_before_the_next() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        async def branch(name: str) -> None:
            await step(attempt, name)
            await step(attempt, f"{name} again")

        await asyncio.gather(branch("a"), branch("b"))
        return b""

    async def test() -> None:
        driven = Driven(main)
        assert driven.asked == ["run a", "run b"]
        driven.deliver(1, b"")
        assert driven.asked == ["run a", "run b", "run b again"]
        driven.deliver(0, b"")
        assert driven.asked == ["run a", "run b", "run b again", "run a again"]
        driven.attempt.close()

    within_loop(test)


def test_rule_03_replay_delivers_in_recorded_order_so_branches_do_not_swap() -> None:
    async def main(attempt: DurableAttempt) -> bytes:
        async def branch(label: str) -> str:
            first = await attempt.run(Step("same"), b"", lambda: give(f"{label}1"))
            second = await attempt.run(Step("same"), b"", lambda: give(f"{label}2"))
            return f"{first.decode()}{second.decode()}"

        return " ".join(await asyncio.gather(branch("a"), branch("b"))).encode()

    async def give(value: str) -> bytes:
        return value.encode()

    async def test() -> None:
        for seed in range(20):
            world = World(main, seed=seed)
            assert output_of(await run_to_end(world, crash_chance=0.3, suspend_chance=0.2)) == b"a1a2 b1b2"

    within_loop(test)


def test_rule_06_a_mismatch_ends_the_attempt_even_when_user_code_swallows_it() -> None:
    names = iter(["first", "other"])
    went_on: list[str] = []

    async def main(attempt: DurableAttempt) -> bytes:
        with contextlib.suppress(BaseException):
            await step(attempt, next(names))
        went_on.append("yes")
        with contextlib.suppress(BaseException):
            await step(attempt, "more")
        return b"swallowed"

    async def test() -> None:
        world = World(main)
        host = Host(world)
        assert host.replay() is None
        host.attempt.close()
        went_on.clear()
        end = Host(world).replay()
        assert isinstance(end, MustPause)
        assert end.mismatch
        assert isinstance(end.error, JournalMismatch)
        assert "run first" in str(end.error)
        assert "run other" in str(end.error)
        assert len(world.commands()) == 1
        await asyncio.gather(*world.steps.values())

    within_loop(test)


def test_rule_06_the_fingerprint_of_the_arguments_is_part_of_the_match() -> None:
    fingerprints = iter([b"a", b"b"])

    async def main(attempt: DurableAttempt) -> bytes:
        return await attempt.run(Step("same"), next(fingerprints), act)

    async def test() -> None:
        world = World(main)
        host = Host(world)
        host.replay()
        host.attempt.close()
        assert isinstance(stuck_with(Host(world).replay()), JournalMismatch)
        await asyncio.gather(*world.steps.values())

    within_loop(test)
