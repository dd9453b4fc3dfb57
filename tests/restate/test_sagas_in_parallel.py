"""Sagas whose actions run beside each other, and kills of sagas that want a lock, on a real Restate server."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

import pytest

from restate_patterns import App, Client, Restate, TerminalError, saga_services
from restate_patterns.admin import AdminClient
from restate_patterns.server import RunningServer
from tests.property.test_semantic_locks import Account, Schedule, Worker
from tests.support.bounds import PATIENCE_S
from tests.support.sagas.saga_parallel import KINDS, WAYS, Beside, Depot, Ledger, Parallel, check

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(240)]

QUIET_S: Final = 0.05
SAMPLE: Final = [
    Parallel(way=way, kinds=(KINDS[(at + number) % len(KINDS)], kind), failing=number % 3)
    for at, way in enumerate(WAYS)
    for number, kind in enumerate(KINDS)
]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@asynccontextmanager
async def started(app: App, server: RunningServer) -> AsyncIterator[Client]:
    backend = Restate(ingress_url=server.ingress_url, admin_url=server.admin_url, bind="127.0.0.1:0")
    async with app.start(backend) as client:
        yield client


def test_the_sample_has_each_way_with_each_kind_and_each_way_failing() -> None:
    assert {(plan.way, plan.kinds[1]) for plan in SAMPLE} == {(way, kind) for way in WAYS for kind in KINDS}
    assert {(plan.way, plan.failing) for plan in SAMPLE} == {(way, failing) for way in WAYS for failing in range(3)}


@pytest.mark.parametrize("suspends", [False, True], ids=["stays", "always-suspends"])
async def test_each_effect_stays_or_is_undone_once(
    suspends: bool, restate_server: RunningServer, suspending_restate_server: RunningServer
) -> None:
    ledger = Ledger()
    server = suspending_restate_server if suspends else restate_server
    async with started(App([Depot(ledger), Beside(ledger)]), server) as client:
        for plan in SAMPLE:
            ledger.clear(str(plan.failing) if plan.failing else "")
            async with asyncio.timeout(PATIENCE_S):
                outcome = await client.service_client(Beside).book(plan)
            await asyncio.sleep(QUIET_S)
            try:
                check(plan, ledger, outcome, crash_count=0)
            except AssertionError as error:
                error.add_note(str(plan))
                raise


@pytest.mark.parametrize("victim", ["one", "two"])
async def test_a_killed_saga_leaves_the_line_or_gives_the_record_back(
    victim: Literal["one", "two"], suspending_restate_server: RunningServer
) -> None:
    """The first one owns the record, the second waits in line; whichever is killed, the third gets its turn."""
    server, key = suspending_restate_server, uuid.uuid4().hex
    app = App([Account(), Worker(), *saga_services()])
    async with AdminClient(server.admin_url) as admin, started(app, server) as client:
        worker, account = client.service_client(Worker), client.object_client(Account, key)
        plans = [
            Schedule(name=name, start_s=0, think_s=think, records=(key,), fails=False, locks="wait")
            for name, think in (("one", 3), ("two", 0), ("three", 0))
        ]
        sagas = {}
        async with asyncio.timeout(PATIENCE_S):
            for plan in plans:
                sagas[plan.name] = await worker.add.send(plan)
                while await account.pending() is None:
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.5)
            await admin.kill(sagas[victim].id)
            for name, saga in sagas.items():
                if name != victim:
                    assert await saga.result() == "committed", name
            with pytest.raises(TerminalError):
                await sagas[victim].result()
            while await account.pending() is not None:
                await asyncio.sleep(0.02)
