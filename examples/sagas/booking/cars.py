"""Cars: the car rental as a service that other services call, durably."""

from __future__ import annotations

from dataclasses import dataclass

from examples.sagas.booking.model import CarRequest
from examples.sagas.booking.policies import forward, until_done
from examples.sagas.booking.reservations import NotAvailable, Reservation, Reservations
from restate_patterns import Context, Service, handler

RESERVE = forward("reserve car")
CONFIRM = until_done("confirm car")
CANCEL = until_done("cancel car")


@dataclass
class Cars(Service, name="CarRentals"):
    """Reserves rental cars.

    Args:
        rental: The provider.
    """

    rental: Reservations

    @handler(raises=[NotAvailable])
    async def reserve(self, ctx: Context, request: CarRequest) -> Reservation:
        """Reserve a car and give its id; to be confirmed or cancelled."""
        key = str(ctx.uuid4())
        return await ctx.run(RESERVE, self.rental.reserve, key, request)

    @handler(raises=[NotAvailable])
    async def confirm(self, ctx: Context, reservation_id: str) -> None:
        """Make the reservation final."""
        await ctx.run(CONFIRM, self.rental.confirm, reservation_id)

    @handler
    async def cancel(self, ctx: Context, reservation_id: str) -> None:
        """Let go of the car."""
        await ctx.run(CANCEL, self.rental.cancel, reservation_id)
