"""Sagas on a real Restate server that suspends at every wait, with attempts that crash on the way."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator

import pytest

from restate_patterns import App, Client, Restate, SagaLog, saga_services
from restate_patterns.server import RunningServer
from tests.property.test_semantic_locks import Account, Schedule, Worker
from tests.support.bounds import PATIENCE_S
from tests.support.sagas.saga_matrix import Outcome, Plan, Planned, check, decide_if_stuck, plans, prepare
from tests.support.sagas.sagas import Shop, World

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]

PLANS = [plan for plan in plans(3) if plan.steps == 3 and plan.failing in (0, 3)]
PLACES = ["before 2", "before 3", "before undo 1", "at the end"]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
async def running(suspending_restate_server: RunningServer) -> AsyncIterator[tuple[World, Client]]:
    world = World()
    app = App([Shop(world), Planned(world), *saga_services()])
    backend = Restate(
        ingress_url=suspending_restate_server.ingress_url,
        admin_url=suspending_restate_server.admin_url,
        bind="127.0.0.1:0",
    )
    async with app.start(backend) as client:
        yield world, client


async def finished(client: Client, world: World, plan: Plan) -> Outcome:
    handle = await client.service_client(Planned).book.send(plan)
    result = asyncio.ensure_future(handle.result())
    async with asyncio.timeout(PATIENCE_S):
        while not result.done():
            await asyncio.wait([result], timeout=0.05)
            if plan.gives_up:
                await decide_if_stuck(client, world, plan)
    outcome = result.result()
    if plan.gives_up:
        log = client.object_client(SagaLog, handle.id)
        async with asyncio.timeout(PATIENCE_S):
            while (record := await log.show()).state is not outcome.record.state:
                await asyncio.sleep(0.01)
        assert record.model_copy(update={"started_at": None, "updated_at": None}) == outcome.record
    return outcome


async def test_sagas_of_three_steps(running: tuple[World, Client]) -> None:
    world, client = running
    for plan in PLANS:
        prepare(world, plan)
        check(plan, world, await finished(client, world, plan), crash_count=0)


@pytest.mark.parametrize("place", PLACES)
async def test_attempts_that_crash(running: tuple[World, Client], place: str) -> None:
    """A crash of the attempt, forward and in the middle of an undo."""
    world, client = running
    for plan in (Plan(steps=3), Plan(steps=3, failing=3), Plan(steps=3, failing=3, failing_undo=2, gives_up=True)):
        prepare(world, plan)
        world.crash_at = place
        check(plan, world, await finished(client, world, plan), crash_count=1)


async def test_a_semantic_lock(suspending_restate_server: RunningServer) -> None:
    """The second saga waits for the first, which fails; a reader never sees what is undone."""
    app = App([Account(), Worker(), *saga_services()])
    backend = Restate(
        ingress_url=suspending_restate_server.ingress_url,
        admin_url=suspending_restate_server.admin_url,
        bind="127.0.0.1:0",
    )
    async with app.start(backend) as client:
        worker, record = client.service_client(Worker), uuid.uuid4().hex
        account = client.object_client(Account, record)
        one = Schedule(name="one", start_s=0, think_s=1, records=(record,), fails=True, locks="wait")
        two = Schedule(name="two", start_s=1, think_s=0, records=(record,), fails=False, locks="wait")
        both = asyncio.ensure_future(asyncio.gather(worker.add(one), worker.add(two)))
        seen: set[str] = set()
        async with asyncio.timeout(PATIENCE_S):
            while not both.done():
                seen.add((await account.read()).by)
        assert list(await both) == ["undone", "committed"]
        assert seen <= {"nobody", "two"}
        assert (await account.read()).value == 1
        assert await account.pending() is None
