"""What a node is told: the text of its configuration, and what is refused before there is one."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from restate_patterns.retries import RetryPolicy
from restate_patterns.server import ServerConfig
from restate_patterns.server.config import NodePorts, node_config

BINARY = Path("restate-server")
NODE_PORTS = (20_001, 20_002, 20_003)


def told(config: ServerConfig, number: int = 1) -> dict[str, Any]:
    ports = NodePorts(number, 8080, 9070, NODE_PORTS[number - 1])
    return tomllib.loads(node_config(config, "local-1", ports, NODE_PORTS[: config.nodes]))


def test_one_node() -> None:
    """Everything is on loopback, and what was not asked for is left to the server."""
    read = told(ServerConfig(binary=BINARY))
    assert (read["cluster-name"], read["node-name"], read["default-replication"]) == ("local-1", "node-1", 1)
    assert read["bind-address"] == "127.0.0.1:20001"
    assert read["ingress"] == {"bind-address": "127.0.0.1:8080"}
    assert read["admin"] == {"bind-address": "127.0.0.1:9070"}
    assert "default-retry-policy" not in read
    assert "worker" not in read
    assert "default-num-partitions" not in read


def test_three_nodes_find_each_other_and_one_makes_the_cluster() -> None:
    """Several that may would each make a cluster of their own."""
    config = ServerConfig(binary=BINARY, nodes=3)
    read = [told(config, number) for number in (1, 2, 3)]
    assert [node["auto-provision"] for node in read] == [True, False, False]
    assert [node["node-name"] for node in read] == ["node-1", "node-2", "node-3"]
    assert [node["default-replication"] for node in read] == [2, 2, 2]
    addresses = ["http://127.0.0.1:20001", "http://127.0.0.1:20002", "http://127.0.0.1:20003"]
    assert [node["advertised-address"] for node in read] == addresses
    assert all(node["metadata-client"] == {"addresses": addresses} for node in read)


def test_options(tmp_path: Path) -> None:
    """Each option is in the place where the server looks for it."""
    policy = RetryPolicy(initial=timedelta(milliseconds=20), factor=1.5, maximum=timedelta(seconds=2))
    config = ServerConfig(
        binary=BINARY,
        inactivity_timeout=timedelta(0),
        abort_timeout=timedelta(seconds=1.5),
        retry_policy=policy,
        partitions_count=4,
        request_identity_key=tmp_path / 'a "key".pem',
        log_filter="info",
        stop_timeout_s=5,
    )
    read = told(config)
    assert read["worker"]["invoker"] == {
        "inactivity-timeout": "0ms",
        "abort-timeout": "1500ms",
        "request-identity-private-key-pem-file": str(tmp_path / 'a "key".pem'),
    }
    assert read["default-retry-policy"] == {
        "initial-interval": "20ms",
        "exponentiation-factor": 1.5,
        "max-interval": "2000ms",
        "max-attempts": "unlimited",
        "on-max-attempts": "pause",
    }
    assert (read["default-num-partitions"], read["log-filter"], read["shutdown-timeout"]) == (4, "info", "3000ms")


def test_settings_of_the_servers_own() -> None:
    """They come where the server looks for them, and win over what is said by name."""
    read = told(
        ServerConfig(
            binary=BINARY,
            inactivity_timeout=timedelta(seconds=1),
            settings={
                "worker.invoker.inactivity-timeout": "5m",
                "worker.storage.num-partitions-to-share-memory-budget": 4,
                "ingress.experimental": True,
                "roles": ["worker", "admin"],
            },
        )
    )
    assert read["worker"]["invoker"] == {"inactivity-timeout": "5m"}
    assert read["worker"]["storage"] == {"num-partitions-to-share-memory-budget": 4}
    assert read["ingress"] == {"bind-address": "127.0.0.1:8080", "experimental": True}
    assert read["roles"] == ["worker", "admin"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ingress.bind-address", "is not free: ports are chosen with --ingress-port"),
        ("base-dir", "is not free: it belongs to the data"),
        ("worker..x", "must be a name"),
        ("", "must be a name"),
    ],
)
def test_settings_that_are_not_free(name: str, sentence: str) -> None:
    """Nodes would not find each other, or their data."""
    with pytest.raises(ValueError, match=sentence):
        ServerConfig(binary=BINARY, settings={name: "x"})


def test_a_policy_with_an_end() -> None:
    """To fail the invocation is to kill it, in the server's words."""
    policy = RetryPolicy(max_attempts=3, then="fail")
    read = told(ServerConfig(binary=BINARY, retry_policy=policy))["default-retry-policy"]
    assert (read["max-attempts"], read["on-max-attempts"]) == (3, "kill")


@pytest.mark.parametrize(
    ("nodes", "replication", "copies", "failures"),
    [(1, None, 1, 0), (2, None, 2, 0), (3, None, 2, 1), (5, None, 3, 2), (3, 1, 1, 0), (3, 3, 3, 1)],
)
def test_what_a_cluster_does_without(nodes: int, replication: int | None, copies: int, failures: int) -> None:
    """A majority must live for the metadata, and one copy of each record for the data."""
    config = ServerConfig(binary=BINARY, nodes=nodes, replication=replication)
    assert (config.copies, config.failures_tolerated) == (copies, failures)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"nodes": 0}, "nodes=0 must be at least 1"),
        ({"nodes": 3, "replication": 4}, "replication=4 must be between 1 and the number of nodes, which is 3"),
        ({"replication": 0}, "replication=0 must be between 1"),
        ({"ingress_port": -1}, "ingress_port=-1 must be between 0 and 65535"),
        ({"nodes": 3, "admin_port": 65_534}, "admin_port=65534 must be between 0 and 65533"),
        ({"nodes": 3, "ingress_port": 8080, "admin_port": 8082}, "overlap: .* keep them 3 apart"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, int], sentence: str) -> None:
    """With the value, and what it may be."""
    with pytest.raises(ValueError, match=sentence):
        ServerConfig(binary=BINARY, **options)  # type: ignore[arg-type]  # the keys are names of int fields


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        (RetryPolicy(jitter=0.5), "jitter"),
        (RetryPolicy(retry_on=[OSError], give_up_on=[ValueError]), "retry_on or give_up_on"),
    ],
)
def test_what_only_our_own_policies_know_is_refused(policy: RetryPolicy, named: str) -> None:
    with pytest.raises(ValueError, match=f"a server does not know {named}"):
        told(ServerConfig(binary=BINARY, retry_policy=policy))
