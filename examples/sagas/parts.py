"""Parts of sagas that the guide shows: a savepoint and a semantic lock."""

from __future__ import annotations

from datetime import timedelta

from restate_patterns import (
    App,
    Context,
    Lockable,
    ObjectContext,
    ObjectSharedContext,
    Saga,
    Service,
    State,
    TerminalError,
    handler,
    saga_services,
)


class NothingLeft(TerminalError, code=409):
    """There is nothing left of it."""


# --8<-- [start:lock]
class Account(Lockable):
    """An account; its key is its number."""

    balance = State[int](default=100)

    @handler(raises=[NothingLeft])
    async def add(self, ctx: ObjectContext, amount: int) -> int:
        await self.guard(ctx)  # while a saga owns it, only that saga
        balance = await self.balance.get(ctx) + amount
        if balance < 0:
            raise NothingLeft
        self.balance.set(ctx, balance)
        return balance

    @handler
    async def read(self, ctx: ObjectSharedContext) -> int:
        return await self.committed(ctx, self.balance)  # as it was before that saga


class Transfer(Service):
    """Moves money between accounts."""

    @handler(raises=[NothingLeft])
    async def move(self, ctx: Context, amount: int) -> None:
        source, target = ctx.object_client(Account, "from"), ctx.object_client(Account, "to")
        async with Saga(ctx) as saga:
            for account in (source, target):
                await saga.lock(account, policy="wait", timeout=timedelta(minutes=1))
            await saga.call(target.add, amount).undo(target.add, lambda _: -amount)
            await saga.call(source.add, -amount)

    # --8<-- [end:lock]


class Hotels(Service):
    """Books rooms; the one with a view is taken."""

    @handler(raises=[NothingLeft])
    async def book(self, ctx: Context, room: str) -> str:
        if room == "with a view":
            raise NothingLeft
        return room

    @handler
    async def cancel(self, ctx: Context, room: str) -> None:
        """Let go of the room."""


class Holidays(Service):
    """Books a holiday: with a view if there is one, and without if there is none."""

    # --8<-- [start:savepoint]
    @handler
    async def book(self, ctx: Context) -> list[str]:
        hotels, booked = ctx.service_client(Hotels), list[str]()
        async with Saga(ctx) as saga:
            booked.append(await saga.call(hotels.book, "by the station").undo(hotels.cancel))
            try:
                async with saga.savepoint():
                    await saga.call(hotels.book, "by the sea").undo(hotels.cancel)
                    await saga.call(hotels.book, "with a view").undo(hotels.cancel)
            except NothingLeft:  # the room by the sea is cancelled, the one by the station is not
                booked.append(await saga.call(hotels.book, "in the mountains").undo(hotels.cancel))
        return booked

    # --8<-- [end:savepoint]


app = App([Account(), Transfer(), Hotels(), Holidays(), *saga_services()])
