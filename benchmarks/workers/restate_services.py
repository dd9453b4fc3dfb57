"""The services that are measured on a Restate server: this framework's, the same as `restate_endpoint`'s."""

from __future__ import annotations

import asyncio

from benchmarks.workers.embedded_services import STEPS, WINDOW, step
from restate_patterns import App, Context, ObjectContext, Service, State, VirtualObject, fan_out, handler

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
    async def double(self, ctx: Context, number: int) -> int:
        """Be one of the calls of a fan-out."""
        return 2 * number

    @handler
    async def gather(self, ctx: Context, count: int) -> int:
        """Make so many calls at once and add up their answers."""
        client = ctx.service_client(OurBench)
        return sum(await asyncio.gather(*[client.double(number) for number in range(count)]))

    @handler
    async def fan_out(self, ctx: Context, count: int) -> int:
        """Make so many calls, a window at a time, and add up their answers."""
        return sum(await fan_out(ctx, range(count), ctx.service_client(OurBench).double, window=WINDOW))

    @handler
    async def noop(self, ctx: Context) -> None:
        """Do nothing."""


app = App([OurBench(), OurTally()])
