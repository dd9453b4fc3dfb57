"""Typed clients and plain HTTP against the real engine, over sockets and in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from restate_patterns import (
    AlreadyInvoked,
    AwakeableId,
    Cancelled,
    Client,
    Embedded,
    IdempotencyKeyReused,
    InvocationNotFound,
    NotReady,
    TerminalError,
)
from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.embedded.engine import Engine
from restate_patterns.http.server import HttpServer
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.processes.workshop import Approval, Bell, Counter, OutOfStockError, Shop, make

pytestmark = pytest.mark.anyio

WAIT = timedelta(seconds=PATIENCE_S)


@dataclass
class Running:
    engine: Engine
    server: HttpServer


@pytest.fixture
async def running(anyio_backend: str) -> AsyncIterator[Running]:
    engine = Embedded(inactivity_timeout=timedelta(0)).engine(make().deployment)
    await engine.start()
    async with HttpServer(engine, ingress_port=0, admin_port=0) as server:
        yield Running(engine, server)
    await engine.stop()


@pytest.fixture(params=["over HTTP", "in process"])
async def client(request: pytest.FixtureRequest, running: Running) -> AsyncIterator[Client]:
    if request.param == "in process":
        yield Client.over(EngineCaller(running.engine))
        return
    urls = running.server
    async with Client(urls.ingress_url, admin_url=urls.admin_url) as client:
        yield client


@pytest.fixture
async def http(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with loopback.async_client(base_url=running.server.ingress_url, timeout=PATIENCE_S) as client:
        yield client


async def test_calls(client: Client) -> None:
    counter = client.object_client(Counter, "a/b é")
    assert await counter.add(3) == 3
    assert await counter.get() == 3
    await client.service_client(Shop).nothing()


async def test_handles(client: Client) -> None:
    counter = client.object_client(Counter, "handles")
    sent = await counter.add.with_options(idempotency_key="once").send(5)
    assert await sent.result(timeout=WAIT) == 5
    assert await counter.add.with_options(idempotency_key="once")(5) == 5
    with pytest.raises(IdempotencyKeyReused):
        await counter.add.with_options(idempotency_key="once")(7)
    assert await counter.add.with_options(idempotency_key="once").handle().output() == 5
    assert await client.invocation(Counter.add, sent.id).result() == 5
    with pytest.raises(InvocationNotFound):
        await counter.add.with_options(idempotency_key="never").handle().output()


async def test_errors_keep_their_class_and_fields(client: Client) -> None:
    with pytest.raises(OutOfStockError) as raised:
        await client.service_client(Shop).buy("tea")
    assert (raised.value.item, raised.value.code) == ("tea", 410)


async def test_headers(client: Client) -> None:
    trace = client.service_client(Shop).trace.with_options(headers={"x-trace": "é"})
    assert (await trace("x"))["x-trace"] == "é"


async def test_timeout_and_cancel(client: Client) -> None:
    nap = client.service_client(Shop).nap
    with pytest.raises(TimeoutError, match="the invocation goes on"):
        await nap.with_options(timeout=timedelta(milliseconds=20))(3600)
    sent = await nap.send(3600)
    assert isinstance(await sent.output(), NotReady)
    await sent.cancel()
    with pytest.raises(Cancelled):
        await sent.result(timeout=WAIT)
    await sent.cancel()


async def test_delayed_send_is_cancelled_before_it_is_due(client: Client) -> None:
    sent = await client.service_client(Shop).nothing.send_after(timedelta(hours=1))
    await sent.cancel()
    with pytest.raises(InvocationNotFound):
        await sent.output()


async def test_workflow(client: Client) -> None:
    approval = client.workflow_client(Approval, "ann")
    sent = await approval.run.send(100)
    with pytest.raises(AlreadyInvoked):
        await approval.run(100)
    assert isinstance(await approval.run.handle().output(), NotReady)
    await approval.decide(True)
    assert await approval.run.handle().result(timeout=WAIT) is True
    assert (await approval.run.send(100)).id == sent.id


async def ringing(client: Client) -> AwakeableId[str]:
    async with asyncio.timeout(PATIENCE_S):
        while (found := await client.object_client(Bell, "door").known()) is None:
            await asyncio.sleep(0.01)
    return AwakeableId[str](found)


async def test_awakeable_is_resolved(client: Client) -> None:
    sent = await client.service_client(Shop).ring.send()
    await (await ringing(client)).resolve(client, "ding")
    assert await sent.result(timeout=WAIT) == "ding"


async def test_awakeable_is_rejected_with_a_declared_error(client: Client) -> None:
    sent = await client.service_client(Shop).ring.send()
    await (await ringing(client)).reject(client, OutOfStockError(item="bells"))
    with pytest.raises(OutOfStockError) as raised:
        await sent.result(timeout=WAIT)
    assert raised.value.item == "bells"


async def test_private_handlers(client: Client) -> None:
    with pytest.raises(TerminalError, match="not public"):
        await client.service_client(Shop).secret()


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/Counter/k/add", b"{", 400, "Invalid JSON"),
        ("/Counter/k/add", b'"x\xff"', 400, "Invalid JSON"),
        ("/Counter/k/add", b'"x"', 400, "valid integer"),
        ("/Counter/k/add", b"1.5", 400, "valid integer"),
    ],
)
async def test_bad_bodies_name_the_place(
    http: httpx.AsyncClient, path: str, body: bytes, status: int, message: str
) -> None:
    answer = await http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert message in answer.json()["message"]
    assert (await http.get("/Counter/k/get")).json() == 0


async def test_promise_completed_twice(http: httpx.AsyncClient) -> None:
    assert (await http.post("/Approval/bob/decide", json=True)).status_code == 200
    again = await http.post("/Approval/bob/decide", json=False)
    assert (again.status_code, again.json()["message"]) == (409, "promise was already completed")
    assert (await http.post("/Approval/bob/run", json=1)).json() is True
    second = await http.post("/Approval/bob/run", json=1)
    assert second.status_code == 409
    attached = await http.get("/restate/workflow/Approval/bob/attach")
    assert attached.headers["x-restate-id"] == second.headers["x-restate-id"]


async def test_awakeable_over_plain_http(http: httpx.AsyncClient, running: Running) -> None:
    sent = (await http.post("/Shop/ring/send")).json()["invocationId"]
    awakeable_id = await ringing(Client.over(EngineCaller(running.engine)))
    for _ in range(2):
        resolved = await http.post(f"/restate/awakeables/{awakeable_id}/resolve", json="ding")
        assert resolved.status_code == 202
    assert (await http.get(f"/restate/invocation/{sent}/attach")).json() == "ding"
    assert (await http.post("/restate/a/garbage/resolve", json=1)).status_code == 400


async def test_rejection_is_a_message(http: httpx.AsyncClient, running: Running) -> None:
    sent = (await http.post("/Shop/ring/send")).json()["invocationId"]
    awakeable_id = await ringing(Client.over(EngineCaller(running.engine)))
    await http.post(f"/restate/a/{awakeable_id}/reject", content="nobody home")
    answer = await http.get(f"/restate/invocation/{sent}/attach")
    assert (answer.status_code, answer.json()["message"]) == (500, "nobody home")


async def test_idempotent_replay(http: httpx.AsyncClient) -> None:
    headers = {"idempotency-key": "i"}
    first = await http.post("/Counter/i/add", json=1, headers=headers)
    again = await http.post("/Counter/i/add", json=1, headers=headers)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["x-restate-id"] == first.headers["x-restate-id"]
    assert "idempotency-expires" in again.headers
    assert "idempotency-expires" not in first.headers


async def test_killed_and_cancelled(http: httpx.AsyncClient, running: Running) -> None:
    for verb, message in (("kill", "killed"), ("cancel", "cancelled")):
        sent = (await http.post("/Shop/nap/send", json=3600)).json()["invocationId"]
        admin = f"{running.server.admin_url}/invocations/{sent}"
        assert (await http.patch(f"{admin}/{verb}")).status_code == (200 if verb == "kill" else 202)
        answer = await http.get(f"/restate/invocation/{sent}/attach")
        assert (answer.status_code, answer.json()["message"]) == (409, message)
        assert (await http.patch(f"{admin}/{verb}")).status_code == 409


async def test_unknown_ids(http: httpx.AsyncClient, running: Running) -> None:
    known = (await http.post("/Shop/nothing/send")).json()["invocationId"]
    assert (await http.get(f"/restate/invocation/{known}/attach")).status_code == 200
    assert (await http.patch(f"{running.server.admin_url}/invocations/{known}/purge")).status_code == 200
    for look in ("attach", "output"):
        assert (await http.get(f"/restate/invocation/{known}/{look}")).status_code == 404
        assert (await http.get(f"/restate/invocation/inv_nonsense/{look}")).status_code == 400
    for verb in ("cancel", "kill", "pause", "resume", "restart-as-new", "purge"):
        assert (await http.patch(f"{running.server.admin_url}/invocations/{known}/{verb}")).status_code == 404
