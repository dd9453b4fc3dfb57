"""An app with something of everything a person sees on the command line and over HTTP."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from restate_patterns import (
    App,
    Awakeable,
    Context,
    DurablePromise,
    ObjectContext,
    ObjectSharedContext,
    RetryPolicy,
    Service,
    State,
    Step,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)

HOUR = timedelta(hours=1)


class OutOfStockError(TerminalError, code=410):
    """We have no more of it."""

    item: str


class Counter(VirtualObject):
    """Counts."""

    count = State[int](default=0)

    @handler
    async def add(self, ctx: ObjectContext, by: int) -> int:
        """Add to the count."""
        total = await self.count.get(ctx) + by
        self.count.set(ctx, total)
        return total

    @handler
    async def get(self, ctx: ObjectSharedContext) -> int:
        return await self.count.get(ctx)

    @handler
    async def hold(self, ctx: ObjectContext) -> None:
        await asyncio.sleep(3600)


def engaged() -> None:
    raise OSError("engaged")


class Shop(Service):
    @handler
    async def buy(self, ctx: Context, item: str) -> str:
        raise OutOfStockError(item=item)

    @handler
    async def trace(self, ctx: Context, item: str) -> dict[str, str]:
        return dict(ctx.headers)

    @handler
    async def nap(self, ctx: Context, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "rested"

    @handler
    async def ring(self, ctx: Context) -> str:
        bell: Awakeable[str] = ctx.awakeable(str)
        ctx.logger.info("awakeable %s", bell.id)
        await ctx.object_client(Bell, "door").remember(bell.id)
        return await bell

    @handler(retry=RetryPolicy(max_attempts=1))
    async def broken(self, ctx: Context) -> str:
        raise RuntimeError("no route to the bank")

    @handler
    async def dial(self, ctx: Context) -> None:
        await ctx.run(Step("dial", retry=RetryPolicy(initial=HOUR, maximum=HOUR)), engaged)

    @handler
    async def wait_at_most(self, ctx: Context, seconds: float) -> str:
        bell: Awakeable[str] = ctx.awakeable(str)
        async with asyncio.timeout(seconds):
            return await bell

    @handler(private=True)
    async def secret(self, ctx: Context) -> None: ...

    @handler
    async def nothing(self, ctx: Context) -> None: ...


class Bell(VirtualObject):
    awakeable_id = State[str | None](default=None)

    @handler
    async def remember(self, ctx: ObjectContext, awakeable_id: str) -> None:
        self.awakeable_id.set(ctx, awakeable_id)

    @handler
    async def known(self, ctx: ObjectSharedContext) -> str | None:
        return await self.awakeable_id.get(ctx)


class Approval(Workflow):
    decision = DurablePromise[bool]()

    @handler
    async def run(self, ctx: WorkflowContext, amount: int) -> bool:
        return await self.decision.value(ctx)

    @handler
    async def decide(self, ctx: WorkflowSharedContext, yes: bool) -> None:
        await self.decision.resolve(ctx, yes)


def make() -> App:
    """Make the app; `MODULE:APP` may name a function."""
    return App([Counter(), Shop(), Bell(), Approval()])


app = make()
not_an_app = 7
