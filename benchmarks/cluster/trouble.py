"""What goes wrong on purpose: nodes and services that are killed, providers that refuse or lose their answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Final

from benchmarks.cluster.check import PLAN
from benchmarks.service_process import ServiceProcess
from examples.providers.faults import FaultKind
from examples.providers.remote_control import RunningProvider
from restate_patterns.server import RunningServer

NODE_UP_S: Final = (1.0, 3.0)
"""How long all nodes are up before the next one is killed."""

NODE_DOWN_S: Final = (0.5, 4.0)
"""How long a killed node stays away."""

SERVICES_UP_S: Final = (0.2, 1.0)
"""How long a process of the services lives once it serves, where only that is killed."""

SERVICES_UP_BESIDE_NODES_S: Final = (3.0, 8.0)
"""The same where nodes are killed as well."""

FAULT_EVERY_S: Final = (0.05, 0.3)

_FAULTS: Final = (
    ("payments", "charge", FaultKind.DECLINE),
    ("cars", "reserve", FaultKind.DECLINE),
    ("cars", "confirm", FaultKind.LOST_ANSWER),
    ("flights", "reserve", FaultKind.LOST_ANSWER),
    ("payments", "charge", FaultKind.LOST_ANSWER),
    ("flights", "confirm", FaultKind.ERROR),
    ("payments", "refund", FaultKind.LOST_ANSWER),
    ("cars", "cancel", FaultKind.ERROR),
    *((name, operation, FaultKind.SLOW) for name, operation in PLAN),
)
_SLOW_S: Final = 0.4
"""How late a slow answer is: so that a kill finds steps under way."""


class Trouble:
    """Makes trouble until told to stop; each kind runs to the end of what it has begun.

    Args:
        dice: Chooses moments.
        tell: Takes what happens, a line at a time.
    """

    def __init__(self, dice: random.Random, tell: Callable[[str], None]) -> None:
        self._dice = dice
        self._tell = tell
        self._enough = asyncio.Event()
        self.node_kills_count = 0
        self.service_kills_count = 0

    def stop(self) -> None:
        """Begin nothing new."""
        self._enough.set()

    async def kill_nodes(self, server: RunningServer) -> None:
        """Kill one node after the other with SIGKILL, and start each again before the next dies."""
        for node in cycle(server.nodes):
            if await self._over(NODE_UP_S):
                return
            self._tell(f"killing {node.name}")
            await node.kill()
            self.node_kills_count += 1
            await self._over(NODE_DOWN_S)
            await node.restart()
            self._tell(f"{node.name} is back")

    async def kill_services(self, services: ServiceProcess, up_s: tuple[float, float]) -> None:
        """Kill the process of the services with SIGKILL, and start it again at once."""
        while not await self._over(up_s):
            self.service_kills_count += 1
            await asyncio.to_thread(services.restart)

    async def disturb(self, providers: Mapping[str, RunningProvider]) -> None:
        """Have a provider refuse one request, lose one answer, or give one late, now and then.

        One fault at a time waits at a provider: where trips are slow they would pile up, and use up every try.
        """
        while not await self._over(FAULT_EVERY_S):
            name, operation, kind = self._dice.choice(_FAULTS)
            await asyncio.to_thread(providers[name].behave)
            await asyncio.to_thread(providers[name].fail, operation, kind, delay_s=_SLOW_S)
        for provider in providers.values():
            await asyncio.to_thread(provider.behave)

    async def _over(self, between_s: tuple[float, float]) -> bool:
        """Wait for a random time; True as soon as it is enough."""
        await asyncio.wait({asyncio.ensure_future(self._enough.wait())}, timeout=self._dice.uniform(*between_s))
        return self._enough.is_set()
