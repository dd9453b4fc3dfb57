"""The same callers twice: over HTTP (through ASGI), and in process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from typing_extensions import override

from restate_patterns.client.engine_caller import EngineCaller
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.http.admin import Admin
from restate_patterns.http.door import Door
from restate_patterns.http.exposure import Exposure
from restate_patterns.http.ingress import Ingress
from restate_patterns.seam import Caller
from tests.support.http.fake_engine import FakeEngine

INGRESS_URL = "http://127.0.0.1:8080"


class ServerTransport(httpx.AsyncBaseTransport):
    """Ingress and admin of an engine, by port, without sockets."""

    def __init__(self, engine: FakeEngine) -> None:
        self._by_port = {
            8080: httpx.ASGITransport(Door(Ingress(engine), Exposure().ingress_guard())),
            9070: httpx.ASGITransport(Door(Admin(engine, ingress_url=INGRESS_URL), Exposure().admin_guard())),
        }

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._by_port[request.url.port or 0].handle_async_request(request)


@pytest.fixture
async def engine(anyio_backend: str) -> FakeEngine:
    return FakeEngine()


@pytest.fixture(params=["over HTTP", "in process"])
async def caller(request: pytest.FixtureRequest, engine: FakeEngine, anyio_backend: str) -> AsyncIterator[Caller]:
    if request.param == "in process":
        yield EngineCaller(engine)
        return
    caller = HttpCaller(INGRESS_URL, transport=ServerTransport(engine))
    yield caller
    await caller.aclose()
