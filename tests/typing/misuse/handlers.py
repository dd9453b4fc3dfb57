"""Wrong handlers, steps and options."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from restate_patterns import (
    App,
    Context,
    ObjectContext,
    ObjectSharedContext,
    RetryPolicy,
    Service,
    Step,
    VirtualObject,
    Workflow,
    WorkflowSharedContext,
    handler,
)
from tests.typing.misuse.declared import Checkout, Order, Ticket


class Wrong(Service):
    @handler  # error: not async
    def plain(self, ctx: Context) -> int:
        return 1

    @handler  # error: no context
    async def nothing(self) -> None: ...

    @handler(nam="x")  # error: no such option
    async def option(self, ctx: Context) -> None: ...

    @handler(raises=[ValueError])  # error: not terminal
    async def raises(self, ctx: Context) -> None: ...

    @handler(retention=3)  # error: a time without unit
    async def retention(self, ctx: Context) -> None: ...


class Named(Service, nme="x"):  # error: no such option
    pass


class Retried(VirtualObject, retry=3):  # error: not a policy
    pass


class Gold(Ticket):
    @handler
    async def change(self, ctx: ObjectContext, name: int) -> None: ...  # error: another argument than its base


async def pay(order: Order, amount: int) -> bool:
    return True


def receipt(key: str) -> str:
    return key


class Steps(Service):
    @handler
    async def steps(self, ctx: Context, order: Order) -> None:
        await ctx.run("pay", pay, order, "40")  # error: argument of the wrong type
        await ctx.run("pay", pay, order)  # error: an argument is missing
        await ctx.run("pay", pay, order, 40, key=1)  # error: no such argument
        await ctx.run("pay", pay(order, 40))  # error: called instead of given
        await ctx.run(pay, order, 40)  # error: no name
        await ctx.run("receipt", receipt, 3)  # error: argument of the wrong type
        wrong: str = await ctx.run("pay", pay, order, 40)  # error: result of the wrong type
        number: int = await ctx.run("receipt", receipt, "k")  # error: result of the wrong type
        ctx.run("pay", pay, order, 40)  # error: a forgotten await
        Step("pay", timeout=3)  # error: a time without unit
        Step("pay", retries=3)  # error: no such option
        RetryPolicy(max_attempts="3")  # error: of the wrong type
        RetryPolicy(then="stop")  # error: no such choice
        ctx.awakeable(3)  # error: not a type
        print(wrong, number)


class Own(VirtualObject):
    @handler
    async def first(self, ctx: ObjectContext, name: str) -> bool:
        return True

    @handler
    async def second(self, ctx: ObjectContext) -> None:
        await self.first.inline(ctx)  # error: an argument is missing
        await self.first.inline(ctx, 3)  # error: argument of the wrong type
        await self.first.inline("ann")  # error: no context
        self.first = None  # error: a handler replaced

    @handler
    async def third(self, ctx: ObjectSharedContext) -> None:
        await self.first.inline(ctx, "ann")  # error: an exclusive handler inline in a shared one


async def concurrency(ctx: Context) -> None:
    ticket = ctx.object_client(Ticket, "A1")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ticket.reserve())
        group.create_task(ticket.reserve)  # error: given instead of called
        group.create_task(ctx.awakeable(bool))  # error: an awaitable that is no coroutine
    text: str = task.result()  # error: result of the wrong type
    first, second = await asyncio.gather(ticket.reserve(), ticket.peek())
    swapped: str = second  # error: result of the wrong type
    print(text, first, swapped)


app = App([Checkout])  # error: a class instead of an instance
other = App([3])  # error: no definition
App(Ticket())  # error: not a list
app.serve("tickets.db")  # error: no backend


async def cancel(ctx: Context) -> None:
    ctx.headers["x"] = "y"  # error: headers are read-only
    ctx.invocation_id = "x"  # error: read-only
    deadline: float = ctx.now()  # error: a datetime
    print(deadline, timedelta(ctx.uuid4()))  # error: an id is no number


class Other(Workflow):
    @handler
    async def run(self, ctx: WorkflowSharedContext) -> None:
        ctx.clear_all()  # error: a write from a shared handler
