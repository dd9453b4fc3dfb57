"""Correct uses and the exact types they have; type-checked by `test_misuse`, imported but not run by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any, Generic, Never, TypeVar, assert_type
from uuid import UUID

import anyio
import attrs
from typing_extensions import override

from restate_patterns import (
    AwaitedSignal,
    AwakeableId,
    BlockingClient,
    Clients,
    Context,
    DurablePromise,
    HandlerClient,
    InvocationHandle,
    NamedPromise,
    NamedState,
    NotReady,
    ObjectContext,
    ObjectSharedContext,
    ReadOnlyState,
    Saga,
    SagaRecord,
    Service,
    Signal,
    SignalHandle,
    State,
    Step,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)

T = TypeVar("T")


class Declined(TerminalError, code=402):  # noqa: N818
    """The card was declined."""

    reason: str
    amount: Decimal = Decimal(0)


class Ticket(VirtualObject):
    holder = State[str | None](default=None)
    seen = State[list[str]](default_factory=list)
    total = State[Decimal]()

    @handler
    async def reserve(self, ctx: ObjectContext, user: str = "nobody") -> bool:
        """Reserve it."""
        assert_type(await self.holder.get(ctx), str | None)
        assert_type(await self.seen.get(ctx), list[str])
        assert_type(await self.total.get(ctx), Decimal)
        assert_type(await self.total.get(ctx, None), Decimal | None)
        self.holder.set(ctx, user)
        self.holder.set(ctx, None)
        self.holder.clear(ctx)
        ctx.clear_all()
        return await self.owner.inline(ctx) == user

    @handler(name="who", private=True, retention=timedelta(days=1), inactivity_timeout=timedelta(0))
    async def owner(self, ctx: ObjectSharedContext) -> str | None:
        assert_type(ctx.key, str)
        assert_type(await ctx.state_keys(), list[str])
        return await self.holder.get(ctx)


class Gold(Ticket, name="GoldTicket"):
    @handler
    @override
    async def reserve(self, ctx: ObjectContext, user: str = "nobody") -> bool:
        return await super().reserve.inline(ctx, user)


class Shelf(VirtualObject, Generic[T]):
    item = State[T]()

    @handler
    async def put(self, ctx: ObjectContext, item: T) -> None:
        self.item.set(ctx, item)

    @handler
    async def take(self, ctx: ObjectContext) -> T:
        return await self.item.get(ctx)


class Prices(Shelf[Decimal]): ...


@dataclass(slots=True)
class Checkout(Service):
    limit: int

    @handler
    async def pay(self, ctx: Context, amount: Decimal) -> bool:
        return amount < self.limit


class Delivery(Service):
    arrived = Signal[Decimal | None](name="has-arrived")

    @handler
    async def wait(self, ctx: Context) -> bool:
        """Wait for it."""
        arrived: AwaitedSignal[Decimal | None] = ctx.signal(self.arrived)
        assert_type(await arrived, Decimal | None)
        assert_type(await ctx.signal(self.arrived), Decimal | None)
        print(f"{await ctx.signal(self.arrived)}", await ctx.signal(self.arrived))
        assert_type(await ctx.signal("left", list[str] | None), list[str] | None)
        return True


@attrs.define
class Audit(Service):
    sink: Callable[[str], None]

    @handler
    async def note(self, ctx: Context, text: str) -> None:
        await ctx.run("note", self.sink, text)


class Registration(Workflow):
    verified = DurablePromise[bool]()

    @handler
    async def run(self, ctx: WorkflowContext, user: str) -> bool:
        return await self.verified.value(ctx)

    @handler
    async def verify(self, ctx: WorkflowSharedContext, ok: bool) -> None:
        assert_type(await self.verified.peek(ctx), bool | NotReady)
        await self.verified.resolve(ctx, ok)
        await self.verified.reject(ctx, Declined(reason="late"))


async def clients(via: Clients, context: Context) -> None:
    ticket = via.object_client(Ticket, "A1")
    assert_type(ticket, Ticket)
    assert_type(await ticket.reserve("ann"), bool)
    assert_type(await ticket.reserve(user="ann"), bool)
    assert_type(await ticket.reserve(), bool)
    assert_type(await ticket.owner(), str | None)
    assert_type(await via.object_client(Gold, "A1").owner(), str | None)
    assert_type(await via.object_client(Prices, "p").take(), Decimal)
    assert_type(await via.service_client(Checkout).pay(Decimal(1)), bool)
    assert_type(await via.service_client(Audit).note("x"), None)
    workflow = via.workflow_client(Registration, "ann")
    assert_type(await workflow.run("ann"), bool)
    assert_type(workflow.run.handle(), InvocationHandle[bool])
    assert_type(await context.object_client(Ticket, "A1").reserve("ann"), bool)


async def handles(via: Clients) -> None:
    ticket = via.object_client(Ticket, "A1")
    handle = await ticket.reserve.send("ann")
    assert_type(handle, InvocationHandle[bool])
    assert_type(handle.id, str)
    assert_type(await handle.result(), bool)
    assert_type(await handle.result(timeout=timedelta(seconds=1)), bool)
    assert_type(await handle.output(), bool | NotReady)
    assert_type(await handle.cancel(), None)
    assert_type(await ticket.reserve.send_after(timedelta(minutes=1), "ann"), InvocationHandle[bool])
    options = ticket.reserve.with_options(idempotency_key="k", headers={"a": "b"}, timeout=timedelta(seconds=1))
    assert_type(await options("ann"), bool)
    assert_type(await options.send("ann"), InvocationHandle[bool])
    assert_type(options.handle(), InvocationHandle[bool])
    assert_type(via.invocation(Ticket.owner, "inv_1"), InvocationHandle[str | None])
    assert_type(via.invocation(Gold.reserve, "inv_1"), InvocationHandle[bool])
    assert_type(Ticket.reserve.name, str)


def threads(client: BlockingClient, awakeable: AwakeableId[bool]) -> None:
    ticket = client.object_client(Ticket, "A1")
    assert_type(client.wait(ticket.reserve("ann")), bool)
    assert_type(client.wait(ticket.owner(), timeout=timedelta(seconds=1)), str | None)
    handle = client.wait(ticket.reserve.send("ann"))
    assert_type(handle, InvocationHandle[bool])
    assert_type(client.wait(handle.result()), bool)
    assert_type(client.wait(handle.output()), bool | NotReady)
    client.wait(handle.cancel())
    client.wait(awakeable.resolve(client, True))


async def by_name(via: Clients, context: Context) -> None:
    pay = via.handler_client("Checkout", "pay", takes=Decimal, returns=bool)
    assert_type(pay, HandlerClient[Never, [Decimal], bool])
    assert_type(await pay(Decimal(1)), bool)
    assert_type(await pay.send(Decimal(1)), InvocationHandle[bool])
    assert_type(await pay.send_after(timedelta(minutes=1), Decimal(1)), InvocationHandle[bool])
    assert_type(await pay.with_options(idempotency_key="k")(Decimal(1)), bool)
    assert_type(pay.handle(), InvocationHandle[bool])
    owner = context.handler_client("Ticket", "who", key="A1", takes=None, returns=str | None)
    assert_type(owner, HandlerClient[Never, [], str | None])
    assert_type(await owner(), str | None)
    assert_type(await via.handler_client("Audit", "note", takes=str, returns=None)("x"), None)
    assert_type(await via.handler_client("Audit", "note", takes=int | str)(3), Any)
    assert_type(await via.handler_client("Audit", "note", takes=bytes, returns=bytes)(b""), bytes)
    assert_type(via.handler_client("Shelf", "take", key="k", takes=None), HandlerClient[Never, [], Any])
    assert_type(via.handler_client("Shelf", "put", key="k", returns=list[int]), HandlerClient[Never, [Any], list[int]])
    assert_type(via.handler_client("Shelf", "put", key="k"), HandlerClient[Never, [Any], Any])
    assert_type(via.invocation_by_id("inv_1", returns=int | None), InvocationHandle[int | None])
    assert_type(await via.invocation_by_id("inv_1", returns=None).output(), NotReady | None)
    assert_type(await via.invocation_by_id("inv_1").result(), Any)
    async with Saga(context) as saga:
        assert_type(await saga.call(pay, Decimal(1)), bool)
        saga.undo(owner)


async def named_values(one: ObjectContext, shared: ObjectSharedContext, run: WorkflowContext) -> None:
    assert_type(one.state("total", int), NamedState[int])
    assert_type(await one.state("total", int).get(), int)
    assert_type(await one.state("total", int | None).get("none"), int | str | None)
    one.state("total", int | None).set(None)
    one.state("total", int).clear()
    assert_type(shared.state("total", list[str]), ReadOnlyState[list[str]])
    readable: ReadOnlyState[int | str] = one.state("total", int)
    assert_type(await readable.get(), int | str)
    assert_type(run.state("total", int), NamedState[int])
    promise = run.promise("approval", bool | None)
    assert_type(promise, NamedPromise[bool | None])
    assert_type(await promise.value(), bool | None)
    assert_type(await promise.peek(), bool | NotReady | None)
    await promise.resolve(None)
    await promise.reject(Declined(reason="late"))


async def signals(via: Clients, sent: InvocationHandle[bool]) -> None:
    handle = via.invocation(Delivery.wait, "inv_1")
    assert_type(handle.signal(Delivery.arrived), SignalHandle[Decimal | None])
    assert_type(handle.signal("left", list[str] | None), SignalHandle[list[str] | None])
    await sent.signal(Delivery.arrived).resolve(None)
    await via.invocation_by_id("inv_1").signal("left", int).reject(Declined(reason="late"))
    await asyncio.gather(handle.signal("a", int).resolve(1), handle.signal("b", str).resolve("c"))


async def concurrency(via: Clients) -> None:
    ticket = via.object_client(Ticket, "A1")
    # With `-> Coroutine[Any, Any, R]` in the signatures mypy makes these Any.
    assert_type(await asyncio.gather(ticket.reserve("ann"), ticket.owner()), tuple[bool, str | None])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ticket.reserve("ann"))
        sent = group.create_task(ticket.reserve.send("ann"))
    assert_type(task.result(), bool)
    assert_type(sent.result(), InvocationHandle[bool])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticket.reserve, "ann")
    assert_type(await asyncio.wait_for(ticket.owner(), 3), str | None)


async def charge(key: str, *, amount: Decimal) -> bool:
    return amount > 0


def receipt(key: str, copies: int = 1) -> str:
    return key * copies


async def generic(value: T) -> T:
    return value


async def steps(ctx: Context) -> None:
    assert_type(await ctx.run("charge", charge, "k", amount=Decimal(1)), bool)
    assert_type(await ctx.run(Step("receipt", timeout=timedelta(seconds=1)), receipt, "k"), str)
    assert_type(await ctx.run("receipt", receipt, "k", copies=2), str)
    assert_type(await ctx.run("lambda", lambda: 3), int)
    assert_type(await ctx.run("partial", partial(receipt, "k")), str)
    assert_type(await ctx.run("generic", generic, 3), int)
    assert_type(await asyncio.gather(ctx.run("a", receipt, "k"), ctx.run("b", generic, 3)), tuple[str, int])
    later: Coroutine[Any, Any, str] = ctx.run("coroutine", receipt, "k")
    assert_type(await later, str)


async def rest(ctx: Context) -> None:
    assert_type(ctx.now(), datetime)
    assert_type(ctx.uuid4(), UUID)
    assert_type(ctx.random, Random)
    assert_type(ctx.headers, Mapping[str, str])
    assert_type(ctx.invocation_id, str)
    approval = ctx.awakeable(bool)
    assert_type(approval.id, AwakeableId[bool])
    assert_type(await approval, bool)
    assert_type(await ctx.awakeable(str | None), str | None)
    with ctx.shielded():
        await ctx.service_client(Checkout).pay(Decimal(1))


def errors() -> None:
    error = Declined(reason="limit", message="no", code=418, metadata={"trace": "4711"})
    assert_type(error.metadata, Mapping[str, str])
    assert_type(TerminalError("no", metadata={}).metadata, Mapping[str, str])
    assert_type(error.reason, str)
    assert_type(error.amount, Decimal)
    assert_type(error.code, int)
    assert_type(error.message, str)


async def sagas(ctx: Context) -> None:
    checkout = ctx.service_client(Checkout)
    async with Saga(ctx) as saga:
        assert_type(saga, Saga)
        assert_type(await saga.call(checkout.pay, Decimal(1)), bool)
        assert_type(await saga.run("receipt", receipt, "k", copies=2), str)
        assert_type(await saga.run("charge", charge, "k", amount=Decimal(1)).undo_step("forget", print), bool)
        assert_type(
            await asyncio.gather(saga.run("a", receipt, "k"), saga.call(checkout.pay, Decimal(1))), tuple[str, bool]
        )
        async with asyncio.TaskGroup() as group, saga.parallel(), saga.savepoint():
            paying = group.create_task(saga.call(checkout.pay, Decimal(1)).outcome())
        assert_type(await paying, bool)
    assert_type(saga.record, SagaRecord)
