"""The services of this framework that are measured; the same as the peers' where they are compared."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from restate_patterns import App, Context, Service, fan_out, fan_out_services, handler

STEPS = 5
LONG = timedelta(days=30)
WINDOW = 100
PAGE = 1_000


async def step(number: int) -> int:
    """Do nothing, durably."""
    return number


class Bench(Service):
    """What is measured.

    `slept_count` counts invocations that came to their long sleep in this process, replays included.
    """

    slept_count = 0

    @handler
    async def five(self, ctx: Context) -> int:
        """Run five steps, one after the other."""
        total = 0
        for number in range(STEPS):
            total += await ctx.run("step", step, number)
        return total

    @handler
    async def many(self, ctx: Context, count: int) -> int:
        """Run so many steps, one after the other."""
        for number in range(count):
            await ctx.run("step", step, number)
        return count

    @handler
    async def noop(self, ctx: Context) -> None:
        """Do nothing."""

    @handler
    async def double(self, ctx: Context, number: int) -> int:
        """Be one of the calls of a fan-out."""
        return 2 * number

    @handler
    async def gather(self, ctx: Context, count: int) -> int:
        """Make so many calls at once and add up their answers."""
        client = ctx.service_client(Bench)
        return sum(await asyncio.gather(*[client.double(number) for number in range(count)]))

    @handler
    async def fan_out(self, ctx: Context, count: int) -> int:
        """Make so many calls, a window at a time, and add up their answers."""
        return sum(await fan_out(ctx, range(count), ctx.service_client(Bench).double, window=WINDOW))

    @handler
    async def pages(self, ctx: Context, count: int) -> int:
        """Do the same in pages."""
        return sum(await fan_out(ctx, range(count), ctx.service_client(Bench).double, window=WINDOW, page=PAGE))

    @handler(inactivity_timeout=timedelta(0))
    async def sleep_long(self, ctx: Context) -> None:
        """Suspend at once, for longer than any benchmark."""
        Bench.slept_count += 1
        await asyncio.sleep(LONG.total_seconds())


app = App([Bench(), *fan_out_services()])
