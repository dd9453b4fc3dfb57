"""The services of the peer restate-sdk, served as its documentation shows: an ASGI app on hypercorn over h2c."""

from __future__ import annotations

import asyncio
import sys

import hypercorn.asyncio
import hypercorn.config
import restate

STEPS = 5
CALLS = 5

bench = restate.Service("Bench")
tally = restate.VirtualObject("Tally")


async def step(number: int) -> int:
    """Do nothing, durably."""
    return number


@bench.handler()
async def five(ctx: restate.Context) -> int:
    """Run five steps, one after the other."""
    total = 0
    for number in range(STEPS):
        total += await ctx.run_typed("step", step, number=number)
    return total


@tally.handler()
async def add(ctx: restate.ObjectContext, by: int) -> int:
    """Add to the count."""
    total = (await ctx.get("count", type_hint=int) or 0) + by
    ctx.set("count", total)
    return total


@bench.handler()
async def calls(ctx: restate.Context) -> int:
    """Call an object of its own some times, one after the other."""
    key = str(ctx.uuid())
    total = 0
    for _ in range(CALLS):
        total = await ctx.object_call(add, key, 1)
    return total


@bench.handler()
async def double(ctx: restate.Context, number: int) -> int:
    """Be one of the calls of a fan-out."""
    return 2 * number


@bench.handler()
async def gather(ctx: restate.Context, count: int) -> int:
    """Make so many calls at once and add up their answers."""
    calls = [ctx.service_call(double, number) for number in range(count)]
    await restate.gather(*calls)
    return sum([await call for call in calls])


@bench.handler()
async def noop(ctx: restate.Context) -> None:
    """Do nothing."""


app = restate.app(services=[bench, tally])


def main() -> None:
    """Serve on the loopback port given as argument."""
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.accesslog = None
    asyncio.run(hypercorn.asyncio.serve(app, config))


if __name__ == "__main__":
    main()
