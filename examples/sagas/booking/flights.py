"""Flights: the airline as a service that other services call, durably."""

from __future__ import annotations

from dataclasses import dataclass

from examples.sagas.booking.model import FlightRequest
from examples.sagas.booking.policies import forward, until_done
from examples.sagas.booking.reservations import NotAvailable, Reservation, Reservations
from restate_patterns import Context, Service, handler

RESERVE = forward("reserve flight")
CONFIRM = until_done("confirm flight")
CANCEL = until_done("cancel flight")


# --8<-- [start:flights]
@dataclass
class Flights(Service):
    """Reserves seats on flights.

    Args:
        airline: The provider.
    """

    airline: Reservations

    @handler(raises=[NotAvailable])
    async def reserve(self, ctx: Context, request: FlightRequest) -> Reservation:
        """Reserve a seat and give its id; to be confirmed or cancelled."""
        # The same key on every try and after every crash: an answer that got lost costs no second seat.
        key = str(ctx.uuid4())
        return await ctx.run(RESERVE, self.airline.reserve, key, request)

    @handler(raises=[NotAvailable])
    async def confirm(self, ctx: Context, reservation_id: str) -> None:
        """Make the reservation final."""
        await ctx.run(CONFIRM, self.airline.confirm, reservation_id)

    @handler
    async def cancel(self, ctx: Context, reservation_id: str) -> None:
        """Let go of the seat."""
        await ctx.run(CANCEL, self.airline.cancel, reservation_id)


# --8<-- [end:flights]
