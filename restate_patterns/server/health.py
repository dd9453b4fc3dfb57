"""Owns how a node is asked how it is, and when the nodes of a cluster count as ready.

A node that answers on its ports may still be without partitions, or alone. What it counts for itself says
more: which nodes it knows alive, and how many partitions it leads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from restate_patterns.server.config import NodePorts
from restate_patterns.system.tls import trusted_for

_TIMEOUT_S: Final = 5.0
_METRIC: Final = re.compile(r"^(?P<name>restate_\w+)\{(?P<labels>[^}]*)\} (?P<value>\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """What a node that answers says of itself.

    Args:
        cluster_name: The cluster that it is in.
        alive_count: How many nodes it knows alive, itself included.
        led_count: How many partitions it leads.
        partitions_count: How many partitions the cluster has; 0 while it does not know.
    """

    cluster_name: str
    alive_count: int
    led_count: int
    partitions_count: int


def http_client() -> httpx.AsyncClient:
    """Return a client for loopback; no proxy of the environment is used."""
    return httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S, verify=trusted_for("http://127.0.0.1"))


async def ask(client: httpx.AsyncClient, ports: NodePorts) -> NodeHealth | None:
    """Ask a node how it is; gives None when it does not answer on each of its ports."""
    try:
        ingress = await client.get(f"http://127.0.0.1:{ports.ingress}/restate/health")
        admin = await client.get(f"http://127.0.0.1:{ports.admin}/cluster-health")
        if not (ingress.is_success and admin.is_success):
            return None
        cluster_name = str(admin.json()["cluster_name"])
        metrics = await client.get(f"http://127.0.0.1:{ports.node}/metrics")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    return read_metrics(cluster_name, metrics.text)


def read_metrics(cluster_name: str, text: str) -> NodeHealth:
    """Read a node's health from what it publishes for Prometheus."""
    alive = led = partitions = 0
    for match in _METRIC.finditer(text):
        if match["name"] == "restate_failure_detector_nodes_total" and 'state="alive"' in match["labels"]:
            alive = int(match["value"])
        elif match["name"] == "restate_num_active_partition_leaders":
            led = int(match["value"])
        elif match["name"] == "restate_num_partitions":
            partitions = int(match["value"])
    return NodeHealth(cluster_name, alive, led, partitions)


def are_ready(answers: Sequence[NodeHealth | None]) -> bool:
    """Say whether nodes, asked at about the same time, know each other and lead every partition.

    Args:
        answers: Of the nodes that run.
    """
    found = [answer for answer in answers if answer is not None]
    if not found or len(found) < len(answers):
        return False
    partitions_count = max(answer.partitions_count for answer in found)
    led_count = sum(answer.led_count for answer in found)
    return (
        all(answer.alive_count >= len(answers) for answer in found)
        and partitions_count > 0
        and led_count >= partitions_count
    )
