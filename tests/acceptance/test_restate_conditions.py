"""Bad conditions of services on a Restate server: each ends with a sentence that has the fix, or is survived."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from restate_patterns import Client
from restate_patterns.admin import AdminClient, InvocationDetail, InvocationStatus
from restate_patterns.cli.exits import Exit
from restate_patterns.server import RunningServer, free_ports
from tests.support.bounds import PATIENCE_S
from tests.support.processes.dev_server import DevServer, run_here
from tests.support.processes.slow_services import LONG_S, Lines, SlowSteps
from tests.support.restate.identity_keys import PUBLIC_KEYS, private_key
from tests.support.restate.servers import quick_config, served
from tests.support.restate.service_process import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.restate]

APP = "tests.support.processes.slow_services:app"


def serve(*options: str) -> tuple[int, str]:
    """Try to serve, which must not succeed; gives exit code and what was printed."""
    bind = () if "--bind" in options else ("--bind", "127.0.0.1:0")
    ended = run_here("serve", APP, "--backend", "restate", *options, *bind)
    return ended.code, ended.stderr


def assert_refused(found: tuple[int, str], code: Exit, *parts: str) -> None:
    """Check exit code and sentence: one line, which has these parts."""
    assert found[0] == code, found[1]
    line = found[1].splitlines()[-1]
    assert line.startswith("restate-patterns: ")
    assert "Traceback" not in found[1]
    assert [part for part in parts if part not in line] == [], line


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    return Lines(tmp_path / "lines")


@contextlib.contextmanager
def slow_services(server: RunningServer, folder: Path, lines: Lines, *options: str) -> Iterator[ServiceProcess]:
    """Serve the slow services, and start them once."""
    services = ServiceProcess(APP, server, folder, *options, environment=lines.environment)
    services.start()
    try:
        yield services
    finally:
        services.kill()


async def work(server: RunningServer, seconds: float, handler: str = "work") -> str:
    """Send to the slow services, and give the invocation id."""
    async with Client(server.ingress_url, admin_url=server.admin_url) as client:
        slow = client.service_client(SlowSteps)
        sent = await (slow.work if handler == "work" else slow.nap).send(seconds)
        return sent.id


async def result(server: RunningServer, invocation_id: str) -> list[str]:
    """Wait for what the invocation gives."""
    async with Client(server.ingress_url) as client, asyncio.timeout(PATIENCE_S):
        return await client.invocation(SlowSteps.work, invocation_id).result()


async def until_failed(server: RunningServer, invocation_id: str) -> InvocationDetail:
    """Wait until an attempt has failed, and give what an operator sees."""
    async with AdminClient(server.admin_url) as admin, asyncio.timeout(PATIENCE_S):
        while True:
            found = await admin.describe_invocation(invocation_id)
            if found.view.last_failure is not None:
                return found
            await asyncio.sleep(0.02)


# At the start.


def test_no_server_to_register_with() -> None:
    (port,) = free_ports(1)
    found = serve("--register", f"http://127.0.0.1:{port}")
    assert_refused(found, Exit.NO_SERVER, f"no server answers at http://127.0.0.1:{port}", "server run", "--register")


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--register", "nonsense", "'nonsense' is no URL of a server: write it as http://"),
        ("--ingress-url", "http://127.0.0.1:port", "'http://127.0.0.1:port' is no URL of a server: write it as"),
        ("--advertised-url", "localhost:9080", "'localhost:9080' is no URL of a server: write it as"),
        ("--bind", "9080", "bind='9080' must be HOST:PORT, as in 127.0.0.1:9080"),
        ("--grace", "nan", "--grace nan must be a number of seconds, as in 10"),
        ("--grace", "-1", "must not be negative"),
        ("--identity-key", "me", "A key is what the server prints, as in publickeyv1_"),
    ],
)
def test_options_that_make_no_sense(option: str, value: str, sentence: str) -> None:
    assert_refused(serve(option, value), Exit.USAGE, sentence)


class OldServer(http.server.BaseHTTPRequestHandler):
    """What an admin API of Restate 1.4 says of itself; npm has no server that old."""

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        body = json.dumps({"version": "1.4.4", "min_admin_api_version": 1, "max_admin_api_version": 3}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_server_of_another_version() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OldServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            found = serve("--register", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
    assert_refused(found, Exit.NO_SERVER, "has version 1.4.4", "1.5 or newer is needed", "update the server")


def test_what_is_no_admin_api(restate_server: RunningServer, tmp_path: Path) -> None:
    """The ingress, and an embedded server, which needs no registration."""
    assert_refused(serve("--register", restate_server.ingress_url), Exit.NO_SERVER, "is an ingress", "9070")
    embedded = DevServer(tmp_path, "tests.support.processes.workshop:app", "--no-reload", "--db", "workshop.db")
    try:
        embedded.start()
        assert_refused(serve("--register", embedded.admin_url), Exit.REFUSED, "needs no registration")
    finally:
        embedded.close()


def test_services_that_the_server_cannot_reach(restate_server: RunningServer) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    found = serve("--register", restate_server.admin_url, "--advertised-url", url)
    assert_refused(found, Exit.REFUSED, f"cannot reach {url}", "give a URL that the server can reach")


def test_a_port_that_is_taken(restate_server: RunningServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = serve("--bind", f"127.0.0.1:{port}", "--register", restate_server.admin_url)
    assert_refused(found, Exit.CANNOT_START, f"the endpoint port {port} on 127.0.0.1 is taken", "--bind")


# Whose server it is.


def test_a_server_with_another_identity(restate_binary: Path, tmp_path: Path, lines: Lines) -> None:
    """Registration is refused; what is called anyway waits, and goes on when the key is right.

    The server keeps the status alone; the sentence is in the log of the services.
    """
    with served(quick_config(restate_binary, request_identity_key=private_key(0, tmp_path))) as server:
        found = serve("--register", server.admin_url, "--identity-key", PUBLIC_KEYS[1])
        assert_refused(found, Exit.REFUSED, "refuses this Restate server (401", "identity key")
        right = ServiceProcess(APP, server, tmp_path, "--identity-key", PUBLIC_KEYS[0], environment=lines.environment)
        wrong = ServiceProcess(APP, server, tmp_path, "--identity-key", PUBLIC_KEYS[1], environment=lines.environment)
        wrong.port = right.port
        right.start()
        right.kill()
        wrong.start(register=False)
        try:
            invocation_id = asyncio.run(work(server, 0.0))
            failed = asyncio.run(until_failed(server, invocation_id))
            assert failed.view.last_failure is not None
            assert "401 Unauthorized" in failed.view.last_failure
            assert "not signed with a key of this endpoint" in wrong.printed
            assert "the public key that belongs to it (--identity-key" in wrong.printed
            assert lines.of("before begins") == []
        finally:
            wrong.kill()
        right.start(register=False)
        try:
            assert asyncio.run(result(server, invocation_id)) == ["before", "slow", "after"]
        finally:
            right.kill()


# In the middle.


def test_services_that_are_gone(restate_server: RunningServer, tmp_path: Path, lines: Lines) -> None:
    """What is called meanwhile waits, says what the server cannot reach, and goes on once they are back."""
    with slow_services(restate_server, tmp_path, lines) as services:
        services.kill()
        invocation_id = asyncio.run(work(restate_server, 0.0))
        failed = asyncio.run(until_failed(restate_server, invocation_id))
        assert failed.view.status is InvocationStatus.BACKING_OFF
        assert failed.view.last_failure is not None
        assert "Connection refused" in failed.view.last_failure, failed.view.last_failure
        services.start(register=False)
        assert asyncio.run(result(restate_server, invocation_id)) == ["before", "slow", "after"]


def test_a_server_that_dies_in_the_middle_of_a_step(restate_binary: Path, tmp_path: Path, lines: Lines) -> None:
    """The step goes on without it, is not begun again, and its result is there when the server is back."""
    with served(quick_config(restate_binary)) as server, slow_services(server, tmp_path, lines) as services:
        invocation_id = asyncio.run(work(server, LONG_S))
        lines.wait_for("slow begins")
        asyncio.run(server.nodes[0].kill())
        lines.let_go()
        lines.wait_for("slow ends")
        _restart(server)
        assert asyncio.run(result(server, invocation_id)) == ["before", "slow", "after"]
        for name in ("before", "slow", "after"):
            assert lines.of(f"{name} begins") == [services.process.pid]


def test_a_server_that_is_back_before_the_step_ends(restate_binary: Path, tmp_path: Path, lines: Lines) -> None:
    """The next attempt waits for the action that still runs."""
    with served(quick_config(restate_binary)) as server, slow_services(server, tmp_path, lines) as services:
        invocation_id = asyncio.run(work(server, LONG_S))
        lines.wait_for("slow begins")
        asyncio.run(server.nodes[0].kill())
        _restart(server)
        lines.let_go()
        assert asyncio.run(result(server, invocation_id)) == ["before", "slow", "after"]
        for name in ("before", "slow", "after"):
            assert lines.of(f"{name} begins") == [services.process.pid]


def _restart(server: RunningServer) -> None:
    """Start the node again, from a thread that stays, for a node ends with the thread that started it."""
    asyncio.run(server.nodes[0].restart())


# At the end.


@pytest.mark.parametrize("suspending", [False, True], ids=["default", "suspending"])
def test_sigterm_lets_open_attempts_suspend(
    suspending: bool,
    restate_server: RunningServer,
    suspending_restate_server: RunningServer,
    tmp_path: Path,
    lines: Lines,
) -> None:
    """A step under way ends and is recorded; what sleeps is let go at once. The next process goes on with both."""
    server = suspending_restate_server if suspending else restate_server
    with slow_services(server, tmp_path, lines, "--grace", "10") as services:
        first = services.process.pid
        working, napping = asyncio.run(work(server, 1.0)), asyncio.run(work(server, 1.5, "nap"))
        lines.wait_for("slow begins")
        lines.wait_for("lie down ends")
        since_s = time.monotonic()
        assert services.terminate() == 0, services.printed
        assert time.monotonic() - since_s < 6.0, "it waited for what sleeps, or for nothing"
        assert lines.of("slow ends") == [first]
        assert "Traceback" not in services.printed
        services.start(register=False)
        second = services.process.pid
        assert f", process {second}" in services.printed
        assert asyncio.run(result(server, working)) == ["before", "slow", "after"]
        assert asyncio.run(result(server, napping)) == ["lie down", "get up"]
    assert lines.of("slow begins") == [first], "its result was recorded before the process left"
    assert lines.of("lie down begins") == [first]
    assert lines.of("get up begins") == [second]


def test_the_grace_is_a_bound(restate_server: RunningServer, tmp_path: Path, lines: Lines) -> None:
    """A step that takes longer is left, and done again by the next process."""
    with slow_services(restate_server, tmp_path, lines, "--grace", "0.5") as services:
        invocation_id = asyncio.run(work(restate_server, LONG_S))
        lines.wait_for("slow begins")
        assert services.terminate() == 0, services.printed
        assert lines.of("slow ends") == []
        assert "left 1 attempts that were still open" in services.printed
        assert "Traceback" not in services.printed
        lines.let_go()
        services.start(register=False)
        assert asyncio.run(result(restate_server, invocation_id)) == ["before", "slow", "after"]
    assert len(lines.of("slow begins")) == 2
    assert len(lines.of("slow ends")) == 1
    assert len(lines.of("before begins")) == 1


def test_a_second_sigterm_hurries(restate_server: RunningServer, tmp_path: Path, lines: Lines) -> None:
    with slow_services(restate_server, tmp_path, lines, "--grace", "600") as services:
        invocation_id = asyncio.run(work(restate_server, LONG_S))
        lines.wait_for("slow begins")
        services.process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            services.process.wait(0.5)
        assert services.terminate() == 0, services.printed
        assert lines.of("slow ends") == []
        lines.let_go()
        services.start(register=False)
        assert asyncio.run(result(restate_server, invocation_id)) == ["before", "slow", "after"]
