"""A Restate server of ours, as real processes: it takes calls, dies, comes back with its data, and leaves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from restate_patterns.server import (
    DataDirectoryError,
    PortTakenError,
    RunningServer,
    ServerConfig,
    ServerDiedError,
    free_ports,
    running_server,
)
from tests.support.http import loopback
from tests.support.restate.raw_endpoint import ANSWER, call, raw_endpoint, register

pytestmark = pytest.mark.anyio


def lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_shared_servers_run_calls(
    restate_server: RunningServer, suspending_restate_server: RunningServer
) -> None:
    """Both fixtures give a server that takes calls and runs them; they are different ones."""
    async with raw_endpoint() as endpoint_url:
        for server in (restate_server, suspending_restate_server):
            await register(server.admin_url, endpoint_url)
            assert await call(server.ingress_url) == ANSWER
    assert restate_server.nodes[0].process_id != suspending_restate_server.nodes[0].process_id
    assert 'inactivity-timeout = "0ms"' in suspending_restate_server.nodes[0].log.with_name("restate.toml").read_text()


async def test_data_that_are_kept_are_there_at_the_next_start(restate_binary: Path, tmp_path: Path) -> None:
    """What was registered before a SIGKILL is known after it, and in the next server on the same folder."""
    config = ServerConfig(binary=restate_binary, base_dir=tmp_path / "data")
    async with raw_endpoint() as endpoint_url:
        async with running_server(config) as server:
            (node,) = server.nodes
            await register(server.admin_url, endpoint_url)
            first = node.process_id
            await node.kill()
            assert (node.exit_code, lives(first)) == (-signal.SIGKILL, False)
            await node.restart()
            assert node.process_id != first
            assert await call(server.ingress_url) == ANSWER
            with pytest.raises(DataDirectoryError, match=f"process {os.getpid()} runs a server on"):
                async with running_server(config):
                    pass
        assert not lives(node.process_id)
        async with running_server(config) as server:
            assert await call(server.ingress_url) == ANSWER


async def test_a_cluster_goes_on_without_a_node_and_takes_it_back(restate_binary: Path) -> None:
    """Three nodes answer; when the one that made the cluster is killed two do; restarted it has its old identity."""
    async with (
        raw_endpoint() as endpoint_url,
        running_server(ServerConfig(binary=restate_binary, nodes=3, partitions_count=4)) as server,
    ):
        await register(server.admin_url, endpoint_url)
        for url in server.ingress_urls:
            assert await call(url) == ANSWER
        members = await metadata_members(server.nodes[1].admin_url)
        assert len(members) == 3

        await server.nodes[0].kill()
        await server.wait_until_ready()
        assert (server.ingress_url, server.admin_url) == (server.nodes[1].ingress_url, server.nodes[1].admin_url)
        for node in server.nodes[1:]:
            assert await call(node.ingress_url) == ANSWER
        await register(server.admin_url, endpoint_url)

        await server.nodes[0].restart()
        assert await call(server.nodes[0].ingress_url) == ANSWER
        assert await metadata_members(server.nodes[0].admin_url) == members
        processes = [node.process_id for node in server.nodes]
    assert [process_id for process_id in processes if lives(process_id)] == []


async def metadata_members(admin_url: str) -> set[int]:
    async with loopback.async_client() as client:
        answer = (await client.get(f"{admin_url}/cluster-health")).json()
        return set(answer["metadata_cluster_health"]["members"])


async def test_a_taken_port_is_refused_before_anything_starts(restate_server: RunningServer, tmp_path: Path) -> None:
    """Also when a Restate server is what holds it: it would otherwise answer in the new one's place."""
    port = restate_server.nodes[0].ports.admin
    config = ServerConfig(binary=restate_server.config.binary, admin_port=port, base_dir=tmp_path)
    with pytest.raises(PortTakenError, match=f"the admin port {port} on 127.0.0.1 is taken: .*--admin-port"):
        async with running_server(config):
            pass
    assert not (tmp_path / "node-1" / "restate.log").exists()


async def test_what_a_server_says_before_it_dies_is_in_the_error(restate_binary: Path, tmp_path: Path) -> None:
    """A configuration that the server refuses ends the start at once, with the server's own words."""
    config = ServerConfig(binary=restate_binary, request_identity_key=tmp_path / "missing.pem")
    with pytest.raises(ServerDiedError, match=r"(?s)node-1 .* left with 1:.*identity private key: No such file"):
        async with running_server(config):
            pass


async def test_a_start_that_takes_too_long_is_given_up(restate_binary: Path) -> None:
    """The bound holds, and nothing is left of the attempt."""
    (port,) = free_ports(1)
    with pytest.raises(ServerDiedError, match="was not ready after 0 s"):
        async with running_server(ServerConfig(binary=restate_binary, ingress_port=port, start_timeout_s=0.05)):
            pass
