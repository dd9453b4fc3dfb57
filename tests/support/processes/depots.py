"""An app to be moved: depots with what came to them in order, routes that wait for a word, a letter box.

On the file its handlers can be made to fail before they do anything: what is accepted then waits, not begun.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from restate_patterns import (
    App,
    Context,
    DurablePromise,
    ObjectContext,
    ObjectSharedContext,
    RetryPolicy,
    Service,
    State,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)

PATIENT = RetryPolicy(initial=timedelta(minutes=10), maximum=timedelta(minutes=10))


@dataclass
class Depot(VirtualObject):
    """A place; its key is its name."""

    broken: bool = False

    came = State[list[str]](default_factory=list)
    owner = State[str | None](default=None)

    @handler(retry=PATIENT)
    async def put(self, ctx: ObjectContext, what: str) -> None:
        if self.broken:
            raise RuntimeError("the depot is closed")
        self.came.set(ctx, [*await self.came.get(ctx), what])

    @handler(private=True, retry=PATIENT)
    async def store(self, ctx: ObjectContext, what: str) -> None:
        """Do the same for the depot itself: no ingress takes it."""
        await self.put.inline(ctx, what)

    @handler
    async def plan(self, ctx: ObjectContext, after_ms: int) -> None:
        """Have something put and something stored, later, in this order."""
        me = ctx.object_client(Depot, ctx.key)
        for number in range(3):
            await me.put.send_after(timedelta(milliseconds=after_ms), f"put {number}")
            await me.store.send_after(timedelta(milliseconds=after_ms), f"stored {number}")

    @handler
    async def own(self, ctx: ObjectContext, who: str) -> None:
        self.owner.set(ctx, who)

    @handler
    async def hold(self, ctx: ObjectContext) -> None:
        """Be in the middle of something for long."""
        self.owner.set(ctx, "held")
        await asyncio.sleep(3600)

    @handler
    async def fetch(self, ctx: ObjectContext, other: str) -> None:
        """Wait for another depot's `hold`, behind whatever is there."""
        await ctx.object_client(Depot, other).put(ctx.key)

    @handler
    async def list(self, ctx: ObjectSharedContext) -> list[str]:
        return await self.came.get(ctx)


class Route(Workflow):
    """A journey that waits for a word; its key is its number."""

    word = DurablePromise[str]()
    at = State[str](default="start")

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        self.at.set(ctx, "waiting")
        return await self.word.value(ctx)

    @handler
    async def tell(self, ctx: WorkflowSharedContext, word: str) -> None:
        await self.word.resolve(ctx, word)


class Letters(Service):
    """Carries letters to depots."""

    @handler
    async def post(self, ctx: Context, to: str) -> None:
        await ctx.object_client(Depot, to).put.send(f"letter {dict(ctx.headers).get('x-stamp', '-')}")


app = App([Depot(), Route(), Letters()])
