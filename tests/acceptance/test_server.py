"""A Restate server of ours, as a real process: it answers, dies, comes back with its data, and leaves."""

from __future__ import annotations

import httpx

from restate_patterns.server import RunningServer


def test_the_shared_servers_answer(restate_server: RunningServer, suspending_restate_server: RunningServer) -> None:
    """Both fixtures give a server that takes calls; they are different ones."""
    with httpx.Client() as client:
        for server in (restate_server, suspending_restate_server):
            assert client.get(f"{server.ingress_url}/restate/health").is_success
            assert client.get(f"{server.admin_url}/cluster-health").json()["cluster_name"] == server.cluster_name
    assert restate_server.nodes[0].process_id != suspending_restate_server.nodes[0].process_id
