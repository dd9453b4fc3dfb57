"""Savepoints, sagas of several handlers, and what a saga refuses."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest

from restate_patterns import App, Context, Saga, Service, TerminalError, handler
from restate_patterns.testing import run_test
from tests.support.sagas.sagas import TWICE, Body, Receipt, Refused, Run, Shop, World, bench

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def with_a_savepoint(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        try:
            async with saga.savepoint():
                await saga.call(shop.do, "b").undo(shop.undo, lambda b: b.id)
                await saga.call(shop.do, "c").undo(shop.undo, lambda c: c.id)
                await shop.do("d")
        except Refused:
            await saga.call(shop.do, "e").undo(shop.undo, lambda e: e.id)
        await shop.do("f")
    return "done"


async def test_a_savepoint_that_fails_is_undone_alone() -> None:
    async with bench(with_a_savepoint, d=None) as at:
        assert await at.run() == "done"
        assert at.world.effects == ["a", "b", "c", "refused d", "-c", "-b", "e", "f"]


async def test_what_came_before_and_after_it_is_undone_with_the_saga() -> None:
    async with bench(with_a_savepoint, d=None, f=None) as at:
        with pytest.raises(Refused):
            await at.run()
        assert at.world.effects == ["a", "b", "c", "refused d", "-c", "-b", "e", "refused f", "-e", "-a"]


async def test_a_savepoint_that_succeeds_stays_on_the_stack() -> None:
    async with bench(with_a_savepoint, f=None) as at:
        with pytest.raises(Refused):
            await at.run()
        assert at.world.effects == ["a", "b", "c", "d", "refused f", "-c", "-b", "-a"]


async def test_savepoints_side_by_side_are_undone_each_by_itself() -> None:
    async def part(saga: Saga, shop: Shop, name: str) -> bool:
        try:
            async with saga.savepoint():
                await saga.call(shop.do, name).undo(shop.undo, lambda receipt: receipt.id)
                await asyncio.sleep(1)
                await shop.do(f"{name}{name}")
        except Refused:
            return False
        return True

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> object:
        async with Saga(ctx) as saga:
            went = await asyncio.gather(*(part(saga, shop, name) for name in "abc"))
            if not all(went[::2]):
                raise TerminalError("no")
        return went

    async with bench(body, bb=None) as at:
        assert await at.run() == "[True, False, True]"
        assert [effect for effect in at.world.effects if effect.startswith("-")] == ["-b"]


@dataclass
class Child(Service):
    """A saga of its own, which others have as a step."""

    world: World

    @handler(raises=[Refused])
    async def do(self, ctx: Context, what: str) -> Receipt:
        shop = ctx.service_client(Shop)
        async with Saga(ctx, policy=TWICE) as saga:
            first = await saga.call(shop.do, f"{what}1").undo(shop.undo, lambda first: first.id)
            await saga.call(shop.do, f"{what}2").undo(shop.undo, lambda second: second.id)
        return Receipt(id=first.id.removesuffix("1"))

    @handler
    async def undo(self, ctx: Context, what: str) -> None:
        shop = ctx.service_client(Shop)
        await shop.undo(f"{what}2")
        await shop.undo(f"{what}1")


@dataclass
class Parent(Service):
    """Has the child twice."""

    @handler
    async def run(self, ctx: Context) -> None:
        child = ctx.service_client(Child)
        async with Saga(ctx, policy=TWICE) as saga:
            await saga.call(child.do, "a").undo(child.undo, lambda a: a.id)
            await saga.call(child.do, "b").undo(child.undo, lambda b: b.id)


async def test_sagas_of_several_handlers() -> None:
    """A child that fails has undone itself; one that succeeded is undone by its parent."""
    world = World(failing={"b2": None})
    app = App([Shop(world), Child(world), Parent()])
    async with run_test(app, replay_always=True) as env:
        with pytest.raises(Refused):
            await env.client.service_client(Parent).run()
    assert world.effects == ["a1", "a2", "b1", "refused b2", "-b1", "-a2", "-a1"]


async def late_undo(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        saga.pivot()
        saga.undo(shop.undo, "a")


async def late_action(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        saga.pivot()
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)


async def two_pivots(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        saga.pivot()
        saga.pivot()


async def pivot_in_a_task(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async def pivot(saga: Saga) -> None:
        saga.pivot()

    async with Saga(ctx) as saga, asyncio.TaskGroup() as group:
        group.create_task(pivot(saga))


async def no_block(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    Saga(ctx).undo(shop.undo, "a")


async def after_the_block(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        pass
    saga.undo(shop.undo, "a")


async def entered_twice(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        pass
    async with saga:
        pass


async def wrong_argument(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        saga.undo(shop.undo, 1)  # type: ignore[arg-type] # the point of the test


async def called_function(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        saga.undo_step("undo", "no function")  # type: ignore[call-overload] # the point of the test


async def forgotten_action(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        saga.call(shop.do, "a")  # type: ignore[unused-awaitable] # the point of the test


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (late_undo, "has passed its pivot"),
        (late_action, "has passed its pivot"),
        (two_pivots, "has passed its pivot"),
        (pivot_in_a_task, "belongs in the block of the saga itself"),
        (no_block, "has not begun"),
        (after_the_block, "the saga is over"),
        (entered_twice, "make another"),
        (wrong_argument, "is not of the type str"),
        (called_function, "give ctx.run a function"),
        (forgotten_action, "never awaited"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_misuses_pause_with_a_sentence(body: Body, sentence: str) -> None:
    """An undo that nobody would run is never taken."""
    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(seconds=1))
        assert sentence in await at.why_paused(handle.id)
        assert at.world.effects == []
