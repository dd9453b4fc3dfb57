"""One seat: available, reserved under a reservation, or sold.

The object's key is the seat, and an object handles one request at a time. So "look whether it is
free, then take it" needs no lock and no transaction: nobody else can be in between.
"""

from __future__ import annotations

import enum

from restate_patterns import ObjectContext, ObjectSharedContext, State, VirtualObject, handler


class TicketStatus(enum.Enum):
    """The life of a seat."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    SOLD = "sold"


# --8<-- [start:reserve]
class Ticket(VirtualObject, name="TicketObject"):
    """A seat, by its number.

    A reservation has a name, made by whoever reserves. It makes the undo exact: to unreserve under
    a name can never free the seat of somebody who reserved it later.
    """

    status = State[TicketStatus](default=TicketStatus.AVAILABLE)
    reservation = State[str | None](default=None)

    @handler
    async def reserve(self, ctx: ObjectContext, reservation: str | None = None) -> bool:
        """Take the seat if it is free, and tell whether it is now reserved under this name."""
        if await self.status.get(ctx) is TicketStatus.AVAILABLE:
            self.status.set(ctx, TicketStatus.RESERVED)
            self.reservation.set(ctx, reservation)
            return True
        return await self._is_held_by(ctx, reservation)

    # --8<-- [end:reserve]

    @handler
    async def unreserve(self, ctx: ObjectContext, reservation: str | None = None) -> None:
        """Free the seat if it is reserved under this name; without a name, whoever reserved it."""
        if await self.status.get(ctx) is not TicketStatus.RESERVED:
            return
        if reservation is None or await self._is_held_by(ctx, reservation):
            ctx.clear_all()

    @handler(name="markAsSold")
    async def mark_as_sold(self, ctx: ObjectContext) -> None:
        """Sell the seat if it is reserved."""
        if await self.status.get(ctx) is TicketStatus.RESERVED:
            self.status.set(ctx, TicketStatus.SOLD)

    @handler
    async def show(self, ctx: ObjectSharedContext) -> TicketStatus:
        """Tell the status, also while another request is at work on the seat."""
        return await self.status.get(ctx)

    async def _is_held_by(self, ctx: ObjectContext, reservation: str | None) -> bool:
        if reservation is None or await self.status.get(ctx) is not TicketStatus.RESERVED:
            return False
        return await self.reservation.get(ctx) == reservation
