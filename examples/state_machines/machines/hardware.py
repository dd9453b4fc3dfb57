"""The machines themselves: slow, and not to be relied on.

Starting what runs and stopping what is off do nothing: a step runs at least once, so what it does to the
world must bear repeating.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random


class MachineTrouble(Exception):
    """Something jammed. No terminal error: the next try may work."""


@dataclass
class Hardware:
    """The floor with all machines.

    Args:
        work_s: How long it takes to start or stop one, in seconds.
        failure_rate: How often that fails, from 0 to 1.
        dice: Decides when.
    """

    work_s: float
    failure_rate: float
    dice: Random
    running: set[str] = field(default_factory=set)
    """The machines that run."""
    failure_count: int = 0
    """How often something failed so far."""

    async def start(self, machine: str) -> None:
        """Start a machine, if nothing jams."""
        await self._work(machine)
        self.running.add(machine)

    async def stop(self, machine: str) -> None:
        """Stop a machine, if nothing jams."""
        await self._work(machine)
        self.running.discard(machine)

    async def _work(self, machine: str) -> None:
        if self.dice.random() < self.failure_rate:
            self.failure_count += 1
            raise MachineTrouble(f"{machine}: a failure happened")
        await asyncio.sleep(self.work_s)
