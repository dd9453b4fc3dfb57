"""Services that run as an AWS Lambda function, and one that dies in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from restate_patterns import (
    Awakeable,
    AwakeableId,
    Context,
    ObjectContext,
    ObjectSharedContext,
    Service,
    State,
    VirtualObject,
    handler,
)


class Till(VirtualObject):
    """Takes money."""

    total = State[int](default=0)
    bell = State[AwakeableId[str] | None](default=None)

    @handler
    async def take(self, ctx: ObjectContext, amount: int) -> int:
        total = await self.total.get(ctx) + amount
        self.total.set(ctx, total)
        return total

    @handler
    async def hang(self, ctx: ObjectContext, bell: AwakeableId[str]) -> None:
        self.bell.set(ctx, bell)

    @handler
    async def hung(self, ctx: ObjectSharedContext) -> AwakeableId[str] | None:
        return await self.bell.get(ctx)


class Order(Service):
    """Goes through every kind of wait."""

    @handler
    async def place(self, ctx: Context, till: str) -> str:
        charge = await ctx.run("charge", self._charge, till)
        await asyncio.sleep(0.2)
        total = await ctx.object_client(Till, till).take(7)
        bell: Awakeable[str] = ctx.awakeable(str)
        await ctx.object_client(Till, till).hang(bell.id)
        said = await bell
        return f"{charge}, {total} in the till, {said}"

    @handler
    async def place_once_killed(self, ctx: Context, folder: str) -> str:
        first = await ctx.run("first", self._count, Path(folder, "first"))
        await ctx.run("killed in the middle", self._die_once, Path(folder, "died"))
        return f"the first step ran {first} time"

    def _charge(self, till: str) -> str:
        return f"charged for {till}"

    def _count(self, file: Path) -> int:
        with file.open("a") as counted:
            counted.write("x")
        return len(file.read_text())

    def _die_once(self, mark: Path) -> None:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
