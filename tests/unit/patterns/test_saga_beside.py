"""Actions of a saga beside each other: what the saga waits for, what does not begin, and what bounds the wait."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from restate_patterns import Cancelled, Context, Saga, SagaState, TerminalError
from tests.support.sagas.sagas import TWICE, Refused, Run, Shop, World, bench

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def slowly(saga: Saga, shop: Shop, name: str) -> None:
    """Do something that takes an hour."""
    await saga.call(shop.slow, name).undo(shop.undo, lambda receipt: receipt.id)


async def test_a_task_that_goes_on_after_the_failure_begins_nothing() -> None:
    """It is cancelled where it would; so is one that does plain calls, at the undo that it registers."""

    async def branch(saga: Saga, shop: Shop, ended: list[str]) -> None:
        try:
            await slowly(saga, shop, "a")
            await saga.call(shop.do, "after")
        except asyncio.CancelledError:
            ended.append("a")
            raise

    async def plain(saga: Saga, shop: Shop, ended: list[str]) -> None:
        receipt = await shop.do("p")
        await asyncio.sleep(60)
        try:
            saga.undo(shop.undo, receipt.id)
            await shop.do("after")
        except asyncio.CancelledError:
            ended.append("p")
            raise

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        ended: list[str] = []
        saga = Saga(ctx, policy=TWICE)
        try:
            async with saga:
                await asyncio.gather(branch(saga, shop, ended), plain(saga, shop, ended), saga.call(shop.do, "b"))
        except Refused:
            run.records.append(saga.record)
        return " ".join(ended)

    async with bench(body, b=None) as at:
        assert await at.run() == "p a"
        assert [each for each in at.world.effects if "refused" not in each] in (
            ["a", "p", "-a", "-p"],
            ["p", "a", "-a", "-p"],
        )


@pytest.mark.parametrize("way", ["shield", "wait_for", "timeout", "option"])
async def test_a_timeout_around_one_action(way: str) -> None:
    """Whoever gives up the wait, the saga knows how the action ended before it undoes."""

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx, policy=TWICE) as saga:
            if way == "option":
                quick = shop.slow.with_options(timeout=timedelta(minutes=1))
                await saga.call(quick, "a").undo(shop.undo, lambda receipt: receipt.id)
            elif way == "timeout":
                async with asyncio.timeout(60):
                    await slowly(saga, shop, "a")
            else:
                task = asyncio.create_task(slowly(saga, shop, "a"))
                await asyncio.wait_for(asyncio.shield(task) if way == "shield" else task, 60)

    async with bench(body) as at:
        with pytest.raises(TerminalError) as ended:
            await at.run()
        assert ended.value.code in (408, 504)
        assert at.world.effects == ["a", "-a"]


async def test_a_timeout_that_is_caught_leaves_the_saga_going() -> None:
    """And the saga is over when the action is."""

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        began = ctx.now()
        async with Saga(ctx, policy=TWICE) as saga:
            try:
                await saga.call(shop.slow.with_options(timeout=timedelta(minutes=1)), "a")
            except TimeoutError:
                await saga.call(shop.do, "b")
        return str(ctx.now() - began >= timedelta(hours=1))

    async with bench(body) as at:
        assert await at.run() == "True"
        assert at.world.effects == ["a", "b"]


async def test_a_savepoint_waits_for_its_own_actions_and_for_no_others() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        async with Saga(ctx, policy=TWICE) as saga:
            outside = asyncio.create_task(slowly(saga, shop, "outside"))
            await asyncio.sleep(0)
            try:
                async with saga.savepoint():
                    inside = asyncio.create_task(saga.call(shop.do, "inside").undo(shop.undo, lambda r: r.id).outcome())
                    await asyncio.gather(saga.call(shop.do, "b"), asyncio.shield(inside))
            except Refused:
                run.records.append(saga.record)
            assert not outside.done()
            await outside
        return saga.record.state

    async with bench(body, b=None) as at:
        assert await at.run() == SagaState.COMMITTED
        assert [each for each in at.world.effects if each != "refused b"] == ["outside", "inside", "-inside"]
        assert at.world.effects


async def test_a_saga_inside_another_waits_for_its_own() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx, policy=TWICE) as outer:
            tasks = [asyncio.create_task(slowly(outer, shop, "outer"))]
            async with Saga(ctx, policy=TWICE) as inner:
                tasks.append(asyncio.create_task(slowly(inner, shop, "inner")))
                await asyncio.sleep(1)
                await inner.call(shop.do, "b")

    async with bench(body, b=None) as at:
        with pytest.raises(Refused):
            await at.run()
        effects = [each for each in at.world.effects if each != "refused b"]
        assert sorted(effects[:2]) == ["inner", "outer"]
        assert effects[2:] == ["-inner", "-outer"]


async def test_a_pivot_while_actions_are_under_way_is_refused() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx) as saga:
            task = asyncio.create_task(slowly(saga, shop, "a"))
            await asyncio.sleep(1)
            saga.pivot()
            await task

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(minutes=5))
        assert "saga.pivot() while Shop.slow may still fail" in await at.why_paused(handle.id)
        await at.env.engine.kill(handle.id)


async def test_after_the_pivot_all_actions_come_to_their_end() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx, policy=TWICE) as saga:
            saga.pivot()
            left = [
                asyncio.create_task(saga.call(act, name).outcome()) for act, name in ((shop.do, "a"), (shop.slow, "b"))
            ]
            await asyncio.sleep(0)
            assert not any(task.done() for task in left)
            raise TerminalError("no", code=418)

    async with bench(body, a=1) as at:
        with pytest.raises(TerminalError, match="no"):
            await at.run()
        assert at.world.effects in (["refused a", "b", "a"], ["b", "refused a", "a"])


@pytest.mark.parametrize("at_s", [0, 1, 90])
async def test_a_cancel_while_several_are_under_way(at_s: int) -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx, policy=TWICE) as saga:
            await asyncio.gather(
                slowly(saga, shop, "a"),
                saga.run("do b", world.do, "b").undo_step("undo b", world.do, lambda _: "-b"),
                saga.call(shop.do.send, "c").undo(shop.undo.send, lambda _: "c"),
            )
            await asyncio.sleep(60)

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(seconds=at_s))
        await handle.cancel()
        with pytest.raises(Cancelled):
            await at.end(handle)
        done = {each for each in at.world.effects if not each.startswith("-")}
        undone = [each[1:] for each in at.world.effects if each.startswith("-")]
        assert sorted(done) == sorted(undone)


async def test_an_error_to_be_tried_again_is_tried_again_though_nobody_awaits_it() -> None:
    """Its action has no outcome yet, so nothing can be undone yet."""

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async def local() -> str:
            await asyncio.sleep(60)
            world.crash_once("local")
            return (await shop.do("a")).id

        async with Saga(ctx, policy=TWICE) as saga:
            await asyncio.gather(saga.call(local).undo(shop.undo, lambda name: name), saga.call(shop.do, "b"))

    async with bench(body, b=None) as at:
        at.world.crash_at = "local"
        with pytest.raises(Refused):
            await at.run()
        assert at.world.effects == ["refused b", "a", "-a"]


async def test_an_action_that_swallows_its_cancellation_is_undone() -> None:
    """A step that was asked to stop and goes on has happened."""
    stopped = asyncio.Event()

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async def stubborn() -> None:
            try:
                await asyncio.wait_for(stopped.wait(), 20)
            except asyncio.CancelledError:
                await world.do("a")

        async with Saga(ctx, policy=TWICE) as saga, asyncio.TaskGroup() as group:
            group.create_task(saga.run("stubborn", stubborn).undo_step("undo a", world.do, lambda _: "-a").outcome())
            group.create_task(saga.call(shop.do, "b").outcome())

    async with bench(body, b=None) as at:
        with pytest.raises(Refused):
            await at.run()
        assert at.world.effects == ["refused b", "a", "-a"]
