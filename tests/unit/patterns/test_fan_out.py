"""Fan-outs: what runs when, what becomes of the rest, what a crash repeats, and what is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from restate_patterns import (
    App,
    Context,
    FanOutFailed,
    FanOutProgress,
    InvocationPaused,
    ObjectContext,
    Outcome,
    Service,
    Tolerate,
    UsageError,
    VirtualObject,
    fan_out,
    fan_out_as_completed,
    fan_out_services,
    first_success,
    handler,
    quorum,
)
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from tests.support.fan_outs import Numbers, Odd, Run, World, both_ways, half, outcome_of, replays, running

__all__ = ["both_ways"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


loose: Any = fan_out
"""As one without type checkers calls it."""


async def test_results_come_in_the_order_of_the_items_and_a_window_at_a_time() -> None:
    async def program(ctx: Context, world: World) -> list[int]:
        return await fan_out(ctx, range(80, 0, -2), half(ctx), window=7)

    world = World()
    assert await outcome_of(program, world) == repr(list(range(40, 0, -1)))
    assert world.most == (1 if replays.always else 7)  # one that waits is not in the process when it is to be replayed


@pytest.mark.parametrize("items", [[], iter([]), iter(())])
async def test_nothing_comes_of_nothing(items: Any) -> None:
    async def program(ctx: Context, world: World) -> object:
        return [
            await fan_out(ctx, items, half(ctx), window=3),
            await fan_out(ctx, items, half(ctx), window=3, on_error="collect", page=2),
            [each async for each in fan_out_as_completed(ctx, items, half(ctx), window=3)],
        ]

    assert await outcome_of(program) == "[[], [], []]"


async def test_items_are_read_as_there_is_room() -> None:
    read: list[int] = []
    behind: list[int] = []

    def items() -> Iterator[int]:
        for number in range(0, 60, 2):
            read.append(number)
            yield number

    async def program(ctx: Context, world: World) -> int:
        found = 0
        async for _ in fan_out_as_completed(ctx, items(), half(ctx), window=4):
            found += 1
            behind.append(len(read) - found)
            await asyncio.sleep(3)  # meanwhile all of the window end
        return found

    assert await outcome_of(program) == "30"
    if not replays.always:  # which reads the items again
        assert max(behind) == 3  # and the one that was just read has left the window


async def test_items_may_be_waited_for() -> None:
    async def items() -> AsyncGenerator[int]:
        for number in range(0, 12, 2):
            await asyncio.sleep(0.5)
            yield number

    async def program(ctx: Context, world: World) -> object:
        whole = await fan_out(ctx, items(), half(ctx), window=3)
        return whole, await fan_out(ctx, items(), half(ctx), window=3, page=4)

    assert await outcome_of(program) == "([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])"


async def test_outcomes_come_as_they_complete() -> None:
    async def program(ctx: Context, world: World) -> object:
        found = fan_out_as_completed(ctx, [60, 3, 40, 20], half(ctx), window=4)
        return [(each.index, each.error is None) async for each in found]

    assert await outcome_of(program) == "[(1, False), (3, True), (2, True), (0, True)]"


async def test_a_block_that_is_left_has_cancelled_the_rest() -> None:
    async def program(ctx: Context, world: World) -> object:
        async with fan_out_as_completed(ctx, [92, 2, 94, 96], half(ctx), window=3) as outcomes:
            async for outcome in outcomes:
                assert outcome.index == 1
                break
        return list(world.done)

    assert await outcome_of(program) == "['undone 92', 'undone 94']"


async def test_an_error_to_be_tried_again_leaves_a_block_with_all_it_has() -> None:
    async def program(ctx: Context, world: World) -> object:
        found: list[int] = []
        async with fan_out_as_completed(ctx, [2, 8, 4], ctx.service_client(Numbers).step, window=3) as outcomes:
            async for outcome in outcomes:
                if world.weather:
                    raise ConnectionError(world.weather.pop())
                found.append(outcome.index)
        return sorted(found)

    world = World(weather=["rain"])
    assert await outcome_of(program, world) == "[0, 1, 2]"
    assert Counter(world.done) == {"did 2": 1, "did 4": 1, "did 8": 1}


async def test_the_first_success_cancels_the_rest() -> None:
    async def program(ctx: Context, world: World) -> object:
        return await first_success(ctx, [92, 3, 8, 94], half(ctx)), list(world.done)

    assert await outcome_of(program) == "(4, ['undone 92', 'undone 94'])"


async def test_one_after_the_other_until_one_succeeds() -> None:
    async def program(ctx: Context, world: World) -> object:
        return await first_success(ctx, [3, 5, 8, 2], half(ctx), window=1), world.most

    assert await outcome_of(program) == "(4, 1)"


async def test_a_quorum_is_the_first_so_many_successes() -> None:
    async def program(ctx: Context, world: World) -> object:
        found = await quorum(ctx, [60, 3, 40, 20, 92], half(ctx), count=2)
        return [(each.index, each.value) for each in found], sorted(world.done)

    assert await outcome_of(program) == "([(3, 10), (2, 20)], ['undone 60', 'undone 92'])"


async def test_a_quorum_out_of_reach_is_an_error_at_once() -> None:
    async def program(ctx: Context, world: World) -> object:
        return await quorum(ctx, [3, 5, 92, 2], half(ctx), count=3)

    world = World()
    error = await outcome_of(program, world)
    assert isinstance(error, FanOutFailed)
    assert (error.failed, error.first) == (2, "3 is odd")
    assert "3 of 4 were to succeed" in error.message
    assert world.done == ["undone 92", "failed"]


@pytest.mark.parametrize(("sized", "page"), [(True, None), (False, None), (True, 50)])
async def test_progress_is_told_at_both_ends_and_by_the_hundredth(sized: bool, page: int | None) -> None:
    told: list[FanOutProgress] = []

    async def program(ctx: Context, world: World) -> object:
        items = list(range(300)) if sized else iter(range(300))
        told.clear()
        call = ctx.service_client(Numbers).step
        return len(await fan_out(ctx, items, call, window=10, progress=told.append, page=page))

    assert await outcome_of(program) == "300"
    total = 300 if sized else None
    assert told[0] == FanOutProgress(total=total)
    assert told[-1] == FanOutProgress(total=300, succeeded=300)
    every = 3 if sized and page is None else 10 if page is None else 50
    assert [each.ended for each in told][:4] == [0, every, 2 * every, 3 * every]


class Till(VirtualObject):
    """Has a key."""

    @handler
    async def add(self, ctx: ObjectContext, amount: bytes) -> bytes:
        """Give the key and what came, which is no text."""
        return ctx.key.encode() + amount


async def test_pages_call_objects_and_carry_bytes_headers_and_times() -> None:
    class Shop(Service):
        @handler
        async def go(self, ctx: Context) -> list[bytes]:
            """Call one object with what is no JSON."""
            call = ctx.object_client(Till, "t1").add.with_options(headers={"who": "me"}, timeout=timedelta(minutes=1))
            return await fan_out(ctx, [b"\xff", b"\x00"], call, window=2, page=1)

    async with run_test(App([Till(), Shop(), *fan_out_services()])) as env:
        assert await env.client.service_client(Shop).go() == [b"t1\xff", b"t1\x00"]


@pytest.mark.parametrize(
    ("misuse", "sentence"),
    [
        (lambda ctx: fan_out(ctx, [1], half(ctx), window=0), "window=0: how many items are under way at once"),
        (lambda ctx: fan_out(ctx, [1], half(ctx), window=True), "window=True"),
        (lambda ctx: loose(ctx, 7, half(ctx), window=1), "a list, a generator or an async iterator, not 7"),
        (lambda ctx: loose(ctx, [1], half(ctx), window=1, on_error="ignore"), "on_error='ignore': write"),
        (lambda ctx: fan_out(ctx, [1], half(ctx), window=1, page=0), "page=0: how many items"),
        (lambda ctx: fan_out(ctx, [1], asyncio.sleep, window=1, page=1), "write a handler that does it"),
        (lambda ctx: fan_out(ctx, ["x"], half(ctx), window=1), "Numbers.half, the argument 'number'"),
        (lambda ctx: quorum(ctx, [1], half(ctx), count=2), "count=2 of 1 items"),
        (lambda ctx: first_success(ctx, [], half(ctx)), "count=1 of 0 items"),
        (lambda ctx: first_success(ctx, [1], half(ctx), window=0), "window=0"),
        (lambda _: Tolerate(), "say how many items may fail"),
        (lambda _: Tolerate(count=-1), "must not be below 0"),
        (lambda _: Tolerate(share=5), "a share is from 0 to 1"),
    ],
)
async def test_misuse_pauses_and_says_what_to_write(misuse: Any, sentence: str) -> None:
    async def program(ctx: Context, world: World) -> object:
        found = misuse(ctx)
        return await found

    async with running(program, World()) as env:
        sent = await env.client.service_client(Run).go.send()
        with pytest.raises(InvocationPaused) as paused:
            await sent.result()
    assert sentence in paused.value.reason


async def test_pages_need_their_service() -> None:
    async def program(ctx: Context, world: World) -> object:
        return await fan_out(ctx, [1], half(ctx), window=1, page=1)

    async with run_test(App([Run(program, World()), Numbers(World())])) as env:
        sent = await env.client.service_client(Run).go.send()
        with pytest.raises(InvocationPaused) as paused:
            await sent.result()
    assert "write `App([..., *fan_out_services()])`" in paused.value.reason


async def test_a_call_of_an_outside_client_is_named() -> None:
    async with running(lambda ctx, world: fan_out(ctx, [2], outside(), window=1), World()) as env:

        def outside() -> Any:
            return env.client.service_client(Numbers).half

        sent = await env.client.service_client(Run).go.send()
        with pytest.raises(InvocationPaused):
            await sent.result()


def test_outcomes_read_well() -> None:
    assert repr(Outcome(3, "x", None)) == "Outcome(index=3, value='x')"
    assert repr(Outcome(0, None, Odd(number=3))) == "Outcome(index=0, error=Odd('3 is odd', number=3))"
    with pytest.raises(UsageError):
        Tolerate(share=-0.1)


crashed = World()


def mixed() -> App:
    async def program(ctx: Context, world: World) -> object:
        numbers = ctx.service_client(Numbers)

        async def both(number: int) -> int:
            found = await numbers.step(number)
            return await ctx.run("own", int, found) + 1

        whole = await fan_out(ctx, [1, 2, 3], both, window=2)
        some = await fan_out(ctx, [4, 5, 6], numbers.half, window=2, on_error="collect")
        first = await first_success(ctx, [92, 7, 8], numbers.half)
        return whole, [each.error is None for each in some], first

    crashed.done.clear()
    return App([Run(program, crashed), Numbers(crashed)])


@at_every_crash_point(mixed, kinds=["commit", "before"])
async def test_no_crash_changes_what_comes_of_it(env: TestEnvironment) -> None:
    sent = await env.client.service_client(Run).go.send()
    await env.advance(timedelta(minutes=1))
    assert await sent.result() == "([2, 3, 4], [True, False, True], 4)"
    # A step whose result was not recorded is run again; what was recorded is not.
    assert set(crashed.done) == {"did 1", "did 2", "did 3", "undone 92"}
    assert max(Counter(crashed.done).values()) <= 2
