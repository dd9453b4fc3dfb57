"""What bounds a saga, on a real Restate server that suspends at every wait: its time, and errors that undo it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from restate_patterns import App, Client, Context, Restate, Saga, TerminalError, saga_services
from restate_patterns.server import RunningServer
from tests.support.bounds import PATIENCE_S
from tests.support.sagas.sagas import Run, Shop, World

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]

SOON = timedelta(seconds=0.5)
Body = Callable[[Run, Context, Shop, World], Awaitable[object]]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@asynccontextmanager
async def running(server: RunningServer, body: Body) -> AsyncGenerator[tuple[World, Client]]:
    world = World()
    app = App([Shop(world), Run(world, body), *saga_services()])
    backend = Restate(ingress_url=server.ingress_url, admin_url=server.admin_url, bind="127.0.0.1:0")
    async with app.start(backend) as client, asyncio.timeout(PATIENCE_S):
        yield world, client


async def too_slow(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    try:
        async with Saga(ctx, name="slow", timeout=SOON) as saga:
            await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
            world.crash_once("forward")
            saga.undo(shop.undo, "b")
            await asyncio.sleep(3600)
    except TimeoutError as error:
        world.crash_once("when it has been undone")
        return str(error)
    return "in time"


async def pivoted(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx, name="slow", timeout=SOON) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        world.crash_once("forward")
        saga.pivot()
        await asyncio.sleep(2 * SOON.total_seconds())
        await saga.call(shop.do, "b")
    world.crash_once("when it has been undone")
    return "confirmed"


@pytest.mark.parametrize("place", ["", "forward", "when it has been undone"])
@pytest.mark.parametrize(
    ("body", "came_to", "effects"),
    [
        (too_slow, "the saga 'slow' was not over within 0:00:00.500000", ["a", "-b", "-a"]),
        (pivoted, "confirmed", ["a", "b"]),
    ],
)
async def test_a_saga_has_its_time(
    suspending_restate_server: RunningServer, body: Body, came_to: str, effects: list[str], place: str
) -> None:
    async with running(suspending_restate_server, body) as (world, client):
        world.crash_at = place
        assert await client.service_client(Run).run() == came_to
        assert world.effects == effects


async def broken(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, name="trip", undo_on=[LookupError]) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        world.crash_once("forward")
        raise KeyError("seat")


@pytest.mark.parametrize("place", ["", "forward"])
async def test_an_error_that_undoes_ends_the_saga(suspending_restate_server: RunningServer, place: str) -> None:
    async with running(suspending_restate_server, broken) as (world, client):
        world.crash_at = place
        with pytest.raises(TerminalError, match="the saga 'trip' failed: KeyError: 'seat'"):
            await client.service_client(Run).run()
        assert world.effects == ["a", "-a"]
