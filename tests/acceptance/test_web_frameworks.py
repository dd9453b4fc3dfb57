"""Beside real web frameworks and servers; what the guide's page shows in process, it runs itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import hypercorn.asyncio
import hypercorn.config
import pytest
import uvicorn
from granian.constants import Interfaces
from granian.server.embed import Server as Granian

from restate_patterns import Client, Embedded, IngressApp
from restate_patterns.server.ports import free_ports
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.processes.workshop import Counter, make

WEB = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from restate_patterns import Embedded
from tests.support.processes.workshop import Counter, make

ingress = Embedded("shop.db").asgi_app(make())


@asynccontextmanager
async def lifespan(web):
    async with ingress.running() as client:
        web.state.client = client
        yield


web = FastAPI(lifespan=lifespan)
web.mount("/durable", ingress)


@web.post("/add/{key}")
async def add(key: str) -> int:
    return await web.state.client.object_client(Counter, key).add(1)
"""


def test_of_several_workers_one_serves_and_the_others_say_who_has_the_file(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(WEB)
    (port,) = free_ports(1)
    said = tmp_path / "said"
    command = [sys.executable, "-m", "uvicorn", "web:web", "--workers", "2", "--port", str(port)]
    with said.open("w") as to:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            stderr=to,
            stdout=to,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while "is in use by process" not in said.read_text() or "startup complete" not in said.read_text():
            assert time.monotonic() < deadline, said.read_text()
            assert server.poll() is None, said.read_text()
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}"
        with loopback.client(base_url=url, timeout=PATIENCE_S) as http:
            assert http.post("/add/k").json() == 1
            assert http.post("/durable/Counter/k/add", json=1).json() == 2
        assert "One process owns an embedded file at a time" in said.read_text()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(PATIENCE_S)
        finally:
            try:
                os.killpg(server.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


async def under_uvicorn(ingress: IngressApp, port: int, over: asyncio.Event) -> None:
    server = uvicorn.Server(uvicorn.Config(ingress, port=port, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    await over.wait()
    server.should_exit = True
    await serving


async def under_hypercorn(ingress: IngressApp, port: int, over: asyncio.Event) -> None:
    config = hypercorn.config.Config.from_mapping(bind=[f"127.0.0.1:{port}"])
    await hypercorn.asyncio.serve(ingress, config, shutdown_trigger=over.wait)  # type: ignore[arg-type]  # its own types


# Granian's default replaces every logging handler of the process.
LOGGING: dict[str, object] = {"incremental": True, "formatters": {}, "handlers": {}, "loggers": {}}


async def under_granian(ingress: IngressApp, port: int, over: asyncio.Event) -> None:
    server = Granian(ingress, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_dictconfig=LOGGING)
    serving = asyncio.create_task(server.serve())
    await over.wait()
    server.stop()  # type: ignore[no-untyped-call]  # Granian declares no types there
    await serving


@pytest.mark.anyio
@pytest.mark.parametrize("under", [under_uvicorn, under_hypercorn, under_granian])
async def test_by_itself_it_runs_under_any_asgi_server(under: object, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    over = asyncio.Event()
    ingress = Embedded(tmp_path / "shop.db").asgi_app(make())
    serving = asyncio.create_task(under(ingress, port, over))  # type: ignore[operator]
    async with Client(f"http://127.0.0.1:{port}") as client:
        counter = client.object_client(Counter, "a/b")
        assert await counter.add.with_options(idempotency_key="first")(1) == 1
        assert await counter.add(1) == 2
    over.set()
    await asyncio.wait_for(serving, PATIENCE_S)
    async with make().start(Embedded(tmp_path / "shop.db")) as again:
        assert await again.object_client(Counter, "a/b").get() == 2


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the tests of this file that take it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def shared(anyio_backend: str) -> AsyncIterator[Client]:
    async with make().start() as client:
        yield client


@pytest.mark.anyio
@pytest.mark.parametrize("total", [1, 2])
async def test_an_engine_lives_as_long_as_the_loop_of_its_fixture(shared: Client, total: int) -> None:
    assert await shared.object_client(Counter, f"of {total}").add(total) == total
