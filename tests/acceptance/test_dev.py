"""`dev` as a process: reload, signals, `kill -9`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.processes.dev_server import DevServer

pytestmark = [pytest.mark.slow]

PROGRAM = """
import asyncio

from restate_patterns import App, Context, Service, handler


class Greeter(Service):
    @handler
    async def greet(self, ctx: Context) -> str:
        return "one"

    @handler
    async def nap(self, ctx: Context, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "rested"


app = App([Greeter()])
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DevServer]:
    (tmp_path / "program.py").write_text(PROGRAM)
    started = DevServer(tmp_path, "program:app")
    try:
        started.start()
        yield started
    finally:
        started.close()


def edit(server: DevServer, old: str, new: str) -> None:
    program = server.folder / "program.py"
    text = program.read_text()
    assert old in text
    program.write_text(text.replace(old, new))


def greeting(server: DevServer) -> object:
    return loopback.post(f"{server.ingress_url}/Greeter/greet").json()


def test_default_file_is_named_after_the_module(server: DevServer) -> None:
    assert (server.folder / "program.db").exists()
    assert "serving Greeter from program.db" in server.printed


def test_reload(server: DevServer) -> None:
    assert greeting(server) == "one"
    process = server.process.pid
    edit(server, '"one"', '"two"')
    server.until_printed("ingress http", 2)
    assert greeting(server) == "two"
    edit(server, '"two"', '"three')
    server.until_printed("waiting for a change")
    assert "SyntaxError" in server.printed
    edit(server, '"three', '"three"')
    server.until_printed("ingress http", 3)
    assert greeting(server) == "three"
    assert server.process.pid == process
    assert server.signal(signal.SIGTERM) == 0


def test_invocations_go_on_after_a_reload(server: DevServer) -> None:
    sent = loopback.post(f"{server.ingress_url}/Greeter/nap/send", json=0.5).json()["invocationId"]
    edit(server, '"rested"', '"rested well"')
    server.until_printed("ingress http", 2)
    answer = loopback.get(f"{server.ingress_url}/restate/invocation/{sent}/attach", timeout=PATIENCE_S)
    assert answer.json() == "rested well"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_requests_finish(server: DevServer, number: signal.Signals) -> None:
    async def main() -> httpx.Response:
        async with loopback.async_client(timeout=PATIENCE_S) as client:
            call = asyncio.ensure_future(client.post(f"{server.ingress_url}/Greeter/nap", json=1.5))
            async with asyncio.timeout(PATIENCE_S):
                await until_running(client, server)
            server.process.send_signal(number)
            return await call

    answer = asyncio.run(main())
    assert (answer.status_code, answer.json()) == (200, "rested")
    assert server.process.wait(PATIENCE_S) == 0


async def until_running(client: httpx.AsyncClient, server: DevServer) -> None:
    while True:
        listed = await client.get(f"{server.admin_url}/embedded/invocations?status=running")
        if listed.json()["invocations"]:
            return
        await asyncio.sleep(0.02)


def test_second_signal_leaves_at_once_and_the_work_goes_on(server: DevServer) -> None:
    async def main() -> httpx.Response:
        async with loopback.async_client(timeout=PATIENCE_S) as client:
            headers = {"idempotency-key": "nap"}
            call = asyncio.ensure_future(client.post(f"{server.ingress_url}/Greeter/nap", json=5, headers=headers))
            async with asyncio.timeout(PATIENCE_S):
                await until_running(client, server)
            server.process.send_signal(signal.SIGTERM)
            await refused(server)
            server.process.send_signal(signal.SIGTERM)
            return await call

    answer = asyncio.run(main())
    assert answer.status_code == 503
    assert server.process.wait(PATIENCE_S) == 0
    server.start()
    attach = f"{server.ingress_url}/restate/invocation/Greeter/nap/nap/attach"
    assert loopback.get(attach, timeout=PATIENCE_S).json() == "rested"


async def refused(server: DevServer) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with loopback.async_client() as client:
                    await client.get(f"{server.ingress_url}/restate/health")
            except httpx.TransportError:
                return
            await asyncio.sleep(0.02)


def test_kill_kills_the_server_itself(server: DevServer) -> None:
    sent = loopback.post(f"{server.ingress_url}/Greeter/nap/send", json=0.2).json()["invocationId"]
    server.signal(signal.SIGKILL)
    with pytest.raises(httpx.ConnectError):
        loopback.get(f"{server.ingress_url}/restate/health")
    server.start()
    answer = loopback.get(f"{server.ingress_url}/restate/invocation/{sent}/attach", timeout=PATIENCE_S)
    assert answer.json() == "rested"
