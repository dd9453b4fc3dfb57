"""The ingress below a prefix of somebody else's paths: paths, hosts, tokens, and an engine that is there or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from restate_patterns import DefinitionError, Embedded, IngressApp, UsageError
from restate_patterns.http.asgi import AsgiApp
from restate_patterns.http.mounting import raw_path_below
from tests.support.bounds import PATIENCE_S
from tests.support.processes.workshop import Counter, make

pytestmark = pytest.mark.anyio
LOCAL = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("raw_path", "root_path", "below"),
    [
        (b"/durable/Counter/a%2Fb/get", "/durable", b"/Counter/a%2Fb/get"),
        (b"/api/v1/Counter/k/get", "/api/v1", b"/Counter/k/get"),
        (b"/api/v1/Counter/k/get", "/api/v1/", b"/Counter/k/get"),
        (b"/dur%61ble/Shop/nap", "/durable", b"/Shop/nap"),
        (b"/caf%C3%A9/Shop/nap", "/café", b"/Shop/nap"),
        (b"/Shop/nap", "/durable", b"/Shop/nap"),  # a proxy has cut it off
        (b"/durables/Shop/nap", "/durable", b"/durables/Shop/nap"),
        (b"/durable", "/durable", b"/"),
        (b"/Shop/nap", "", b"/Shop/nap"),
        (None, "/durable", b"/Counter/%C3%A9/get"),
    ],
)
async def test_the_path_below_a_prefix(raw_path: bytes | None, root_path: str, below: bytes) -> None:
    scope: dict[str, Any] = {"path": "/durable/Counter/é/get", "root_path": root_path}
    if raw_path is not None:
        scope["raw_path"] = raw_path
    assert raw_path_below(scope) == below


@asynccontextmanager
async def mounted(ingress: AsgiApp, url: str = LOCAL) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(ingress, root_path="/durable")
    async with httpx.AsyncClient(transport=transport, base_url=f"{url}/durable") as http:
        yield http


def ingress_app(**options: Any) -> IngressApp:
    return Embedded(**options).asgi_app(make())


async def test_calls_below_a_prefix_and_in_process_reach_the_same_engine() -> None:
    ingress = ingress_app()
    async with ingress.running() as client, mounted(ingress) as http:
        assert (await http.post("/Counter/a%2Fb/add", json=2)).json() == 2
        assert await client.object_client(Counter, "a/b").add(3) == 5
        assert (await http.get("/restate/health")).status_code == 200
        sent = await http.post("/Counter/a%2Fb/add/send", json=1)
        assert (await http.get(f"/restate/invocation/{sent.json()['invocationId']}/attach")).json() == 6


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("10.0.0.7:8000", 200), ("shop.example.com", 200), ("evil.example", 403), ("testserver", 403)],
)
async def test_names_must_be_allowed_and_addresses_need_not(host: str, status: int) -> None:
    """What the outer server is bound to is not known here; no page can turn an address elsewhere."""
    ingress = ingress_app(allowed_hosts=["shop.example.com"])
    async with ingress.running(), mounted(ingress) as http:
        answer = await http.get("/Counter/k/get", headers={"host": host})
        assert answer.status_code == status
        assert status == 200 or "allowed_hosts=" in answer.json()["message"]


@pytest.mark.parametrize(("origin", "status"), [(LOCAL, 200), ("http://evil.example", 403)])
async def test_pages_of_the_same_site_may_call_and_others_may_not(origin: str, status: int) -> None:
    ingress = ingress_app()
    async with ingress.running(), mounted(ingress) as http:
        assert (await http.post("/Counter/k/add", json=1, headers={"origin": origin})).status_code == status


async def test_a_token_is_asked_for_below_a_prefix_too_and_health_stays_open() -> None:
    ingress = ingress_app(ingress_token="t")
    async with ingress.running(), mounted(ingress) as http:
        assert (await http.get("/Counter/k/get")).status_code == 401
        assert (await http.get("/Counter/k/get", headers={"authorization": "Bearer t"})).status_code == 200
        assert (await http.get("/restate/health")).status_code == 200


async def test_the_admin_api_is_where_it_is_put_and_with_a_token_only() -> None:
    with pytest.raises(DefinitionError, match="admin_token="):
        _ = ingress_app().admin
    ingress = ingress_app(admin_token="a")
    async with ingress.running(), mounted(ingress) as http, mounted(ingress.admin) as admin:
        assert (await http.get("/embedded/invocations")).status_code == 404
        assert (await admin.get("/embedded/invocations")).status_code == 401
        listed = await admin.get("/embedded/invocations", headers={"authorization": "Bearer a"})
        assert listed.json()["invocations"] == []
        version = await admin.get("/version", headers={"authorization": "Bearer a"})
        assert version.json()["ingress_endpoint"] is None


async def test_without_its_engine_it_says_where_that_is_started() -> None:
    ingress = ingress_app()
    async with mounted(ingress) as http:
        with pytest.raises(RuntimeError, match=r"`async with ingress\.running\(\) as client:`"):
            await http.get("/Counter/k/get")
        for _ in range(2):
            async with ingress.running():
                assert (await http.post("/Counter/k/add", json=1)).json() == 1
                with pytest.raises(UsageError, match="runs already"):
                    async with ingress.running():
                        pass
            assert (await http.get("/Counter/k/get")).status_code == 503


async def test_who_waits_when_it_ends_is_answered() -> None:
    ingress = ingress_app()
    async with mounted(ingress) as http:
        async with ingress.running():
            waiting = asyncio.create_task(http.post("/Shop/ring"))
            async with asyncio.timeout(PATIENCE_S):
                while not _rings(ingress):
                    await asyncio.sleep(0.01)
        answer = await waiting
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "goes on at its next start" in answer.json()["message"]


def _rings(ingress: IngressApp) -> bool:
    door = ingress._ingress.door
    return door is not None and door.open_count == 1


async def told(ingress: IngressApp, *messages: str) -> list[dict[str, Any]]:
    """Play a server's lifespan."""
    coming = iter(messages)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": next(coming)}

    async def send(message: Any) -> None:
        sent.append(message)

    await ingress({"type": "lifespan"}, receive, send)
    return sent


async def test_a_server_runs_it_for_its_lifespan(tmp_path: Any) -> None:
    ingress = ingress_app(file=tmp_path / "shop.db")
    both = await told(ingress, "lifespan.startup", "lifespan.shutdown")
    assert [message["type"] for message in both] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    async with ingress.running():
        (failed,) = await told(ingress_app(file=tmp_path / "shop.db"), "lifespan.startup")
    assert failed["type"] == "lifespan.startup.failed"
    assert "One process owns an embedded file at a time" in failed["message"]
