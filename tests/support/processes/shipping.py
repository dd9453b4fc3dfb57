"""An app for tests of `restate-patterns sagas`: an order whose undo fails until somebody is told of it."""

from __future__ import annotations

from datetime import timedelta

from restate_patterns import (
    App,
    Context,
    ObjectContext,
    RetryPolicy,
    Saga,
    Service,
    State,
    TerminalError,
    UndoPolicy,
    VirtualObject,
    handler,
    saga_services,
)

ONCE = UndoPolicy(retry=RetryPolicy(initial=timedelta(milliseconds=1), max_attempts=1, then="fail"))


HOURLY = UndoPolicy(retry=RetryPolicy(initial=timedelta(hours=1), maximum=timedelta(hours=1)))


class Warehouse(VirtualObject):
    """Reserves goods; it does not take them back while its door is shut."""

    shut = State[bool](default=True)

    @handler
    async def reserve(self, ctx: ObjectContext) -> str:
        return f"place of {ctx.key}"

    @handler
    async def take_back(self, ctx: ObjectContext, place: str) -> None:
        if await self.shut.get(ctx):
            raise TerminalError("the door is shut", code=423)

    @handler
    async def open(self, ctx: ObjectContext) -> None:
        self.shut.set(ctx, False)


class Orders(Service):
    """Orders what can't be paid."""

    @handler
    async def order(self, ctx: Context, goods: str) -> str:
        warehouse = ctx.object_client(Warehouse, goods)
        async with Saga(ctx, name="order", policy=ONCE, logged=True) as saga:
            await saga.call(warehouse.reserve).undo(warehouse.take_back)
            raise TerminalError("the card was declined", code=402)

    @handler
    async def order_patiently(self, ctx: Context, goods: str) -> str:
        warehouse = ctx.object_client(Warehouse, goods)
        async with Saga(ctx, policy=HOURLY) as saga:
            await saga.call(warehouse.reserve).undo(warehouse.take_back)
            raise TerminalError("the card was declined", code=402)


app = App([Warehouse(), Orders(), *saga_services()])
