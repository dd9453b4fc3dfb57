"""A saga: what is undone, in which order, by which error, and what is not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import anyio
import pytest

from restate_patterns import (
    Cancelled,
    Context,
    Saga,
    TerminalError,
)
from tests.support.sagas.sagas import TWICE, Refused, Run, Shop, World, bench

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def three(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx, policy=TWICE) as saga:
        a = await shop.do("a")
        saga.undo(shop.undo, a.id)
        b = await saga.call(shop.do, "b").undo(shop.undo, lambda b: b.id)
        saga.undo_step("undo c", world.do, "-c")
        await ctx.run("c", world.do, "c")
        await shop.do("d")
    return a.id + b.id


async def test_nothing_is_undone_when_all_goes_well() -> None:
    async with bench(three) as at:
        assert await at.run() == "ab"
        assert at.world.effects == ["a", "b", "c", "d"]


async def test_a_saga_that_nobody_asks_about_adds_nothing_to_the_journal() -> None:
    async with bench(three, d=None) as at:
        handle = await at.env.client.service_client(Run).run.send()
        with pytest.raises(Refused):
            await at.end(handle)
        entries = (await at.env.engine.describe_invocation(handle.id)).journal
        assert [entry.name for entry in entries if entry.name] == [
            "Shop/do",
            "Shop/do",
            "c",
            "Shop/do",
            "undo c",
            "Shop/undo",
            "Shop/undo",
        ]
        assert len(entries) <= 8, entries


async def test_a_terminal_error_undoes_in_reverse_and_arrives_as_it_was() -> None:
    async with bench(three, d=None) as at:
        with pytest.raises(Refused) as refused:
            await at.run()
        assert refused.value.what == "d"
        assert at.world.effects == ["a", "b", "c", "refused d", "-c", "-b", "-a"]


async def test_what_was_registered_before_is_undone_though_the_outcome_is_unknown() -> None:
    async with bench(three, c=None) as at:
        with pytest.raises(Refused):
            await at.run()
        assert at.world.effects == ["a", "b", "refused c", "-c", "-b", "-a"]


async def test_undo_by_a_send() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo.send, lambda a: a.id)
            raise TerminalError("no", code=418)

    async with bench(body) as at:
        with pytest.raises(TerminalError, match="no") as caught:
            await at.run()
        assert caught.value.code == 418
        assert at.world.effects == ["a", "-a"]


async def test_parallel_groups_are_undone_at_the_same_time() -> None:
    async def slow_undo(shop: Shop, name: str) -> None:
        await asyncio.sleep({"b": 60, "c": 1}[name])
        await shop.undo(name)

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            async with saga.parallel():
                for name in "bc":
                    await shop.do(name)
                    saga.undo(slow_undo, shop, name)
            await saga.call(shop.do, "d").undo(shop.undo, lambda d: d.id)
            raise TerminalError("no")

    async with bench(body) as at:
        with pytest.raises(TerminalError):
            await at.run()
        assert at.world.effects == ["a", "b", "c", "d", "-d", "-c", "-b", "-a"]


async def after_pivot(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx, policy=TWICE) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        saga.pivot()
        b = await saga.call(shop.do, "b")
        await saga.run("c", world.do, "c")
        run.records.append(saga.record)
    return b.id


async def test_after_the_pivot_actions_are_tried_until_they_succeed() -> None:
    async with bench(after_pivot, b=1) as at:
        assert await at.run() == "b"
        assert at.world.effects == ["a", "refused b", "b", "c"]


async def test_a_plain_error_after_the_pivot_undoes_nothing() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            saga.pivot()
            await shop.do("b")

    async with bench(body, b=None) as at:
        with pytest.raises(Refused):
            await at.run()
        assert at.world.effects == ["a", "refused b"]


async def test_a_cancel_after_the_pivot_waits_for_the_end() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            saga.pivot()
            await shop.slow("b")
            await saga.call(shop.do, "c")
        try:
            await asyncio.sleep(1)
        except Cancelled:
            return "cancelled after the saga"
        return "never cancelled"

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(seconds=1))
        await handle.cancel()
        assert await at.end(handle) == "cancelled after the saga"
        assert at.world.effects == ["a", "b", "c"]


async def test_a_cancel_undoes() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            await asyncio.sleep(3600)

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(seconds=1))
        await handle.cancel()
        with pytest.raises(Cancelled):
            await at.end(handle)
        assert at.world.effects == ["a", "-a"]


async def test_a_call_that_a_cancel_finds_under_way_is_awaited_and_undone() -> None:
    """Its answer has the id without which it could not be undone."""

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.slow, "a").undo(shop.undo, lambda a: a.id)
            await asyncio.sleep(3600)

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(seconds=1))
        await handle.cancel()
        with pytest.raises(Cancelled):
            await at.end(handle)
        assert at.world.effects == ["a", "-a"]


@pytest.mark.parametrize("library", ["asyncio", "anyio"])
async def test_a_timeout_around_the_saga_undoes_what_has_happened(library: str) -> None:
    """Also the call that was under way when the time was up."""

    async def saga_of(ctx: Context, shop: Shop) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            await saga.call(shop.slow, "b").undo(shop.undo, lambda b: b.id)
            await shop.do("never")

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        if library == "anyio":
            with anyio.move_on_after(60) as scope:
                await saga_of(ctx, shop)
            assert scope.cancelled_caught
            return "too slow"
        try:
            async with asyncio.timeout(60):
                await saga_of(ctx, shop)
        except TimeoutError:
            return "too slow"
        return "done"

    async with bench(body) as at:
        assert await at.run() == "too slow"
        assert at.world.effects == ["a", "b", "-b", "-a"]


async def test_a_timeout_inside_the_saga_undoes() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        try:
            async with Saga(ctx) as saga:
                await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
                async with asyncio.timeout(60):
                    await asyncio.sleep(3600)
        except TimeoutError:
            return "too slow"
        return "done"

    async with bench(body) as at:
        assert await at.run() == "too slow"
        assert at.world.effects == ["a", "-a"]


async def test_a_failing_sibling_undoes() -> None:
    async def one(ctx: Context, shop: Shop, name: str, wait: float) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, name).undo(shop.undo, lambda receipt: receipt.id)
            await asyncio.sleep(wait)
            await shop.do("x")

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(one(ctx, shop, "a", 1))
            group.create_task(one(ctx, shop, "b", 60))

    async with bench(body, x=None) as at:
        with pytest.raises(Refused):
            await at.run()
        assert sorted(at.world.effects) == ["-a", "-b", "a", "b", "refused x"]


async def test_the_end_of_the_handler_does_not_cut_an_undo_short() -> None:
    """A saga in a task that nobody awaits is cancelled with the handler, and undoes first."""

    async def background(ctx: Context, shop: Shop) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            await saga.call(shop.do, "b").undo(shop.undo, lambda b: b.id)
            await asyncio.sleep(3600)

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        task = asyncio.create_task(background(ctx, shop))
        await asyncio.sleep(60)
        return f"{task.done()}"

    async with bench(body) as at:
        assert await at.run() == "False"
        assert at.world.effects == ["a", "b", "-b", "-a"]


async def test_other_errors_are_retried_and_undo_nothing() -> None:
    tries = 0

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        nonlocal tries
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            tries += 1
            if tries < 3:
                raise ValueError("a bug that passes")
        return "done"

    async with bench(body) as at:
        assert await at.run() == "done"
        assert at.world.effects == ["a"]


async def test_catching_such_an_error_outside_loses_no_undo_in_silence() -> None:
    """The handler would end with something done that is neither kept nor undone: it pauses and says so."""

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        try:
            async with Saga(ctx) as saga:
                await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
                raise ValueError("caught outside")
        except ValueError:
            return "as if nothing had happened"

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(minutes=1))
        assert "was left by ValueError" in await at.why_paused(handle.id)


async def test_the_end_of_the_handler_waits_for_an_undo_under_way() -> None:
    async def slow_undo(shop: Shop, name: str) -> None:
        await asyncio.sleep(60)
        await shop.undo(name)

    async def background(ctx: Context, shop: Shop) -> None:
        async with Saga(ctx) as saga:
            await shop.do("a")
            saga.undo(slow_undo, shop, "a")
            raise TerminalError("no")

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        task = asyncio.create_task(background(ctx, shop))
        await asyncio.sleep(1)
        return f"{task.done()}"

    async with bench(body) as at:
        assert await at.run() == "False"
        assert at.world.effects == ["a", "-a"]


async def test_a_step_that_a_cancel_finds_under_way_is_awaited_and_undone() -> None:
    """The cancellation asks it to stop; it has happened all the same."""
    started = asyncio.Event()

    async def stubborn() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "a"
        return "never"

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx) as saga:
            await saga.run("stubborn", stubborn).undo(shop.undo)
            await shop.do("b")

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await asyncio.wait_for(started.wait(), 10)
        await handle.cancel()
        with pytest.raises(Cancelled):
            await at.end(handle)
        assert at.world.effects == ["-a"]


async def test_a_sibling_that_fails_in_a_way_that_passes_pauses_with_the_saga_undone() -> None:
    """A task group cancels the saga, which undoes; that is in the journal, and the next attempt goes another way."""
    tries = 0

    async def saga_of(ctx: Context, shop: Shop) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            await asyncio.sleep(60)

    async def sibling() -> None:
        nonlocal tries
        await asyncio.sleep(30)
        tries += 1
        if tries < 3:
            raise ValueError("a bug that passes")

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(saga_of(ctx, shop))
            group.create_task(sibling())
        return "done"

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(minutes=5))
        assert "journal mismatch" in await at.why_paused(handle.id)
        assert at.world.effects == ["a", "-a"]


async def test_after_a_timeout_over_a_saga_past_its_pivot_a_cancel_is_heard_again() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        try:
            async with asyncio.timeout(60):
                async with Saga(ctx) as saga:
                    saga.pivot()
                    await saga.call(shop.slow, "a")
        except TimeoutError:
            pass
        try:
            await asyncio.sleep(36000)
        except Cancelled:
            return "heard"
        return "not heard"

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(hours=2))
        await handle.cancel()
        assert await at.end(handle) == "heard"
        assert at.world.effects == ["a"]
