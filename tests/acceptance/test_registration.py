"""Registering endpoints with a real Restate server, and what only such a server does."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from restate_patterns.admin import (
    AdminClient,
    BreakingChange,
    EndpointChanged,
    EndpointRefusesIdentity,
    EndpointSpeaksHttp1,
    EndpointUnreachable,
    InvocationStatus,
    NotAnEndpoint,
    NotFound,
    NothingToRegister,
    Refused,
    StateConflict,
    StatePending,
    state_writing,
)
from restate_patterns.cli.exits import Exit
from restate_patterns.client.errors import ServerUnreachable
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.seam import Request, Target
from restate_patterns.server import free_ports
from tests.acceptance.test_admin_client import send, until, until_gone, until_status
from tests.support.bounds import PATIENCE_S
from tests.support.processes.dev_server import DevServer
from tests.support.processes.workshops import Workshop
from tests.support.restate.restate_server import own_server, sdk_endpoint

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.restate]

IDENTITY = "publickeyv1_w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f"


@pytest.fixture(scope="module")
def admin_url() -> Iterator[str]:
    """A server with nothing registered."""
    with own_server() as server:
        yield server.admin_url


@pytest.fixture
async def admin(admin_url: str, anyio_backend: str) -> AsyncIterator[AdminClient]:
    async with AdminClient(admin_url) as client:
        yield client
        for deployment in await client.list_deployments():
            await client.remove_deployment(deployment.id)


async def test_register_and_remove(admin: AdminClient, tmp_path: Path) -> None:
    with sdk_endpoint(tmp_path) as url:
        first = await admin.register(url, metadata={"commit": "abc"})
        assert first.created
        assert first.url == url
        assert [service.name for service in first.services] == ["Approval", "Bell", "Counter", "Family", "Shop", "Slow"]
        assert "Counter is new" in first.changes
        (listed,) = await admin.list_deployments()
        assert (listed.id, listed.url.rstrip("/")) == (first.deployment_id, url)
        assert listed.services == {service.name: service.revision for service in first.services}

        again = await admin.register(url)
        assert (again.created, again.changes) == (False, ())
        assert again.services == first.services

    await admin.remove_deployment(first.deployment_id)
    assert await admin.list_deployments() == []
    for unknown in (first.deployment_id, "dp_nope"):
        with pytest.raises(NotFound, match="deployments list"):
            await admin.remove_deployment(unknown)


async def test_new_code_at_a_known_url(admin: AdminClient, tmp_path: Path) -> None:
    """Restate answers such a registration with a success, and keeps the old services."""
    (port,) = free_ports(1)
    with sdk_endpoint(tmp_path, port=port) as url:
        before = await admin.register(url)
    with sdk_endpoint(tmp_path, "--less", port=port) as url:
        changes = (
            "Counter loses the handler hold",
            *(f"{name} is gone" for name in ("Approval", "Bell", "Family", "Shop", "Slow")),
        )
        for breaking in (False, True):
            with pytest.raises(EndpointChanged, match="force=True") as raised:
                await admin.register(url, breaking=breaking)
            assert raised.value.changes == changes
        forced = await admin.register(url, force=True)
    assert (forced.created, forced.changes) == (False, changes)
    assert forced.deployment_id == before.deployment_id
    (counter,) = forced.services
    assert counter.revision > 1
    assert [handler.name for handler in counter.handlers] == ["add", "get"]


@pytest.mark.parametrize(
    ("option", "change"),
    [("--less", "Counter loses the handler hold"), ("--kind", "Counter was a VirtualObject and is a Service")],
)
async def test_breaking_changes(admin: AdminClient, tmp_path: Path, option: str, change: str) -> None:
    with sdk_endpoint(tmp_path) as old, sdk_endpoint(tmp_path, option) as new:
        await admin.register(old)
        with pytest.raises(BreakingChange, match="breaking=True") as raised:
            await admin.register(new)
        assert raised.value.changes == (change,)
        assert len(await admin.list_deployments()) == 1
        done = await admin.register(new, breaking=True)
        assert done.created
        assert change in done.changes
        assert len(await admin.list_deployments()) == 2


async def test_nobody_there(admin: AdminClient) -> None:
    with pytest.raises(EndpointUnreachable, match="Connection refused"):
        await admin.register("http://127.0.0.1:1")
    with pytest.raises(EndpointUnreachable, match="start the endpoint first"):
        await admin.register("http://no.such.host.invalid:9080")
    with pytest.raises(Refused, match="absolute"):
        await admin.register("nonsense")


async def test_http_1(admin: AdminClient) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            with pytest.raises(EndpointSpeaksHttp1, match="use_http_11=True"):
                await admin.register(url)
            with pytest.raises(NotAnEndpoint, match="is the port right"):
                await admin.register(url, use_http_11=True)
        finally:
            server.shutdown()
            thread.join()


async def test_identity(admin: AdminClient, tmp_path: Path) -> None:
    with (
        sdk_endpoint(tmp_path, "--identity", IDENTITY) as url,
        pytest.raises(EndpointRefusesIdentity, match="identity key"),
    ):
        await admin.register(url)


async def test_the_admin_api_itself_is_no_endpoint(admin: AdminClient, admin_url: str) -> None:
    with pytest.raises(NotAnEndpoint, match="404"):
        await admin.register(admin_url)


async def test_no_server(anyio_backend: str) -> None:
    async with AdminClient("http://127.0.0.1:9") as nobody:
        with pytest.raises(ServerUnreachable):
            await nobody.register("http://127.0.0.1:9080")


async def test_embedded_takes_no_registration(anyio_backend: str, tmp_path: Path) -> None:
    server = DevServer(tmp_path, "tests.support.processes.workshop:app", "--no-reload")
    try:
        server.start()
        async with AdminClient(server.admin_url) as admin:
            with pytest.raises(NothingToRegister, match="embedded"):
                await admin.register("http://127.0.0.1:9080")
            (deployment,) = await admin.list_deployments()
            with pytest.raises(Refused, match="stop it instead"):
                await admin.remove_deployment(deployment.id)
    finally:
        server.close()


def test_deployments_on_the_command_line(admin_url: str, tmp_path: Path) -> None:
    server = Workshop("restate", "http://127.0.0.1:9", admin_url)
    with sdk_endpoint(tmp_path) as url, sdk_endpoint(tmp_path, "--kind") as other:
        assert "no deployments" in server.command("deployments", "list").stdout
        first = server.command("deployments", "register", url)
        assert (first.code, first.stderr) == (0, "")
        id_ = first.stdout.partition(":")[0]
        assert f"{id_}: {url} is registered" in first.stdout
        again = json.loads(server.command("deployments", "register", url, "--json").stdout)
        assert (again["id"], again["created"], again["changes"]) == (id_, False, [])
        assert "nothing has changed" in server.command("deployments", "register", url).stdout
        assert url in server.command("deployments", "list").stdout
        refused = server.command("deployments", "register", other)
        assert refused.code == Exit.REFUSED
        assert "Counter was a VirtualObject and is a Service" in refused.stderr
        new = server.command("deployments", "register", other, "--breaking")
        assert new.code == 0
    for each in (id_, new.stdout.partition(":")[0]):
        assert server.command("deployments", "remove", each).stdout == f"{each}: removed\n"
    assert server.command("deployments", "remove", id_).code == Exit.NOT_FOUND


async def test_what_a_kill_takes_down(restate: Workshop, anyio_backend: str) -> None:
    """On Restate also what was sent, at any depth, and what is not due; `killed_with` names exactly that."""
    caller = HttpCaller(restate.ingress_url, admin_url=restate.admin_url)
    async with AdminClient(restate.admin_url) as admin:
        parent = await send(caller, "Family/parent", b'"kill"')
        async with asyncio.timeout(PATIENCE_S):
            while len(doomed := await admin.killed_with(parent)) < 5:
                await asyncio.sleep(0.05)
        assert sorted(str(each.target) for each in doomed) == [
            "Counter/kill-grand-called/hold",
            "Counter/kill-grand-sent/hold",
            "Counter/kill-later/hold",
            "Counter/kill-sent/hold",
            "Family/middle",
        ]
        await admin.kill(parent)
        for each in doomed:
            if each.status is InvocationStatus.SCHEDULED:
                await until_gone(admin, each.id)
            else:
                ended = await until_status(admin, each.id, InvocationStatus.COMPLETED)
                assert ended.failure is not None
                assert ended.failure.message == "killed"
        assert await admin.killed_with(parent) == []
    await caller.aclose()


async def test_a_whole_journal(restate: Workshop, anyio_backend: str) -> None:
    caller = HttpCaller(restate.ingress_url, admin_url=restate.admin_url)
    async with AdminClient(restate.admin_url) as admin:
        invocation_id = await send(caller, "Shop/steps")
        view = await until(admin, invocation_id, lambda view: any("timer" in each for each in view.waits_for))
        assert len(view.waits_for) == 1
        entries = (await admin.describe_invocation(invocation_id)).journal
        assert [(entry.kind, entry.name, entry.completed) for entry in entries] == [
            ("run", "charge", True),
            ("send", "Counter/steps/add", True),
            ("call", "Counter/steps/add", True),
            ("sleep", "a long wait", False),
        ]
        assert [entry.detail for entry in entries[:3]] == ['"paid"', "", "2"]
        await admin.kill(invocation_id)
    await caller.aclose()


async def test_a_write_of_state_loses_nothing(
    restate: Workshop, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write waits for the turn of its key, and does not overwrite what was written before."""
    caller = HttpCaller(restate.ingress_url, admin_url=restate.admin_url)
    async with AdminClient(restate.admin_url) as admin:
        napping = await send(caller, "Slow/busy/late", b"2")
        await until(admin, napping, lambda view: view.waits_for)
        with pytest.raises(StateConflict, match="look at the state, then try again"):
            await admin.set_state("Slow", "busy", {"count": b"40"})
        assert await admin.get_state("Slow", "busy") == {"count": b"7"}

        holder = await send(caller, "Counter/held/hold")
        await until(admin, holder, lambda view: view.waits_for)
        monkeypatch.setattr(state_writing, "STATE_WRITE_WAIT_S", 0.2)
        with pytest.raises(StatePending, match=rf"which Counter/held/hold \({holder}\) holds"):
            await admin.set_state("Counter", "held", {"count": b"40"})
        await admin.kill(holder)
        assert await caller.call(Request(Target("Counter", "add", "held"), b"2"), None) == b"42"
    await caller.aclose()
