"""Wrong state and promises."""

from __future__ import annotations

from restate_patterns import (
    Clients,
    Context,
    DurablePromise,
    InvocationHandle,
    ObjectContext,
    ObjectSharedContext,
    State,
    TerminalError,
    VirtualObject,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from tests.typing.misuse.declared import Approval, Checkout, Declined, Level, Registration, Ticket


class Declares(VirtualObject):
    level = State[Level](default="low")  # error: default of the wrong type
    names = State[list[str]](default_factory=dict)  # error: factory of the wrong type
    count = State[int](3)  # error: the default by position
    promise = DurablePromise[bool](default=True)  # error: a promise has no default


class Wrong(VirtualObject):
    level = State[Level](default=Level.LOW)
    names = State[list[str]](default_factory=list)
    count = State[int]()
    note = State[str | None](default=None)
    text = State[str]()

    @handler
    async def peek(self, ctx: ObjectSharedContext) -> int:
        return await self.count.get(ctx)

    @handler
    async def write(self, ctx: ObjectContext) -> None:
        self.level.set(ctx, "high")  # error: value of the wrong type
        self.names.set(ctx, ["a", 1])  # error: wrong type inside
        self.count.set(ctx)  # error: no value
        self.count.set(3)  # error: no context
        text: str = await self.note.get(ctx)  # error: it may be None
        number: str = await self.count.get(ctx)  # error: value of the wrong type
        default: int = await self.count.get(ctx, None)  # error: the default is None
        print(self.count + 1, text, number, default)  # error: not read
        self.cuont.set(ctx, 3)  # error: misspelt state

    @handler
    async def assign(self, ctx: ObjectContext) -> None:
        self.text = "x"  # error (mypy): assigned instead of set; pyright takes it as a declaration
        self.peek = None  # error: a handler replaced

    @handler
    async def read(self, ctx: ObjectSharedContext) -> int:
        self.count.set(ctx, 3)  # error: a write from a shared handler
        self.note.clear(ctx)  # error: a write from a shared handler
        ctx.clear_all()  # error: a write from a shared handler
        return await self.note.get(ctx)  # error: result of the wrong type


async def elsewhere(ctx: Context, ticket: Ticket) -> None:
    await ticket.count.get(ctx)  # error: a service has no state
    print(ctx.key)  # error: a service has no key


async def promises(ctx: WorkflowSharedContext, registration: Registration, one: ObjectContext) -> None:
    await registration.verified.resolve(ctx, "yes")  # error: resolved with the wrong type
    await registration.verified.resolve(ctx)  # error: resolved without a value
    await registration.verified.reject(ctx, "no")  # error: rejected without an error
    await registration.verified.reject(ctx, ValueError("no"))  # error: rejected with a retryable error
    await registration.verified.value(one)  # error: an object has no promises
    seen: bool = await registration.verified.peek(ctx)  # error: it may be NotReady
    registration.step.set(ctx, "x")  # error: a write from a shared handler of a workflow
    registration.verified = True  # error: assigned instead of resolved
    wide: DurablePromise[bool | str] = registration.verified  # error: widened
    registration.verified.resolve(ctx, True)  # error: a forgotten await
    print(seen, wide)


async def named(one: ObjectContext, shared: ObjectSharedContext, flow: WorkflowSharedContext) -> None:
    one.state("n", int).set("x")  # error: value of the wrong type
    one.state("n")  # error: no type
    one.state("n", 3)  # error: not a type
    text: str = await one.state("n", int | None).get()  # error: of the wrong type
    one.promise("p", bool)  # error: an object has no promises
    shared.state("n", int).set(3)  # error: a write from a shared handler
    shared.state("n", int).clear()  # error: a write from a shared handler
    flow.state("n", int).set(3)  # error: a write from a shared handler of a workflow
    await flow.promise("p", bool).resolve("yes")  # error: resolved with the wrong type
    await flow.promise("p", bool).reject(ValueError("no"))  # error: rejected with a retryable error
    flow.promise("p", bool).value()  # error: a forgotten await
    print(text)


async def awakeables(ctx: WorkflowContext, approval: Approval, client: Clients) -> None:
    waiting = ctx.awakeable(bool)
    text: str = await waiting  # error: of the wrong type
    await approval.token.resolve(ctx, "yes")  # error: resolved with the wrong type
    await approval.token.resolve(client, 3.5)  # error: resolved with the wrong type
    await approval.token.resolve(True)  # error: no context or client
    await approval.token.reject(ctx, "no")  # error: rejected without an error
    Approval(token=ctx.awakeable(str).id)  # error: an id of another type
    print(text)


async def signals(ctx: Context, checkout: Checkout, handle: InvocationHandle[bool]) -> None:
    text: str = await ctx.signal(checkout.paid)  # error: of the wrong type
    ctx.signal("paid")  # error: no type
    ctx.signal("paid", 3)  # error: not a type
    ctx.signal(checkout.paid, bool)  # error: a type beside the declared one
    await ctx.signal(Checkout.paid).resolve(True)  # error: answered where it is awaited
    await handle.signal(Checkout.paid)  # error: awaited where it is answered
    await handle.signal(Checkout.paid).resolve("yes")  # error: resolved with the wrong type
    await handle.signal("paid", bool).resolve("yes")  # error: resolved with the wrong type
    await handle.signal(Checkout.paid).reject(ValueError("no"))  # error: rejected with a retryable error
    handle.signal(Checkout.paid).resolve(True)  # error: a forgotten await
    checkout.paid = True  # error: assigned instead of resolved
    print(text)


async def terminal() -> None:
    raise Declined()  # error: a field is missing


async def fields(error: Declined) -> None:
    Declined(reason=3)  # error: field of the wrong type
    Declined(reason="x", amount=3)  # error: no such field
    Declined("limit")  # error: a field by position
    TerminalError(3)  # error: no message
    TerminalError("no", metadata={"k": 3})  # error: metadata is text
    error.metadata["k"] = "v"  # error: metadata stays as it is
    print(error.amount)  # error: no such field
