"""Owns what a server is to be like, and the text that tells each of its nodes.

Pure: it starts nothing and opens nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeAlias

from restate_patterns.limits import SERVER_START_TIMEOUT_S, SERVER_STOP_TIMEOUT_S
from restate_patterns.retries import RetryPolicy

Setting: TypeAlias = str | int | float | bool | Sequence[str]
"""The value of an option of the server's configuration."""

LOG_FILTER: Final = "warn,octocrab=off"
"""Warnings; not that the server could not ask GitHub whether there is a newer one."""

_GOSSIP_SUSPECT_INTERVAL: Final = "500ms"
"""How long a node that came up is not trusted; the server's 5 s are for networks, not for loopback."""

_CONFIG_SHUTDOWN_MARGIN_S: Final = 2.0
"""What the server's own bound for stopping is below ours, so that it ends by itself."""

_PORTS: Final = "ports are chosen with --ingress-port and --admin-port (in code: ingress_port=, admin_port=)"
_DATA: Final = "it belongs to the data, which are chosen with --dir (in code: base_dir=)"
_OWN_SETTINGS: Final = {
    "ingress.bind-address": _PORTS,
    "admin.bind-address": _PORTS,
    "bind-address": _PORTS,
    "advertised-address": _PORTS,
    "metadata-client.addresses": _PORTS,
    "base-dir": _DATA,
    "cluster-name": _DATA,
    "node-name": _DATA,
    "auto-provision": _DATA,
}
"""Options that nodes could not find each other without, and what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What a server, or a cluster of them, is to be like; what is None is left to the server.

    Args:
        binary: The server's program, as `install` and `installed` give it.
        nodes: How many nodes; each keeps data, runs handlers' invocations and takes calls. Three go on
            when one of them dies.
        replication: On how many nodes each record is before it counts. Default: the smallest majority.
        ingress_port: The ingress of the first node; the others take the next ones. 0: free ports.
        admin_port: The admin API of the first node; the others take the next ones. 0: free ports.
        base_dir: Where the data and the logs stay. Default: a temporary folder that goes with the server.
        inactivity_timeout: How long an invocation may be idle before it is suspended; 0 suspends at each wait.
        abort_timeout: How long after that a handler may take before its connection is cut.
        retry_policy: How failing invocations are tried again, unless the handler says so itself.
        partitions_count: Into how many parts the keys are divided; only when the data are new.
        request_identity_key: A file with the private key (PEM, Ed25519) that signs requests to services.
        settings: Options of the server's own configuration by their names with dots, as in
            `{"worker.invoker.concurrent-invocations-limit": 100}`; they win over what is said above.
        log_filter: What goes into the logs, as for `RUST_LOG`.
        start_timeout_s: The longest wait until it answers, in seconds.
        stop_timeout_s: How long it may take to stop before it is killed, in seconds.

    Raises:
        ValueError: A number is out of range, or a setting is not free.
    """

    binary: Path
    nodes: int = 1
    replication: int | None = None
    ingress_port: int = 0
    admin_port: int = 0
    base_dir: Path | None = None
    inactivity_timeout: timedelta | None = None
    abort_timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None
    partitions_count: int | None = None
    request_identity_key: Path | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    log_filter: str = LOG_FILTER
    start_timeout_s: float = SERVER_START_TIMEOUT_S
    stop_timeout_s: float = SERVER_STOP_TIMEOUT_S

    def __post_init__(self) -> None:
        if self.nodes < 1:
            raise ValueError(f"nodes={self.nodes} must be at least 1")
        if not 1 <= self.copies <= self.nodes:
            raise ValueError(
                f"replication={self.replication} must be between 1 and the number of nodes, which is {self.nodes}"
            )
        for name in self.settings:
            if name in _OWN_SETTINGS:
                raise ValueError(f"the setting {name} is not free: {_OWN_SETTINGS[name]}")
            if not all(name.split(".")):
                raise ValueError(f"the setting {name!r} must be a name, as in worker.invoker.inactivity-timeout")
        for name, first in (("ingress_port", self.ingress_port), ("admin_port", self.admin_port)):
            if not 0 <= first <= 65_536 - self.nodes:
                raise ValueError(f"{name}={first} must be between 0 and {65_536 - self.nodes}")
        both = {*self.ports(self.ingress_port), *self.ports(self.admin_port)}
        if self.ingress_port and self.admin_port and len(both) < 2 * self.nodes:
            raise ValueError(
                f"ingress_port={self.ingress_port} and admin_port={self.admin_port} overlap: "
                f"each node takes one port after the first, so keep them {self.nodes} apart"
            )

    @property
    def copies(self) -> int:
        """On how many nodes each record is."""
        return self.nodes // 2 + 1 if self.replication is None else self.replication

    @property
    def failures_tolerated(self) -> int:
        """How many nodes may be dead while the rest goes on."""
        return min((self.nodes - 1) // 2, self.copies - 1)

    def ports(self, first: int) -> tuple[int, ...]:
        """Return a port for each node from the first one on; nothing where 0 asks for free ones."""
        return tuple(range(first, first + self.nodes)) if first else ()


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The ports of one node, all on loopback.

    Args:
        number: Which node, from 1 on.
        ingress: Where it takes calls.
        admin: Where it is managed.
        node: Where it talks with the other nodes.
    """

    number: int
    ingress: int
    admin: int
    node: int

    @property
    def name(self) -> str:
        """The node's name, which is its identity in the cluster."""
        return f"node-{self.number}"


def node_config(config: ServerConfig, cluster_name: str, ports: NodePorts, node_ports: Sequence[int]) -> str:
    """Return the configuration file of one node.

    Args:
        config: What the server is to be like.
        cluster_name: The name that all its nodes share.
        ports: Of this node.
        node_ports: The ports by which all nodes, this one too, find each other.
    """
    top: dict[str, object] = {
        "cluster-name": cluster_name,
        "node-name": ports.name,
        # Only one may: several would each make a cluster of their own.
        "auto-provision": ports.number == 1,
        "base-dir": "data",
        "bind-address": _address(ports.node),
        "advertised-address": _url(ports.node),
        "default-replication": config.copies,
        "default-num-partitions": config.partitions_count,
        "gossip-suspect-interval": _GOSSIP_SUSPECT_INTERVAL,
        "shutdown-timeout": f"{max(config.stop_timeout_s - _CONFIG_SHUTDOWN_MARGIN_S, 1.0) * 1000:.0f}ms",
        "disable-telemetry": True,
        "log-filter": config.log_filter,
        "log-disable-ansi-codes": True,
    }
    key = config.request_identity_key
    tables: dict[str, dict[str, object]] = {
        "metadata-client": {"addresses": [_url(port) for port in node_ports]},
        "ingress": {"bind-address": _address(ports.ingress)},
        "admin": {"bind-address": _address(ports.admin)},
        "worker.invoker": {
            "inactivity-timeout": _duration(config.inactivity_timeout),
            "abort-timeout": _duration(config.abort_timeout),
            "request-identity-private-key-pem-file": None if key is None else str(key.resolve()),
        },
        "default-retry-policy": _retry(config.retry_policy),
    }
    for name, value in config.settings.items():
        table, _, option = name.rpartition(".")
        (tables.setdefault(table, {}) if table else top)[option] = value
    return _lines(top) + "".join(f"\n[{name}]\n{_lines(table)}" for name, table in tables.items() if _lines(table))


def _retry(policy: RetryPolicy | None) -> dict[str, object]:
    if policy is None:
        return {}
    plain = RetryPolicy()
    unknown = [each for each in ("jitter", "retry_on", "give_up_on") if getattr(policy, each) != getattr(plain, each)]
    if unknown:
        raise ValueError(f"retry_policy: a server does not know {' or '.join(unknown)}; give that to handlers or steps")
    return {
        "initial-interval": _duration(policy.initial),
        "exponentiation-factor": policy.factor,
        "max-interval": _duration(policy.maximum),
        "max-attempts": "unlimited" if policy.max_attempts is None else policy.max_attempts,
        "on-max-attempts": {"pause": "pause", "fail": "kill"}[policy.then],
    }


def _lines(table: dict[str, object]) -> str:
    # For strings, numbers, booleans and lists of them JSON is TOML.
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items() if value is not None)


def _duration(value: timedelta | None) -> str | None:
    return None if value is None else f"{value // timedelta(milliseconds=1)}ms"


def _address(port: int) -> str:
    return f"127.0.0.1:{port}"


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
