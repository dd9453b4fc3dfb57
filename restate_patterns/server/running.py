"""Owns a server that runs: its nodes, from their start until the last of them has left.

Its processes belong to no event loop, so a server that was started in one can be used from another.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from restate_patterns.server import health
from restate_patterns.server.config import NodePorts, ServerConfig, node_config
from restate_patterns.server.data import ClusterIdentity, data_directory
from restate_patterns.server.errors import ServerDiedError, ServerError
from restate_patterns.server.ports import free_ports, refuse_taken
from restate_patterns.server.process import Process

_POLL_S: Final = 0.05


class Node:
    """One node of a server: a process with its own data.

    Args:
        ports: Its number and its ports.
        directory: Its folder; the configuration is in it.
        config: What the server is to be like.
        ready: Waits until the nodes that run are ready together.
    """

    def __init__(
        self, ports: NodePorts, directory: Path, config: ServerConfig, ready: Callable[[], Awaitable[None]]
    ) -> None:
        self.ports = ports
        self.name = ports.name
        self.ingress_url = f"http://127.0.0.1:{ports.ingress}"
        self.admin_url = f"http://127.0.0.1:{ports.admin}"
        self.log = directory / "restate.log"
        self._directory = directory
        self._config = config
        self._ready = ready
        self._process: Process | None = None

    @property
    def process_id(self) -> int:
        """The id of its process, of the last one when it does not run.

        Raises:
            ServerError: It was never started.
        """
        return self._started.id

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """How its process ended, the negative number of a signal included; None while it runs."""
        return self._started.exit_code

    @property
    def _started(self) -> Process:
        if self._process is None:
            raise ServerError(f"{self.name} was never started")
        return self._process

    def log_tail(self) -> str:
        """The last lines of its log, indented, for a message."""
        return self._started.log_tail()

    def spawn(self) -> None:
        """Start its process and do not wait for what becomes of it.

        Raises:
            PortTakenError: Somebody listens on one of its ports.
        """
        if self.is_running:
            raise ServerError(f"{self.name} runs already, as process {self.process_id}")
        self.refuse_taken_ports()
        options = ["--no-logo", "--listen-mode", "tcp", "--config-file", "restate.toml"]
        self._process = Process([str(self._config.binary), *options], directory=self._directory, log=self.log)

    def refuse_taken_ports(self) -> None:
        """Make sure that nobody listens on its ports.

        Raises:
            PortTakenError: Somebody does.
        """
        for role, port, asked in (
            ("ingress", self.ports.ingress, self._config.ingress_port),
            ("admin", self.ports.admin, self._config.admin_port),
        ):
            refuse_taken(port, role, f"choose another with --{role}-port (in code: {role}_port=)" if asked else "")
        refuse_taken(self.ports.node, "node-to-node", "start with another data directory")

    async def ended(self) -> int:
        """Wait until its process ends, for whatever reason, and give how, as `exit_code` does."""
        return await self._started.ended()

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would; its data stay."""
        await self._started.kill()

    async def stop(self) -> None:
        """End it with SIGTERM, or with SIGKILL when it does not leave in time; its data stay."""
        if self._process is not None:
            await self._process.stop(self._config.stop_timeout_s)

    async def restart(self) -> None:
        """Start it again with its data and its name, stopped before if it runs; returns when it is back.

        Raises:
            ServerDiedError: It left, or was not back in time.
            PortTakenError: Somebody else listens on one of its ports now.
        """
        await self.stop()
        self.spawn()
        await self._ready()


class RunningServer:
    """A server whose nodes run; made by `running_server`.

    Args:
        config: What it is to be like.
        directory: Where its data are.
        identity: Which cluster it is.
    """

    def __init__(self, config: ServerConfig, directory: Path, identity: ClusterIdentity) -> None:
        self.config = config
        self.directory = directory
        self.cluster_name = identity.cluster_name
        self.nodes = tuple(
            Node(ports, directory / ports.name, config, self.wait_until_ready) for ports in _ports(config, identity)
        )
        for node in self.nodes:
            node.log.parent.mkdir(exist_ok=True)
            text = node_config(config, self.cluster_name, node.ports, identity.node_ports)
            (node.log.parent / "restate.toml").write_text(text, encoding="utf-8")

    @property
    def ingress_url(self) -> str:
        """The ingress of the first node that runs."""
        return self._first.ingress_url

    @property
    def admin_url(self) -> str:
        """The admin API of the first node that runs."""
        return self._first.admin_url

    @property
    def ingress_urls(self) -> tuple[str, ...]:
        """The ingress of every node, also of those that do not run at the moment."""
        return tuple(node.ingress_url for node in self.nodes)

    @property
    def admin_urls(self) -> tuple[str, ...]:
        """The admin API of every node, also of those that do not run at the moment."""
        return tuple(node.admin_url for node in self.nodes)

    @property
    def _first(self) -> Node:
        return next((node for node in self.nodes if node.is_running), self.nodes[0])

    def spawn(self) -> None:
        """Start every node and do not wait; nothing is started when a port is taken.

        Raises:
            PortTakenError: Somebody listens on a port that a node is to have.
        """
        for node in self.nodes:
            node.refuse_taken_ports()
        for node in self.nodes:
            node.spawn()

    async def wait_until_ready(self) -> None:
        """Wait until the nodes that run are one cluster that leads all partitions: calls are taken and run.

        Raises:
            ServerDiedError: One of them left meanwhile, or `start_timeout_s` was not enough.
        """
        waited = [node for node in self.nodes if node.is_running] or list(self.nodes)
        with anyio.move_on_after(self.config.start_timeout_s):
            async with health.http_client() as client:
                while True:
                    _refuse_dead(waited)
                    answers = [await health.ask(client, node.ports) for node in waited]
                    self._refuse_strangers(waited, answers)
                    if health.are_ready(answers):
                        return
                    await anyio.sleep(_POLL_S)
        tails = "".join(f"\n  {node.log}:{node.log_tail()}" for node in waited)
        raise ServerDiedError(f"the Restate server was not ready after {self.config.start_timeout_s:.0f} s:{tails}")

    def _refuse_strangers(self, nodes: Sequence[Node], answers: Sequence[health.NodeHealth | None]) -> None:
        for node, answer in zip(nodes, answers, strict=True):
            if answer is not None and answer.cluster_name != self.cluster_name:
                raise ServerDiedError(
                    f"another Restate server (cluster {answer.cluster_name!r}) answers on {node.admin_url}: stop it"
                )

    async def stop(self) -> None:
        """Stop every node, all at the same time; returns when no process is left."""
        async with anyio.create_task_group() as group:
            for node in self.nodes:
                group.start_soon(node.stop)


@asynccontextmanager
async def running_server(config: ServerConfig) -> AsyncGenerator[RunningServer]:
    """Run a server, or a cluster, on loopback for as long as the block lasts.

    Args:
        config: What it is to be like.

    Raises:
        PortTakenError: Somebody listens on a port that was asked for; nothing was started.
        DataDirectoryError: The data are in use, or of a cluster of another size.
        ServerDiedError: A node left, or was not ready in time; the message has the end of its log.
    """
    with data_directory(config) as (directory, identity):
        server = RunningServer(config, directory, identity)
        try:
            server.spawn()
            await server.wait_until_ready()
            yield server
        finally:
            with anyio.CancelScope(shield=True):
                await server.stop()


def _ports(config: ServerConfig, identity: ClusterIdentity) -> Iterator[NodePorts]:
    ingress = config.ports(config.ingress_port) or free_ports(config.nodes)
    admin = config.ports(config.admin_port) or free_ports(config.nodes)
    for number, (one, two, three) in enumerate(zip(ingress, admin, identity.node_ports, strict=True), 1):
        yield NodePorts(number, one, two, three)


def _refuse_dead(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if not node.is_running:
            raise ServerDiedError(f"{node.name} of the Restate server left with {node.exit_code}:{node.log_tail()}")
