"""The server on real sockets: ports, HTTP/2, bodies, disconnects, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading

import httpx
import pytest

from restate_patterns.http.ports import PortError
from restate_patterns.http.server import HttpServer
from restate_patterns.limits import BODY_BYTES_MAX
from restate_patterns.seam import ValueOrFailure
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


@pytest.fixture
async def server(engine: FakeEngine, anyio_backend: str) -> HttpServer:
    return HttpServer(engine, ingress_port=0, admin_port=0)


@pytest.mark.parametrize(("http1", "http2"), [(True, False), (False, True)])
async def test_both_versions_of_http(server: HttpServer, http1: bool, http2: bool) -> None:
    async with server, loopback.async_client(http1=http1, http2=http2) as client:
        answer = await client.post(f"{server.ingress_url}/Counter/a%2Fb/add", json=1)
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert (answer.status_code, answer.json()) == (200, 1)
        assert (await client.get(f"{server.admin_url}/health")).status_code == 200


@pytest.mark.parametrize("which", ["ingress", "admin"])
async def test_a_taken_port_is_refused_by_name(engine: FakeEngine, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"ingress_port": 0, "admin_port": 0, f"{which}_port": port}
        server = HttpServer(engine, **ports)
        with pytest.raises(PortError, match=rf"the {which} port {port} on 127.0.0.1 is taken.*--{which}-port"):
            await server.start()


async def test_our_own_port_is_refused_too(server: HttpServer, engine: FakeEngine) -> None:
    async with server:
        port = int(server.ingress_url.rsplit(":", 1)[1])
        second = HttpServer(engine, ingress_port=port, admin_port=0)
        with pytest.raises(PortError, match="is taken"):
            await second.start()


async def test_binds_to_loopback(server: HttpServer) -> None:
    async with server:
        assert server.ingress_url.startswith("http://127.0.0.1:")
        assert server.admin_url.startswith("http://127.0.0.1:")


async def test_leaves_logging_alone(server: HttpServer) -> None:
    handler = logging.StreamHandler()
    known = len(logging._handlerList)  # type: ignore[attr-defined]  # what dictConfig would empty
    async with server:
        pass
    assert len(logging._handlerList) == known  # type: ignore[attr-defined]  # as above
    handler.close()


@pytest.mark.parametrize("chunked", [True, False])
async def test_oversized_body_gets_its_answer(server: HttpServer, engine: FakeEngine, chunked: bool) -> None:
    body = b"1" * (BODY_BYTES_MAX + 1)

    async def chunks() -> object:
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    async with server, loopback.async_client(timeout=PATIENCE_S) as client:
        url = f"{server.ingress_url}/Greeter/greet"
        content = chunks() if chunked else body
        answer = await client.post(url, content=content, headers=JSON)  # type: ignore[arg-type]  # a generator
        assert answer.status_code == 413
        assert "BODY_BYTES_MAX" in answer.json()["message"]
    assert engine.requests == []


async def test_disconnect_leaves_the_invocation(server: HttpServer, engine: FakeEngine) -> None:
    engine.behaviours["Counter/add"] = lambda request: None
    async with server:
        async with loopback.async_client() as client:
            call = asyncio.ensure_future(client.post(f"{server.ingress_url}/Counter/k/add", json=1))
            await engine.until_waiting(1)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
        await engine.until_waiting(0)
        assert not engine.invocations["inv_1"].done.done()
        engine.invocations["inv_1"].done.set_result(ValueOrFailure(b"7", None))
        async with loopback.async_client() as client:
            answer = await client.get(f"{server.ingress_url}/restate/invocation/inv_1/attach")
            assert answer.json() == 7


async def test_stop_lets_requests_finish(server: HttpServer, engine: FakeEngine) -> None:
    engine.behaviours["Counter/add"] = lambda request: None
    await server.start()
    async with loopback.async_client(timeout=PATIENCE_S) as client:
        call = asyncio.ensure_future(client.post(f"{server.ingress_url}/Counter/k/add", json=1))
        await engine.until_waiting(1)
        stopping = asyncio.ensure_future(server.stop(grace_s=PATIENCE_S))
        await refused(server.ingress_url)
        assert not stopping.done()
        engine.invocations["inv_1"].done.set_result(ValueOrFailure(b"7", None))
        assert (await call).json() == 7
        await stopping


async def test_stop_leaves_after_its_bound(server: HttpServer, engine: FakeEngine) -> None:
    engine.behaviours["Counter/add"] = lambda request: None
    await server.start()
    async with loopback.async_client(timeout=PATIENCE_S) as client:
        call = asyncio.ensure_future(client.post(f"{server.ingress_url}/Counter/k/add", json=1))
        await engine.until_waiting(1)
        await server.stop(grace_s=0.05)
        answer = await call
        assert answer.status_code == 503
        assert "the invocation goes on" in answer.json()["message"]
    assert engine.waiting == 0
    assert not engine.invocations["inv_1"].done.done()


async def test_stop_is_quick_with_idle_connections(server: HttpServer) -> None:
    await server.start()
    async with loopback.async_client() as h1, loopback.async_client(http1=False, http2=True) as h2:
        for client in (h1, h2):
            assert (await client.post(f"{server.ingress_url}/Greeter/ping")).status_code == 200
        async with asyncio.timeout(5):
            await server.stop(grace_s=PATIENCE_S)


async def test_port_is_free_after_stop(server: HttpServer, engine: FakeEngine) -> None:
    async with server:
        port = int(server.ingress_url.rsplit(":", 1)[1])
    async with HttpServer(engine, ingress_port=port, admin_port=0) as again, loopback.async_client() as client:
        assert (await client.post(f"{again.ingress_url}/Greeter/ping")).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_and_handlers_are_restored(
    server: HttpServer, engine: FakeEngine, number: signal.Signals
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    serving = asyncio.ensure_future(server.serve_until_signal(grace_s=PATIENCE_S))
    await answering(server)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(PATIENCE_S):
        await serving
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


async def test_second_signal_cuts_the_grace_short(server: HttpServer, engine: FakeEngine) -> None:
    engine.behaviours["Counter/add"] = lambda request: None
    serving = asyncio.ensure_future(server.serve_until_signal(grace_s=600))
    await answering(server)
    async with loopback.async_client(timeout=PATIENCE_S) as client:
        call = asyncio.ensure_future(client.post(f"{server.ingress_url}/Counter/k/add", json=1))
        await engine.until_waiting(1)
        os.kill(os.getpid(), signal.SIGTERM)
        await refused(server.ingress_url)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            assert (await call).status_code == 503
            await serving


async def test_granian_leaves_no_thread_running_python(server: HttpServer) -> None:
    before = threading.active_count()
    async with server:
        pass
    assert threading.active_count() <= before


async def answering(server: HttpServer) -> None:
    async with asyncio.timeout(PATIENCE_S), loopback.async_client() as client:
        while True:
            with contextlib.suppress(httpx.TransportError, httpx.InvalidURL):
                if not server.admin_url.endswith(":0"):
                    await client.get(f"{server.admin_url}/health")
                    return
            await asyncio.sleep(0.01)


async def refused(url: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with loopback.async_client() as client:
                    await client.get(f"{url}/restate/health")
            except httpx.TransportError:
                return
            await asyncio.sleep(0.01)
