"""The operator: one machine per key, one order at a time, each carried out to its end.

Orders for the same machine queue, orders for different machines do not. A failure is tried again where it
happened; a crash of the program goes on where it was.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from examples.state_machines.machines.hardware import Hardware
from restate_patterns import ObjectContext, StateMachine, Status, handler


class MachineStatus(enum.Enum):
    """What a machine is."""

    DOWN = "DOWN"
    UP = "UP"


# --8<-- [start:operator]
@dataclass
class MachineOperator(StateMachine[MachineStatus]):
    """Runs a machine, by its name."""

    hardware: Hardware

    status = Status(MachineStatus, initial=MachineStatus.DOWN)

    @status.on(MachineStatus.DOWN, MachineStatus.UP, to=MachineStatus.UP)
    @handler(name="setUp")
    async def set_up(self, ctx: ObjectContext) -> str:
        """Start the machine; nothing is done where it runs already."""
        if await self.status.get(ctx) is MachineStatus.UP:
            return f"{ctx.key} is up already"
        ctx.logger.info("%s begins to start", ctx.key)
        await ctx.run("start", self.hardware.start, ctx.key)
        return f"{ctx.key} is running"

    @status.on(MachineStatus.UP, MachineStatus.DOWN, to=MachineStatus.DOWN)
    @handler(name="tearDown")
    async def tear_down(self, ctx: ObjectContext) -> str:
        """Stop the machine; nothing is done where it is down already."""
        if await self.status.get(ctx) is MachineStatus.DOWN:
            return f"{ctx.key} is down already"
        ctx.logger.info("%s begins to stop", ctx.key)
        await ctx.run("stop", self.hardware.stop, ctx.key)
        return f"{ctx.key} is down"


# --8<-- [end:operator]
