"""Rule 18: every answer of any kind to anything outside waits until what it depends on is durable."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.http.admin import Admin
from restate_patterns.http.door import Door
from restate_patterns.http.exposure import Exposure
from restate_patterns.http.ingress import Ingress
from tests.support.bounds import PATIENCE_S
from tests.support.processes.workshop import make

pytestmark = pytest.mark.anyio

TURNS_COUNT = 200
"""Turns of the event loop in which an answer that waits for nothing would be long there."""


class HeldStore(Store):
    """A store whose disk can be stopped."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.disk = threading.Event()
        self.disk.set()

    @override
    def commit(self) -> None:
        assert self.disk.wait(PATIENCE_S)
        super().commit()


@dataclass
class Held:
    store: HeldStore
    ingress: httpx.AsyncClient
    admin: httpx.AsyncClient

    async def sent(self, path: str, **options: object) -> str:
        answer = await self.ingress.post(f"{path}/send", **options)  # type: ignore[arg-type]  # httpx's own
        invocation_id: str = answer.json()["invocationId"]
        return invocation_id


@pytest.fixture
async def held(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Held]:
    store = HeldStore(tmp_path / "held.db")
    engine = Engine(make().deployment, store)
    await engine.start()
    ingress = httpx.ASGITransport(Door(Ingress(engine), Exposure().ingress_guard()))
    admin = httpx.ASGITransport(Door(Admin(engine, ingress_url="http://ingress"), Exposure().admin_guard()))
    async with (
        httpx.AsyncClient(transport=ingress, base_url="http://127.0.0.1:8080") as ingress_client,
        httpx.AsyncClient(transport=admin, base_url="http://127.0.0.1:9070") as admin_client,
    ):
        yield Held(store, ingress_client, admin_client)
    store.disk.set()
    await engine.stop()


INGRESS = [
    ("POST", "/Counter/k/add", 200),
    ("POST", "/Counter/k/add/send", 202),
    ("POST", "/Counter/once/add/send", 202),
    ("POST", "/Counter/once/add", 200),
    ("POST", "/Approval/ann/run", 409),
    ("POST", "/Approval/ann/run/send", 202),
    ("GET", "/restate/invocation/{done}/attach", 200),
    ("GET", "/restate/invocation/{done}/output", 200),
    ("GET", "/restate/invocation/{running}/output", 470),
    ("GET", "/restate/invocation/Counter/once/add/never/output", 404),
    ("GET", "/restate/workflow/Approval/nobody/attach", 404),
    ("POST", "/restate/awakeables/{awakeable}/resolve", 202),
]
ADMIN = [
    ("PATCH", "/invocations/{running}/cancel", 202),
    ("PATCH", "/invocations/{running}/kill", 200),
    ("PATCH", "/invocations/{running}/pause", 202),
    ("PATCH", "/invocations/{done}/purge", 200),
    ("PATCH", "/invocations/{done}/restart-as-new", 200),
    ("DELETE", "/invocations/{running}?mode=kill", 202),
    ("GET", "/embedded/invocations", 200),
    ("GET", "/embedded/invocations/{done}", 200),
    ("GET", "/embedded/services/Counter/state/once", 200),
    ("PATCH", "/embedded/services/Counter/state/k", 200),
    ("DELETE", "/embedded/services/Counter/state/k", 200),
]


@pytest.mark.parametrize(
    ("port", "method", "path", "status"),
    [("ingress", *row) for row in INGRESS] + [("admin", *row) for row in ADMIN],
    ids=lambda value: str(value),
)
async def test_answer_waits(held: Held, port: str, method: str, path: str, status: int) -> None:
    once = {"idempotency-key": "once"}
    done = await held.sent("/Counter/once/add", json=1, headers=once)
    assert (await held.ingress.get(f"/restate/invocation/{done}/attach")).status_code == 200
    running = await held.sent("/Shop/nap", json=3600)
    await held.sent("/Approval/ann/run", json=1)
    await held.sent("/Shop/ring")
    async with asyncio.timeout(PATIENCE_S):
        while (awakeable := (await held.ingress.get("/Bell/door/known")).json()) is None:
            await asyncio.sleep(0)

    held.store.disk.clear()
    unseen = asyncio.ensure_future(held.ingress.post("/Shop/nothing/send"))
    await turns()
    client = held.ingress if port == "ingress" else held.admin
    url = path.format(done=done, running=running, awakeable=awakeable)
    body = None if method in ("GET", "DELETE") or (port == "admin" and method != "PATCH") else b"1"
    if port == "admin" and method == "PATCH":
        body = b'{"count": 5}'
    headers = {"content-type": "application/json"} if body else {}
    if "/once/" in path and method == "POST":
        headers |= once
    asked = asyncio.ensure_future(client.request(method, url, content=body, headers=headers))
    await turns()
    assert not unseen.done()
    assert not asked.done(), f"{asked.result().status_code} before it was durable"

    held.store.disk.set()
    async with asyncio.timeout(PATIENCE_S):
        answer = await asked
        assert (await unseen).status_code == 202
    assert answer.status_code == status, answer.text


async def turns() -> None:
    for _ in range(TURNS_COUNT):
        await asyncio.sleep(0)
