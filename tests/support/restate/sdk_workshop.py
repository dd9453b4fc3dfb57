"""The workshop written with the bare restate-sdk and served on loopback: what tests register with a real server."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import hypercorn.asyncio
import hypercorn.config
import restate

counter = restate.VirtualObject("Counter", description="Counts.")
shop = restate.Service("Shop")
bell = restate.VirtualObject("Bell")
slow = restate.VirtualObject("Slow")
approval = restate.Workflow("Approval")
family = restate.Service("Family")

RETRY_ONCE = restate.InvocationRetryPolicy(
    max_attempts=2, initial_interval=timedelta(milliseconds=10), on_max_attempts="pause"
)


@counter.handler()
async def add(ctx: restate.ObjectContext, by: int) -> int:
    """Add to the count."""
    total = (await ctx.get("count", type_hint=int) or 0) + by
    ctx.set("count", total)
    return total


@counter.handler(kind="shared")
async def get(ctx: restate.ObjectSharedContext) -> int:
    """Give the count."""
    return await ctx.get("count", type_hint=int) or 0


@counter.handler()
async def hold(ctx: restate.ObjectContext) -> None:
    """Hold the key for an hour."""
    await ctx.sleep(timedelta(hours=1))


@slow.handler()
async def late(ctx: restate.ObjectContext, seconds: float) -> None:
    """Write the count at last."""
    await ctx.sleep(timedelta(seconds=seconds))
    ctx.set("count", 7)


@shop.handler()
async def buy(ctx: restate.Context, item: str) -> str:
    """Fail, with metadata."""
    raise restate.TerminalError("We have no more of it.", 410, metadata={"item": f'"{item}"'})


@shop.handler()
async def trace(ctx: restate.Context, item: str) -> dict[str, str]:
    """Give the headers of the request."""
    return dict(ctx.request().headers)


@shop.handler()
async def nap(ctx: restate.Context, seconds: float) -> str:
    """Sleep."""
    await ctx.sleep(timedelta(seconds=seconds))
    return "rested"


@shop.handler()
async def ring(ctx: restate.Context) -> str:
    """Wait for an awakeable that the bell remembers."""
    name, answer = ctx.awakeable(type_hint=str)
    await ctx.object_call(remember, "door", name)
    return await answer


@shop.handler(invocation_retry_policy=RETRY_ONCE)
async def broken(ctx: restate.Context) -> str:
    """Never succeed."""
    raise RuntimeError("no route to the bank")


@shop.handler()
async def steps(ctx: restate.Context) -> str:
    """One of each entry, then wait."""
    await ctx.run_typed("charge", charge)
    ctx.object_send(add, "steps", 1)
    await ctx.object_call(add, "steps", 1)
    await ctx.sleep(timedelta(hours=1), name="a long wait")
    return "done"


async def charge() -> str:
    """Do nothing."""
    return "paid"


@shop.handler(ingress_private=True)
async def secret(ctx: restate.Context) -> None:
    """Be called by handlers only."""


@shop.handler()
async def nothing(ctx: restate.Context) -> None:
    """Do nothing."""


@bell.handler()
async def remember(ctx: restate.ObjectContext, awakeable_id: str) -> None:
    """Keep the id."""
    ctx.set("awakeable_id", awakeable_id)


@bell.handler(kind="shared")
async def known(ctx: restate.ObjectSharedContext) -> str | None:
    """Give the id."""
    return await ctx.get("awakeable_id", type_hint=str)


@approval.main()
async def run(ctx: restate.WorkflowContext, amount: int) -> bool:
    """Wait for the decision."""
    return await ctx.promise("decision", type_hint=bool).value()


@approval.handler()
async def decide(ctx: restate.WorkflowSharedContext, yes: bool) -> None:
    """Decide."""
    await ctx.promise("decision", type_hint=bool).resolve(yes)


@family.handler()
async def parent(ctx: restate.Context, key: str) -> None:
    """Send a child, send one for later, call one."""
    ctx.object_send(hold, f"{key}-sent", None)
    ctx.object_send(hold, f"{key}-later", None, send_delay=timedelta(hours=1))
    await ctx.service_call(middle, key)


@family.handler()
async def middle(ctx: restate.Context, key: str) -> None:
    """Send a grandchild, call another."""
    ctx.object_send(hold, f"{key}-grand-sent", None)
    await ctx.object_call(hold, f"{key}-grand-called", None)


async def main() -> None:
    """Serve on the port given; `--http1` over HTTP/1.1 only, `--identity KEY` for one server only."""
    identity = [sys.argv[sys.argv.index("--identity") + 1]] if "--identity" in sys.argv else None
    services: list[restate.Service | restate.VirtualObject | restate.Workflow] = [
        counter,
        shop,
        bell,
        slow,
        approval,
        family,
    ]
    if "--less" in sys.argv:
        del counter.handlers["hold"]
        services = [counter]
    if "--kind" in sys.argv:
        other = restate.Service("Counter")
        other.handler()(nothing)
        services = [other]
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.accesslog = None
    await hypercorn.asyncio.serve(restate.app(services=services, identity_keys=identity), config)


if __name__ == "__main__":
    asyncio.run(main())
