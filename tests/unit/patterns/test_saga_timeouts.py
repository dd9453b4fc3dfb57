"""A saga and time limits that nothing catches: everything is undone, and the caller gets an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import anyio
import pytest

from restate_patterns import Context, Saga, TimedOut
from tests.support.sagas.sagas import TWICE, Run, Shop, World, bench

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def asyncios(shop: Shop) -> None:
    async with asyncio.timeout(1):
        await asyncio.sleep(60)


async def anyios(shop: Shop) -> None:
    with anyio.fail_after(1):
        await anyio.sleep(60)


async def of_a_group(shop: Shop) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncios(shop))
        group.create_task(asyncio.sleep(60))


async def of_a_call(shop: Shop) -> None:
    await shop.slow.with_options(timeout=timedelta(seconds=1))("b")


@pytest.mark.parametrize("limit", [asyncios, anyios, of_a_group, of_a_call])
async def test_a_timeout_undoes_the_saga_and_is_the_answer(limit: Callable[[Shop], Coroutine[Any, Any, None]]) -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx, policy=TWICE) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            await limit(shop)

    async with bench(body) as at:
        with pytest.raises(TimedOut) as caught:
            await at.run()
        assert caught.value.code == 408
        assert [effect for effect in at.world.effects if effect != "b"] == ["a", "-a"]


async def test_a_timeout_after_the_pivot_undoes_nothing_and_is_the_answer() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx, policy=TWICE) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            saga.pivot()
            await asyncios(shop)

    async with bench(body) as at:
        with pytest.raises(TimedOut):
            await at.run()
        assert at.world.effects == ["a"]


async def test_an_undo_that_times_out_is_a_failed_try_of_it() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        tried = 0

        async def undo(what: str) -> None:
            nonlocal tried
            tried += 1
            if tried == 1:
                await asyncios(shop)
            await shop.undo(what)

        async with Saga(ctx, policy=TWICE) as saga:
            saga.undo(undo, "a")
            await shop.do("a")
            await asyncios(shop)

    async with bench(body) as at:
        with pytest.raises(TimedOut):
            await at.run()
        assert at.world.effects == ["a", "-a"]
