"""What is called under load: the trip booking of the examples, and counters."""

from __future__ import annotations

from examples.sagas import booking
from examples.sagas.remote import connect
from restate_patterns import App, ObjectContext, ObjectSharedContext, State, VirtualObject, handler


class LoadedCounter(VirtualObject):
    """Adds up. Each answer is the sum so far, so that answers tell the order in which adds happened."""

    total = State[int](default=0)

    @handler
    async def add(self, ctx: ObjectContext, by: int) -> int:
        """Add, and give the sum."""
        total = await self.total.get(ctx) + by
        self.total.set(ctx, total)
        return total

    @handler
    async def read(self, ctx: ObjectSharedContext) -> int:
        """Give the sum."""
        return await self.total.get(ctx)


def app() -> App:
    """Give the services; the providers are where the environment says."""
    places = booking.settings
    trips = booking.definitions(
        flights=connect(places.flights_url), cars=connect(places.cars_url), payments=connect(places.payments_url)
    )
    return App([*trips, LoadedCounter()])
