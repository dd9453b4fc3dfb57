"""A move that dies at any request to a real Restate server goes on without a loss and without a double."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from restate_patterns import App, Embedded
from restate_patterns.cli.couriers import courier_of
from restate_patterns.embedded.inventory import ParkedFile
from restate_patterns.moving.destination import Destination
from restate_patterns.moving.errors import StateNotWritten
from restate_patterns.moving.mover import Mover
from restate_patterns.moving.refusals import Why
from restate_patterns.server import RunningServer
from restate_patterns.system.clock import wall_ms
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.processes.depots import Depot, Letters, Route
from tests.support.restate.service_process import services_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DELAY = timedelta(seconds=2)
CAME = [
    *("begun", "queued 0", "queued 1", "keyed"),
    *("put 0", "stored 0", "put 1", "stored 1", "put 2", "stored 2"),
]


@pytest.fixture(scope="module")
def server(restate_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the depots registered and served."""
    with services_of("tests.support.processes.depots:app", restate_server, tmp_path_factory.mktemp("depots")):
        yield restate_server


class Died(BaseException):
    """The process is no more."""


class DyingTransport(httpx.AsyncBaseTransport):
    """Dies with one of the requests: before the server has it, or before its answer is here.

    Args:
        at: With which request, counted from 1.
        delivered: Whether the server has it.
        die: What else ends when the process does.
    """

    def __init__(self, at: int, *, delivered: bool, die: Callable[[], None]) -> None:
        self._sockets = httpx.AsyncHTTPTransport()
        self._at = at
        self._delivered = delivered
        self._die = die
        self.requests_count = 0

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests_count += 1
        number = self.requests_count
        if number > self._at:
            raise Died
        if number == self._at and not self._delivered:
            self._die()
            raise Died
        answer = await self._sockets.handle_async_request(request)
        if number == self._at:
            await answer.aread()
            self._die()
            raise Died
        return answer

    @override
    async def aclose(self) -> None:
        await self._sockets.aclose()


async def fill(file: Path, prefix: str) -> None:
    depot = Depot()
    async with App([depot, Route(), Letters()]).start(Embedded(file)) as client:
        first = client.object_client(Depot, f"{prefix}a")
        await first.put("begun")
        await first.plan(DELAY // timedelta(milliseconds=1))
        await client.object_client(Depot, f"{prefix}b").own("me")
        depot.broken = True
        await first.put.send("queued 0")
        await first.put.send("queued 1")
        await first.put.with_options(idempotency_key=f"{prefix}once").send("keyed")
        await client.service_client(Letters).post.send_after(DELAY, f"{prefix}b")
        await client.workflow_client(Route, f"{prefix}r").run.send_after(DELAY)


async def move(file: Path, server: RunningServer, at: int, *, delivered: bool) -> int | None:
    """Move until the process dies; gives after how many requests it was done, or None."""
    with ParkedFile(file) as parked:
        # A dead process writes nothing more, not even what Python does on its way out.
        transport = DyingTransport(at, delivered=delivered, die=lambda: parked.__exit__(None, None, None))
        try:
            async with Destination(server.admin_url, server.ingress_url, transport=transport) as destination:
                mover = Mover(parked, destination, now_ms=wall_ms, courier=True)
                await mover.move(await mover.plan(), courier_of(destination, at=None, token=None))
        except BaseException:
            if transport.requests_count < at:
                raise
            return None
        return transport.requests_count


def check(server: RunningServer, prefix: str) -> None:
    deadline = time.monotonic() + PATIENCE_S

    def listed(key: str) -> list[str]:
        found: list[str] = loopback.post(f"{server.ingress_url}/Depot/{prefix}{key}/list").json()
        return found

    while len(came := listed("a")) < len(CAME) or len(listed("b")) < 1:
        assert time.monotonic() < deadline, f"{prefix}a got {came}"
        time.sleep(0.05)
    assert came == CAME, prefix
    assert listed("b") == ["letter -"], prefix
    sql = f"SELECT id FROM sys_invocation WHERE target = 'Route/{prefix}r/run'"
    query = loopback.post(f"{server.admin_url}/query", json={"query": sql}, headers={"accept": "application/json"})
    assert len(query.json()["rows"]) == 1, prefix


@pytest.mark.parametrize("delivered", [False, True], ids=["not sent", "not answered"])
def test_dying_at_each_request(server: RunningServer, tmp_path: Path, *, delivered: bool) -> None:
    at, prefixes = 0, list[str]()
    while True:
        at += 1
        prefix = f"{'answer' if delivered else 'request'}{at}-"
        file = tmp_path / f"{prefix}.db"
        asyncio.run(fill(file, prefix))
        prefixes.append(prefix)
        if asyncio.run(move(file, server, at, delivered=delivered)) is not None:
            break
        assert asyncio.run(move(file, server, 1_000, delivered=True)) is not None
    assert at > 12
    for prefix in prefixes:
        check(server, prefix)


def test_dying_again_and_again(server: RunningServer, tmp_path: Path) -> None:
    """Each run of the same move gets one request further than the last."""
    file = tmp_path / "depots.db"
    asyncio.run(fill(file, "again-"))
    for at in range(1, 1_000):
        if asyncio.run(move(file, server, at, delivered=at % 2 == 0)) is not None:
            break
    check(server, "again-")


def test_state_that_somebody_writes_meanwhile_is_not_overwritten(server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "depots.db"
    asyncio.run(fill(file, "meanwhile-"))

    async def interfere() -> None:
        with ParkedFile(file) as parked:
            async with (
                Destination(server.admin_url, server.ingress_url) as destination,
                loopback.async_client() as other,
            ):
                mover = Mover(parked, destination, now_ms=wall_ms, courier=True)
                plan = await mover.plan()
                await other.post(f"{server.ingress_url}/Depot/meanwhile-b/own", json="somebody")
                with pytest.raises(StateNotWritten, match=r"state of Depot/meanwhile-b .* somebody else has written"):
                    await mover.move(plan, courier_of(destination, at=None, token=None))
                again = await mover.plan()
                await mover.move(again, courier_of(destination, at=None, token=None))  # the rest, as a person may ask
        assert [(each.why, each.subject) for each in again.refusals] == [
            (Why.STATE_DIFFERS, "Depot/meanwhile-b"),
        ]

    asyncio.run(interfere())
    owner = loopback.post(
        f"{server.admin_url}/query",
        json={
            "query": "SELECT value_utf8 FROM state WHERE service_name = 'Depot' AND service_key = 'meanwhile-b' "
            "AND key = 'owner'"
        },
        headers={"accept": "application/json"},
    )
    assert owner.json()["rows"] == [{"value_utf8": '"somebody"'}]
