"""A user's cart: the seats held for her, until she pays or their time is over.

Checkout and expiry race, and exactly one of them wins. Both are requests to the same cart, and a cart
handles one request at a time: an expiry that comes while checkout runs waits, and then finds the cart
empty; a checkout that comes after an expiry does not see the seat any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from examples.sagas.tickets.checkout import Checkout, Order
from examples.sagas.tickets.ticket import Ticket
from restate_patterns import (
    Cancelled,
    ObjectContext,
    ObjectSharedContext,
    State,
    TerminalError,
    VirtualObject,
    handler,
)


class Reservation(BaseModel):
    """One seat in a cart, under the name of its reservation."""

    ticket_id: str
    name: str


@dataclass
class Cart(VirtualObject, name="CartObject"):
    """A cart, by its user.

    Args:
        hold: How long a seat is held for a user who does not pay.
    """

    hold: timedelta = timedelta(minutes=15)
    reservations = State[dict[str, str]](default_factory=dict, name="tickets")

    # --8<-- [start:add]
    @handler(name="addTicket")
    async def add_ticket(self, ctx: ObjectContext, ticket_id: str) -> bool:
        """Reserve a seat and put it into the cart; False when somebody has it."""
        reservation = Reservation(ticket_id=ticket_id, name=str(ctx.uuid4()))
        ticket = ctx.object_client(Ticket, ticket_id)
        try:
            if not await ticket.reserve(reservation.name):
                return False
            held = await self.reservations.get(ctx)
            self.reservations.set(ctx, {**held, ticket_id: reservation.name})
            await ctx.object_client(Cart, ctx.key).release.send_after(self.hold, reservation)
        except TerminalError:
            # Cancelled on the way: whether the seat was taken is unknown, but the name is ours.
            with ctx.shielded():
                await self._drop(ctx, reservation)
            raise
        return True

    # --8<-- [end:add]

    @handler(name="expireTicket")
    async def expire_ticket(self, ctx: ObjectContext, ticket_id: str) -> None:
        """Let go of a seat now; does nothing when it is not in the cart."""
        name = (await self.reservations.get(ctx)).get(ticket_id)
        if name is not None:
            await self._drop(ctx, Reservation(ticket_id=ticket_id, name=name))

    # --8<-- [start:release]
    @handler(private=True)
    async def release(self, ctx: ObjectContext, reservation: Reservation) -> None:
        """Let go of a seat whose time is over.

        The name of the reservation tells a timer that comes too late from one that is due: when the
        seat was let go and added again in between, its new reservation has a timer of its own.
        """
        if (await self.reservations.get(ctx)).get(reservation.ticket_id) == reservation.name:
            await self._drop(ctx, reservation)

    # --8<-- [end:release]

    @handler
    # --8<-- [start:checkout]
    async def checkout(self, ctx: ObjectContext) -> bool:
        """Pay for all seats in the cart; False when it is empty or the payment is declined."""
        held = await self.reservations.get(ctx)
        if not held:
            return False
        tickets = list(held)
        order = await ctx.service_client(Checkout).handle.send(Order(user_id=ctx.key, tickets=tickets))
        try:
            paid = await order.result()
        except Cancelled:
            # The cancel may find the checkout done: what it came to decides.
            with ctx.shielded():
                await order.cancel()
                paid = await order.result()
        if not paid:
            return False
        # The money has moved: from here nothing waits for an answer, so nothing can come in between.
        self.reservations.clear(ctx)
        for ticket_id in tickets:
            await ctx.object_client(Ticket, ticket_id).mark_as_sold.send()
        return True

    # --8<-- [end:checkout]

    @handler
    async def contents(self, ctx: ObjectSharedContext) -> list[str]:
        """List the seats in the cart."""
        return list(await self.reservations.get(ctx))

    async def _drop(self, ctx: ObjectContext, reservation: Reservation) -> None:
        held = await self.reservations.get(ctx)
        self.reservations.set(ctx, {seat: name for seat, name in held.items() if name != reservation.name})
        await ctx.object_client(Ticket, reservation.ticket_id).unreserve.send(reservation.name)
