"""Fan-outs whose items fail, whose time is over, or whose invocation is cancelled: what becomes of the rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta

import pytest

from restate_patterns import (
    Cancelled,
    Context,
    FanOutFailed,
    Tolerate,
    fan_out,
)
from tests.support.fan_outs import LONG_S, Odd, Run, World, both_ways, half, outcome_of, running

__all__ = ["both_ways"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_the_first_failure_is_raised_when_the_others_have_ended() -> None:
    async def program(ctx: Context, world: World) -> object:
        return await fan_out(ctx, [92, 2, 94, 5, 7, 96], half(ctx), window=5)

    world = World()
    error = await outcome_of(program, world)
    assert isinstance(error, Odd)
    assert error.number == 5
    # 7 fails in the same millisecond or is cancelled; 96 has had the room of 2.
    assert world.done[-1] == "failed"
    assert set(world.done[:-1]) - {"undone 7"} == {"undone 92", "undone 94", "undone 96"}


async def test_a_coroutine_of_several_steps_is_cancelled_at_its_wait() -> None:
    async def program(ctx: Context, world: World) -> object:
        async def item(number: int) -> None:
            try:
                await ctx.run("first", world.act, f"first {number}")
                await asyncio.sleep(10 + number)
                if number == 1:
                    raise Odd(number=1)
                await asyncio.sleep(LONG_S)
            except asyncio.CancelledError:
                await ctx.run("last", world.act, f"last {number}")
                raise

        return await fan_out(ctx, [3, 2, 1], item, window=3)

    world = World()
    assert isinstance(await outcome_of(program, world), Odd)
    assert world.done == ["first 3", "first 2", "first 1", "last 3", "last 2", "failed"]


@pytest.mark.parametrize("page", [None, 2])
async def test_failures_are_outcomes(page: int | None) -> None:
    async def program(ctx: Context, world: World) -> object:
        found = await fan_out(ctx, [2, 3, 4, 5, 6], half(ctx), window=2, on_error="collect", page=page)
        assert [each.index for each in found] == [0, 1, 2, 3, 4]
        with pytest.raises(Odd):
            _ = found[1].value
        return [each.value if each.error is None else each.error for each in found]

    assert await outcome_of(program) == "[1, Odd('3 is odd', number=3), 2, Odd('5 is odd', number=5), 3]"


@pytest.mark.parametrize("page", [None, 2])
@pytest.mark.parametrize(
    ("policy", "sized", "failed", "ended"),
    [
        (Tolerate(count=0), True, 1, 2),
        (Tolerate(count=1), True, 2, 4),
        (Tolerate(count=2), True, None, None),
        (Tolerate(share=0.2), True, 2, 4),
        (Tolerate(share=0.34), True, None, None),
        (Tolerate(share=0.2), False, 2, 6),
        (Tolerate(count=1, share=1), False, 2, 4),
        (Tolerate(count=5, share=0), True, 1, 2),
    ],
)
async def test_some_failures_are_tolerated(
    policy: Tolerate, sized: bool, failed: int | None, ended: int | None, page: int | None
) -> None:
    numbers = [2, 3, 4, 5, 6, 8]

    async def program(ctx: Context, world: World) -> object:
        items = numbers if sized else iter(numbers)
        found = await fan_out(ctx, items, half(ctx), window=1, on_error=policy, page=page)
        return [each.error is None for each in found]

    found = await outcome_of(program)
    if failed is None:
        assert found == "[True, False, True, False, True, True]"
        return
    assert isinstance(found, FanOutFailed)
    assert found.failed == failed
    assert found.ended == ended
    assert found.first == "3 is odd"
    assert "no more than" in found.message


@pytest.mark.parametrize("page", [None, 2])
async def test_a_cancelled_invocation_collects_nothing(page: int | None) -> None:
    async def program(ctx: Context, world: World) -> object:
        return await fan_out(ctx, [2, 92, 94, 96], half(ctx), window=3, on_error="collect", page=page)

    world = World()
    async with running(program, world) as env:
        sent = await env.client.service_client(Run).go.send()
        await env.advance(timedelta(seconds=10))
        await sent.cancel()
        await env.advance(timedelta(seconds=10))
        with pytest.raises(Cancelled):
            await sent.result()
    begun = {"undone 92", "undone 94", "undone 96"} if page is None else {"undone 92", "undone 94"}
    assert set(world.done[:-1]) == begun
    assert world.done[-1] == "failed"


async def test_a_timeout_around_it_cancels_the_rest() -> None:
    async def program(ctx: Context, world: World) -> object:
        try:
            async with asyncio.timeout(10):
                return await fan_out(ctx, [2, 92, 94], half(ctx), window=3)
        except TimeoutError:
            return list(world.done)

    assert await outcome_of(program) == "['undone 92', 'undone 94']"


async def test_a_call_that_is_out_of_time_is_an_outcome_and_its_callee_is_cancelled() -> None:
    async def program(ctx: Context, world: World) -> object:
        call = half(ctx).with_options(timeout=timedelta(seconds=10))
        found = await fan_out(ctx, [2, 92], call, window=3, on_error="collect")
        return [type(each.error).__name__ for each in found], list(world.done)

    assert await outcome_of(program) == "(['NoneType', 'TimedOut'], ['undone 92'])"


async def test_an_error_that_is_tried_again_leaves_the_others_alone() -> None:
    async def program(ctx: Context, world: World) -> object:
        async def item(number: int) -> int:
            await ctx.run("act", world.act, f"did {number}")
            await asyncio.sleep(number)
            if world.weather:
                raise ConnectionError(world.weather.pop())
            return number

        return await fan_out(ctx, [3, 1, 2], item, window=2)

    world = World(weather=["rain", "snow"])
    assert await outcome_of(program, world) == "[3, 1, 2]"
    assert Counter(world.done) == {"did 1": 1, "did 2": 1, "did 3": 1}


@pytest.mark.parametrize("later", [False, True])
async def test_an_error_of_the_items_themselves_is_raised(later: bool) -> None:
    def items() -> Iterator[int]:
        yield 92
        yield 94
        raise Odd(number=77)

    async def items_later() -> AsyncGenerator[int]:
        for number in items():
            await asyncio.sleep(1)
            yield number

    async def program(ctx: Context, world: World) -> object:
        source = items_later() if later else items()
        return await fan_out(ctx, source, half(ctx), window=5, on_error="collect")

    world = World()
    error = await outcome_of(program, world)
    assert isinstance(error, Odd)
    assert error.number == 77
    # Those that were to begin in the same moment have not begun.
    assert sorted(world.done[:-1]) == (["undone 92", "undone 94"] if later else [])
    assert world.done[-1] == "failed"
