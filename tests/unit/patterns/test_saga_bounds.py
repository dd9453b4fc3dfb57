"""What bounds a saga: a time, and errors that undo it though they are not terminal."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from restate_patterns import Cancelled, Context, DefinitionError, Saga, TerminalError, TimedOut
from tests.support.sagas.sagas import Refused, Run, Shop, World, bench

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def too_slow(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    try:
        async with Saga(ctx, name="slow", timeout=MINUTE) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            await asyncio.sleep(3600)
    except TimeoutError as error:
        return str(error)
    return "in time"


async def left_too_late(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, timeout=MINUTE) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        await asyncio.sleep(3600)


async def slow_action(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, timeout=MINUTE) as saga:
        await saga.call(shop.slow, "a").undo(shop.undo, lambda a: a.id)


async def in_time(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx, timeout=MINUTE) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
    await asyncio.sleep(3600)
    return "went on"


async def pivoted(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx, timeout=MINUTE) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        saga.pivot()
        await asyncio.sleep(3600)
        await saga.call(shop.do, "b")
    return "confirmed"


async def slow_undo(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, timeout=MINUTE) as saga:
        saga.undo(shop.undo, "b")
        saga.undo(shop.slow, "a")
        await shop.do("d")


async def shorter_outside(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    try:
        async with asyncio.timeout(30), Saga(ctx, timeout=MINUTE) as saga:
            saga.undo(shop.undo, "a")
            await asyncio.sleep(3600)
    except TimeoutError as error:
        return f"outside {error}"
    return "in time"


@pytest.mark.parametrize("replay_always", [False, True])
@pytest.mark.parametrize(
    ("body", "came_to", "effects"),
    [
        (too_slow, "the saga 'slow' was not over within 0:01:00", ["a", "-a"]),
        (slow_action, TimedOut, ["a", "-a"]),
        (left_too_late, TimedOut, ["a", "-a"]),
        (in_time, "went on", ["a"]),
        (pivoted, "confirmed", ["a", "b"]),
        (slow_undo, Refused, ["refused d", "a", "-b"]),
        (shorter_outside, "outside ", ["-a"]),
    ],
)
async def test_a_saga_has_its_time(body: Any, came_to: Any, effects: list[str], replay_always: bool) -> None:
    async with bench(body, d=None, replay_always=replay_always) as at:
        if isinstance(came_to, str):
            assert await at.run() == came_to
        else:
            with pytest.raises(came_to):
                await at.run()
        assert at.world.effects == effects


async def broken(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, name="trip", undo_on=[LookupError]) as saga:
        saga.undo(shop.undo, "a")
        raise KeyError("seat")


async def broken_twice(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, name="trip", undo_on=[LookupError]) as saga:
        saga.undo(shop.undo, "a")
        raise ExceptionGroup("both", [TerminalError("no"), KeyError("seat")])


async def caught(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    try:
        await broken(run, ctx, shop, world)
    except TerminalError as error:
        return type(error.__cause__).__name__
    return "went on"


@pytest.mark.parametrize("replay_always", [False, True])
@pytest.mark.parametrize("body", [broken, broken_twice])
async def test_an_error_that_undoes_ends_the_saga(body: Any, replay_always: bool) -> None:
    async with bench(body, replay_always=replay_always) as at:
        with pytest.raises(TerminalError, match=r"the saga 'trip' failed: KeyError: 'seat'") as raised:
            await at.run()
        assert raised.value.code == 500
        assert at.world.effects == ["-a"]


async def test_its_cause_is_the_error() -> None:
    async with bench(caught) as at:
        assert await at.run() == "KeyError"


async def test_other_errors_are_tried_again() -> None:
    tries: list[str] = []

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        async with Saga(ctx, undo_on=[LookupError]) as saga:
            saga.undo(shop.undo, "a")
            tries.append("try")
            if len(tries) == 1:
                raise ExceptionGroup("both", [KeyError("seat"), ConnectionError("no route")])
            if len(tries) == 2:
                raise ConnectionError("no route")
        return "went on"

    async with bench(body) as at:
        assert await at.run() == "went on"
        assert at.world.effects == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout": 5}, r"Saga: timeout must be a timedelta, not 5 \(int\): write timedelta\(seconds=5\)"),
        ({"timeout": timedelta(0)}, "Saga: timeout=0:00:00 must be above 0"),
        ({"undo_on": KeyError()}, r"Saga: undo_on must be classes of errors, as in \[ConnectionError\]"),
    ],
)
async def test_what_makes_no_sense(options: dict[str, Any], says: str) -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        try:
            Saga(ctx, **options)
        except DefinitionError as error:
            return str(error)
        return "nothing"

    async with bench(body) as at:
        assert says.replace("\\", "") in await at.run()


async def test_a_replay_without_the_error_is_no_other_saga() -> None:
    """What undid it was mended, or does not come again: the invocation pauses, and says at what."""
    tries: list[str] = []

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        async with Saga(ctx, name="trip", undo_on=[LookupError]) as saga:
            saga.undo(shop.slow, "a")
            tries.append("try")
            if len(tries) == 1:
                raise KeyError("seat")
        return "went on"

    async with bench(body, replay_always=False) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.settle()
        await at.env.crash()
        await at.env.settle()
        assert "the journal has run 'undo trip'" in await at.why_paused(handle.id)


async def test_a_pivot_after_the_time_is_over_is_named() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx, timeout=MINUTE) as saga:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                saga.pivot()

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(2 * MINUTE)
        assert "saga.pivot() after the saga's timeout" in await at.why_paused(handle.id)


async def test_a_saga_that_does_not_begin_leaves_no_limit() -> None:
    """The first one's pivot has held back the cancellation, so the second one meets it as it begins."""

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> str:
        async with Saga(ctx) as first:
            first.pivot()
            await asyncio.sleep(60)
        try:
            async with Saga(ctx, logged=True, timeout=60 * MINUTE):
                raise AssertionError("it has begun")
        except Cancelled:
            await asyncio.sleep(7200)
            return "cleaned up"

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.settle()
        await handle.cancel()
        assert await at.end(handle) == "cleaned up"


async def test_an_undo_that_is_given_a_value_is_refused_before_the_action() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, "a")  # type: ignore[call-overload]  # the mistake under test

    async with bench(body) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.settle()
        assert "and a str is none" in await at.why_paused(handle.id)
        assert at.world.effects == []
