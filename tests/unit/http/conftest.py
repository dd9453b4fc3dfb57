"""The ingress and the admin API over a scripted engine, reached through ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from restate_patterns.http.admin import Admin
from restate_patterns.http.door import Door
from restate_patterns.http.exposure import Exposure
from restate_patterns.http.ingress import Ingress
from tests.support.http.fake_engine import FakeEngine


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def ingress(engine: FakeEngine, anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Door(Ingress(engine), Exposure().ingress_guard()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


@pytest.fixture
async def admin(engine: FakeEngine, anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    app = Door(Admin(engine, ingress_url="http://127.0.0.1:8080"), Exposure().admin_guard())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9070") as client:
        yield client
