"""The services that are measured on a Restate server: this framework's, the same as `restate_endpoint`'s."""

from __future__ import annotations

from benchmarks.workers.embedded_services import STEPS, step
from restate_patterns import App, Context, ObjectContext, Service, State, VirtualObject, handler

CALLS = 5


class OurTally(VirtualObject):
    """Counts."""

    count = State[int](default=0)

    @handler
    async def add(self, ctx: ObjectContext, by: int) -> int:
        """Add to the count."""
        total = await self.count.get(ctx) + by
        self.count.set(ctx, total)
        return total


class OurBench(Service):
    """What is measured."""

    @handler
    async def five(self, ctx: Context) -> int:
        """Run five steps, one after the other."""
        total = 0
        for number in range(STEPS):
            total += await ctx.run("step", step, number=number)
        return total

    @handler
    async def calls(self, ctx: Context) -> int:
        """Call an object of its own some times, one after the other."""
        tally = ctx.object_client(OurTally, str(ctx.uuid4()))
        total = 0
        for _ in range(CALLS):
            total = await tally.add(1)
        return total

    @handler
    async def noop(self, ctx: Context) -> None:
        """Do nothing."""


app = App([OurBench(), OurTally()])
