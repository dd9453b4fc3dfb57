"""The trip: a flight, a car and a payment that all happen, or are all undone.

This is the saga, and it is plain Python: a block, and next to each action how to undo it. What makes it
safe is that every line is durable. When the process dies anywhere in here, the next one runs this code
again, gets the recorded answers of what was done, and goes on from there, also in the middle of the undo.

The one decision to make for each action is *when its undo is registered*:

* **after** it, for reservations: only the answer tells the id to cancel. Without an answer there is
  nothing to cancel either, because a reservation that nobody confirms lapses.
* **before** it, for the payment: it takes effect at once, and without an answer nobody knows whether
  it did. We make the key, so we can refund by that key whatever became of the charge.

Once the money has moved the trip is only ever completed: that is the pivot. A company that then refuses to
confirm is asked again, and after that a person is.
"""

from __future__ import annotations

from dataclasses import dataclass

from examples.sagas.booking.cars import Cars
from examples.sagas.booking.flights import Flights
from examples.sagas.booking.model import Booking, TripRequest
from examples.sagas.booking.policies import REFUSALS, forward, until_done
from examples.sagas.booking.reservations import NotAvailable
from examples.sagas.payments import PaymentDeclined, Payments
from restate_patterns import (
    Saga,
    State,
    TerminalError,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)

CHARGE = forward("charge")
REFUND = until_done("refund")


@dataclass
class Trip(Workflow, name="BookingWorkflow"):
    """Books one trip; its key is the trip's id, and each trip is booked once.

    Args:
        payments: The payment provider.
    """

    payments: Payments
    progress = State[str](default="not started")

    # --8<-- [start:run]
    @handler(raises=[NotAvailable, PaymentDeclined])
    async def run(self, ctx: WorkflowContext, trip: TripRequest) -> Booking:
        """Book everything, or undo what was booked and fail with the reason."""
        try:
            booking = await self._book(ctx, trip)
        except TerminalError as error:
            self.progress.set(ctx, f"undone: {error.message}")
            raise
        self.progress.set(ctx, "booked")
        return booking

    # --8<-- [end:run]

    # --8<-- [start:book]
    async def _book(self, ctx: WorkflowContext, trip: TripRequest) -> Booking:
        flights, cars = ctx.service_client(Flights), ctx.service_client(Cars)

        async with Saga(ctx, name="trip", policy=REFUSALS) as saga:
            self.progress.set(ctx, "reserving")
            async with saga.parallel():  # these two are undone at the same time
                flight = await saga.call(flights.reserve, trip.flights).undo(flights.cancel, lambda flight: flight.id)
                car = await saga.call(cars.reserve, trip.car).undo(cars.cancel, lambda car: car.id)

            self.progress.set(ctx, "paying")
            key = str(ctx.uuid4())
            saga.undo_step(REFUND, self.payments.refund, key)
            payment = await saga.run(
                CHARGE, self.payments.charge, key, trip.payment_info.card_number, trip.payment_info.amount
            )

            saga.pivot()  # the money has moved: from here only forward
            self.progress.set(ctx, "confirming")
            await saga.call(flights.confirm, flight.id)
            await saga.call(cars.confirm, car.id)
        return Booking(flight_id=flight.id, car_id=car.id, payment_id=payment.id)

    # --8<-- [end:book]

    @handler
    async def status(self, ctx: WorkflowSharedContext) -> str:
        """Tell how far the trip is, while it runs and afterwards."""
        return await self.progress.get(ctx)
