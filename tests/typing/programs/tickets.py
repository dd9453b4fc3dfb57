"""A cart, its tickets and the checkout: state, sends that expire, fan-out, steps, a dependency."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from restate_patterns import (
    App,
    Context,
    ObjectContext,
    ObjectSharedContext,
    RetryPolicy,
    Service,
    State,
    Step,
    TerminalError,
    VirtualObject,
    handler,
)


class TicketStatus(enum.Enum):
    AVAILABLE = "available"
    RESERVED = "reserved"
    SOLD = "sold"


class Declined(TerminalError, code=402):  # noqa: N818
    """The card was declined."""

    reason: str


class Ticket(VirtualObject):
    status = State[TicketStatus](default=TicketStatus.AVAILABLE)

    @handler
    async def reserve(self, ctx: ObjectContext) -> bool:
        if await self.status.get(ctx) is not TicketStatus.AVAILABLE:
            return False
        self.status.set(ctx, TicketStatus.RESERVED)
        return True

    @handler
    async def release(self, ctx: ObjectContext) -> None:
        if await self.status.get(ctx) is TicketStatus.RESERVED:
            self.status.clear(ctx)

    @handler
    async def sell(self, ctx: ObjectContext) -> None:
        self.status.set(ctx, TicketStatus.SOLD)


class Cart(VirtualObject, name="CartObject"):
    tickets = State[list[str]](default_factory=list)
    note = State[str | None](default=None)
    total = State[Decimal]()

    @handler(name="addTicket")
    async def add_ticket(self, ctx: ObjectContext, ticket_id: str) -> bool:
        if not await ctx.object_client(Ticket, ticket_id).reserve():
            return False
        self.tickets.set(ctx, [*await self.tickets.get(ctx), ticket_id])
        await ctx.object_client(Cart, ctx.key).expire_ticket.send_after(timedelta(minutes=15), ticket_id)
        return True

    @handler
    async def expire_ticket(self, ctx: ObjectContext, ticket_id: str) -> None:
        tickets = await self.tickets.get(ctx)
        if ticket_id in tickets:
            self.tickets.set(ctx, [t for t in tickets if t != ticket_id])
            await ctx.object_client(Ticket, ticket_id).release.send()

    @handler(raises=[Declined])
    async def checkout(self, ctx: ObjectContext) -> bool:
        tickets = await self.tickets.get(ctx)
        if not tickets or not await ctx.service_client(Checkout).handle(Order(ctx.key, tickets)):
            return False
        async with asyncio.TaskGroup() as tg:
            for t in tickets:
                tg.create_task(ctx.object_client(Ticket, t).sell())
        self.tickets.clear(ctx)
        return True

    @handler
    async def contents(self, ctx: ObjectSharedContext) -> list[str]:
        total = await self.total.get(ctx, None)
        ctx.logger.info("total %s", total)
        return await self.tickets.get(ctx)


class PaymentClient(Protocol):
    async def charge(self, key: str, amount: Decimal) -> bool: ...
    def receipt(self, key: str) -> str: ...


@dataclass
class Order:
    user: str
    tickets: list[str]


CHARGE = Step("charge", retry=RetryPolicy(max_attempts=5, then="fail"), timeout=timedelta(seconds=10))


@dataclass
class Checkout(Service):
    payments: PaymentClient

    @handler
    async def handle(self, ctx: Context, order: Order) -> bool:
        key = str(ctx.uuid4())
        paid = await ctx.run(CHARGE, self.payments.charge, key, Decimal(40) * len(order.tickets))
        receipt = await ctx.run("receipt", self.payments.receipt, key)
        ctx.logger.info(receipt)
        return paid


class Stripe:
    """Declines what is over 100 and charges all else."""

    def __init__(self) -> None:
        self.charges: dict[str, Decimal] = {}

    async def charge(self, key: str, amount: Decimal) -> bool:
        if amount > 100:
            raise Declined(reason="limit")
        self.charges[key] = amount
        return True

    def receipt(self, key: str) -> str:
        return f"{self.charges[key]} paid"


stripe = Stripe()
app = App([Ticket(), Cart(), Checkout(payments=stripe)])
