"""One run: a server or a cluster, the providers, the services, the load, the trouble, and the check."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.cluster.check import check_adds, check_trips, repeat_count
from benchmarks.cluster.failover import Failover
from benchmarks.cluster.ledgers import PROVIDERS, by_trip
from benchmarks.cluster.load import Load, loading
from benchmarks.cluster.trouble import SERVICES_UP_BESIDE_NODES_S, SERVICES_UP_S, Trouble
from benchmarks.service_process import ServiceProcess
from examples.providers.ledger import Ledger
from examples.providers.remote_control import RunningProvider, running_provider
from restate_patterns import Client, RetryPolicy
from restate_patterns.admin import AdminClient, InvocationFilter, InvocationStatus
from restate_patterns.server import RunningServer, ServerConfig, running_server

APP: Final = "benchmarks.cluster.services:app"
RETRIES: Final = RetryPolicy(initial=timedelta(milliseconds=50), maximum=timedelta(milliseconds=250))
"""How the server tries again what cannot reach the services: often enough for processes that live a second."""

SILENCE_S: Final = 30.0
"""After how long a client takes a node that does not answer for one that never will."""

PATIENCE_S: Final = 300.0
"""After how long of failures, or of waiting for what was asked, something is missing; a busy machine is slow."""
DRAIN_S: Final = 300.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does.

    Args:
        binary: The server's program.
        nodes: How many nodes the server has.
        seconds: How long the load lasts.
        kill_nodes: Whether nodes are killed.
        kill_services: Whether the process of the services is killed.
        kills: The load lasts until so many kills of each kind have been made, if that is longer.
        trips: The load lasts until so many trips have been booked, and as many undone, if that is longer.
        seed: Makes the load and the moments of the kills; what the machine does meanwhile is not repeatable.
    """

    binary: Path
    nodes: int = 3
    seconds: float = 120.0
    kill_nodes: bool = True
    kill_services: bool = False
    kills: int = 0
    trips: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run came to. Durations are seconds."""

    nodes: int
    elapsed_s: float
    node_kills: int
    service_kills: int
    adds: int
    booked: int
    undone: int
    repeats: int
    """Requests at the providers that were answered and made again by a later process of the services."""
    stall_s: float
    longest_add_s: float
    longest_trip_s: float
    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    """How often a client had to turn to another node, by what it saw."""
    wrong: list[str] = field(default_factory=list[str])

    def summary(self) -> str:
        """Say in a few lines what happened."""
        turned = ", ".join(f"{count} {name}" for name, count in sorted(self.failures.items())) or "never"
        killed = f"{self.node_kills} kills of nodes, {self.service_kills} of the services"
        trips = f"{self.booked + self.undone} trips, {self.booked} booked and {self.undone} undone"
        longest = f"longest add {self.longest_add_s:.2f} s, longest trip {self.longest_trip_s:.2f} s"
        return "\n".join(
            [
                f"{self.elapsed_s:.0f} s of load on {self.nodes} nodes: {killed}",
                f"{self.adds} adds; {trips}",
                f"longest stall {self.stall_s:.2f} s; {longest}",
                f"clients turned to another node: {turned}",
                f"{self.repeats} answered requests at the providers were made again by a later process",
                *(["nothing lost, nothing doubled"] if not self.wrong else [f"{len(self.wrong)} things are wrong:"]),
                *(f"  {sentence}" for sentence in self.wrong),
            ]
        )

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return asdict(self)


async def run(
    plan: Plan,
    directory: Path,
    tell: Callable[[str], None] = print,
    service_process: type[ServiceProcess] = ServiceProcess,
) -> Report:
    """Make a run.

    Args:
        plan: What it does.
        directory: Where logs and data go; keep it when something is wrong.
        tell: Takes progress, a line at a time.
        service_process: How the process of the services is started.
    """
    config = ServerConfig(binary=plan.binary, nodes=plan.nodes, base_dir=directory / "server", retry_policy=RETRIES)
    trouble = Trouble(random.Random(plan.seed), tell)
    with _providers(directory) as providers:
        async with running_server(config) as server, _caller(server) as caller:
            with _services(service_process, server, providers, directory) as services:
                load = Load(Client.over(caller), plan.seed)
                start_s = time.monotonic()
                async with loading(load, DRAIN_S) as working:
                    await _make_trouble(plan, trouble, load, working, server, services, providers)
                    elapsed_s = time.monotonic() - start_s
                totals = await load.totals()
                unfinished = await _unfinished(server)
            ledgers = {
                name: Ledger(records=provider.records, history=provider.history) for name, provider in providers.items()
            }
    trips = by_trip(ledgers)
    wrong = [*check_adds(load.adds, totals), *check_trips(load.trips, trips, services.starts_ns), *unfinished]
    return Report(
        nodes=plan.nodes,
        elapsed_s=elapsed_s,
        node_kills=trouble.node_kills_count,
        service_kills=trouble.service_kills_count,
        adds=sum(add.total is not None for add in load.adds),
        booked=load.booked_count,
        undone=load.undone_count,
        repeats=repeat_count(trips),
        stall_s=load.stall_s,
        longest_add_s=load.add_times.longest_s,
        longest_trip_s=load.trip_times.longest_s,
        failures=dict(caller.failures),
        wrong=wrong,
    )


async def _make_trouble(
    plan: Plan,
    trouble: Trouble,
    load: Load,
    working: asyncio.Task[None],
    server: RunningServer,
    services: ServiceProcess,
    providers: Mapping[str, RunningProvider],
) -> None:
    """Kill and disturb for as long as the plan says; at the end all that was killed is back."""
    deadline = time.monotonic() + plan.seconds
    async with asyncio.TaskGroup() as group:
        group.create_task(trouble.disturb(providers))
        if plan.kill_nodes:
            group.create_task(trouble.kill_nodes(server))
        if plan.kill_services:
            up_s = SERVICES_UP_BESIDE_NODES_S if plan.kill_nodes else SERVICES_UP_S
            group.create_task(trouble.kill_services(services, up_s))
        try:
            while time.monotonic() < deadline or not _is_enough(plan, trouble, load):
                await asyncio.wait({working}, timeout=_POLL_S)
                if working.done():
                    return working.result()
        finally:
            trouble.stop()


def _is_enough(plan: Plan, trouble: Trouble, load: Load) -> bool:
    nodes_done = not plan.kill_nodes or trouble.node_kills_count >= plan.kills
    services_done = not plan.kill_services or trouble.service_kills_count >= plan.kills
    return nodes_done and services_done and min(load.booked_count, load.undone_count) >= plan.trips


async def _unfinished(server: RunningServer) -> list[str]:
    """Say which invocations have not completed although all the load was answered."""
    unfinished = InvocationFilter(statuses=frozenset(InvocationStatus) - {InvocationStatus.COMPLETED})
    async with AdminClient(server.admin_url) as admin:
        deadline = time.monotonic() + DRAIN_S
        while True:
            found = await admin.list_invocations(unfinished)
            if not found or time.monotonic() > deadline:
                statuses = Counter(f"{each.target} is {each.status.value}" for each in found)
                return [f"{count} times: {status} and nobody waits for it" for status, count in statuses.items()]
            await asyncio.sleep(_POLL_S)


@contextlib.contextmanager
def _providers(directory: Path) -> Iterator[Mapping[str, RunningProvider]]:
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(running_provider(name, directory)) for name in PROVIDERS}


@contextlib.contextmanager
def _services(
    service_process: type[ServiceProcess],
    server: RunningServer,
    providers: Mapping[str, RunningProvider],
    directory: Path,
) -> Iterator[ServiceProcess]:
    addresses = {f"{name.upper()}_URL": provider.url for name, provider in providers.items()}
    services = service_process(APP, server, directory, environment=addresses)
    services.start()
    try:
        yield services
    finally:
        services.kill()


@contextlib.asynccontextmanager
async def _caller(server: RunningServer) -> AsyncGenerator[Failover]:
    caller = Failover(server.ingress_urls, server.admin_urls, silence_s=SILENCE_S, patience_s=PATIENCE_S)
    try:
        yield caller
    finally:
        await caller.aclose()
