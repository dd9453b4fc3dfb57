"""Wrong clients, wrong calls, wrong sends."""

from __future__ import annotations

from datetime import timedelta

from restate_patterns import Clients, Context, ObjectContext
from tests.typing.misuse.declared import Checkout, Order, Registration, Ticket


async def kinds(ctx: Context) -> None:
    ctx.object_client(Ticket)  # error: without a key
    ctx.object_client(Ticket, 3)  # error: key of the wrong type
    ctx.object_client(Checkout, "k")  # error: a service called as an object
    ctx.object_client(Registration, "k")  # error: a workflow called as an object
    ctx.service_client(Ticket)  # error: an object called as a service
    ctx.service_client(Registration)  # error: a workflow called as a service
    ctx.service_client(Checkout, "k")  # error: a service with a key
    ctx.workflow_client(Ticket, "k")  # error: an object called as a workflow
    ctx.workflow_client(Registration)  # error: without a key
    ctx.service_client("Checkout")  # error: by name
    ctx.service_client(Checkout(http=None))  # error: an instance instead of the class


async def arguments(client: Clients) -> None:
    ticket = client.object_client(Ticket, "A1")
    checkout = client.service_client(Checkout)
    await ticket.reserve(1)  # error: an argument to a handler that takes none
    await ticket.change()  # error: no argument to a handler that takes one
    await ticket.change(3)  # error: argument of the wrong type
    await ticket.change("a", "b")  # error: two arguments
    await ticket.change(nme="a")  # error: misspelt argument
    await checkout.pay("ann")  # error: not an Order
    await checkout.pay({"user": "ann", "tickets": []})  # error: not an Order
    await checkout.pay(Order("ann", [1]))  # error: wrong type inside
    await ticket.resrve()  # error: misspelt handler
    await ticket.rename("x")  # error: the wire name is not the Python name


async def results(client: Clients) -> None:
    ticket = client.object_client(Ticket, "A1")
    wrong: str = await ticket.reserve()  # error: result of the wrong type
    nothing: int = await ticket.change("x")  # error: there is no result
    ticket.reserve()  # error: a forgotten await
    ticket.reserve.send()  # error: a forgotten await
    bool(ticket.peek() + 1)  # error: a call used without await
    handle = await ticket.reserve.send()
    later: str = await handle.result()  # error: result of the wrong type
    now: bool = await handle.output()  # error: it may be NotReady
    handle.cancel()  # error: a forgotten await
    await handle.result(timeout=3)  # error: a timeout without unit
    print(wrong, nothing, later, now)


async def sends(client: Clients) -> None:
    ticket = client.object_client(Ticket, "A1")
    await ticket.change.send(3)  # error: argument of the wrong type
    await ticket.change.send_after(15, "x")  # error: a delay without unit
    await ticket.change.send_after("x")  # error: no delay
    await ticket.change.send_after(timedelta(minutes=1))  # error: no argument
    await ticket.change.with_options(idempotency_key=3).send("x")  # error: key of the wrong type
    await ticket.change.with_options(idempotency="k").send("x")  # error: no such option
    await ticket.change.with_options(idempotency_key="k").send(3)  # error: argument of the wrong type
    await ticket.change.with_options(timeout=3)("x")  # error: a timeout without unit


async def references(client: Clients, ctx: ObjectContext) -> None:
    client.invocation(Ticket.reserve)  # error: no id
    client.invocation("reserve", "inv_1")  # error: a handler by name
    client.invocation(client.object_client(Ticket, "A1").reserve, "inv_1")  # error: a client's handler
    wrong: str = await client.invocation(Ticket.reserve, "inv_1").result()  # error: of the wrong type
    Ticket.reserve(ctx)  # error: the class is no client
    print(wrong)


async def by_name(ctx: Context) -> None:
    pay = ctx.handler_client("Checkout", "pay", takes=Order, returns=bool)
    nothing = ctx.handler_client("Ticket", "reserve", key="A1", takes=None, returns=bool)
    await pay("ann")  # error: not an Order
    await pay()  # error: no argument to a handler that takes one
    await pay.send(3)  # error: argument of the wrong type
    await nothing(1)  # error: an argument to a handler that takes none
    wrong: str = await nothing()  # error: result of the wrong type
    pay(Order("ann", []))  # error: a forgotten await
    await pay.inline(ctx, Order("ann", []))  # error: a client has no body
    ctx.handler_client(Checkout, "pay")  # error: a class instead of its name
    ctx.handler_client("Checkout")  # error: no handler
    ctx.handler_client("Ticket", "reserve", key=3)  # error: key of the wrong type
    ctx.handler_client("Checkout", "pay", takes=3)  # error: not a type
    later: str = await ctx.invocation_by_id("inv_1", returns=int).result()  # error: of the wrong type
    ctx.invocation_by_id(Ticket.reserve)  # error: no id
    ctx.invocation_by_id("inv_1", returns=3)  # error: not a type
    print(wrong, later)
