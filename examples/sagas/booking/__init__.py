"""The trip booking saga: three companies, one booking, all or nothing.

Run it with its providers, on the usual ports:

    python -m examples.sagas.booking

or start the providers yourself (`python -m examples.providers`) and serve it with reload on change:

    restate-patterns dev examples.sagas.booking:app

Then book a trip:

    curl -X POST localhost:8080/BookingWorkflow/trip12883/run -H 'content-type: application/json' -d '{
      "flights": {"flightId": "12345", "passengerName": "John Doe"},
      "car": {"pickupLocation": "Airport", "rentalDate": "2024-12-16"},
      "paymentInfo": {"cardNumber": "4111111111111111", "amount": 1500}
    }'

make the next payment fail, book another, and see what was undone:

    curl localhost:9103/faults -d '{"operation": "charge", "kind": "decline"}'
    curl localhost:9101/history

and refuse the next confirmations: the money has moved, so the trip waits for a person:

    curl localhost:9102/faults -d '{"operation": "confirm", "kind": "decline", "times": null}'
    restate-patterns sagas list

Read `trip` first: it is the saga. `flights` and `cars` are the services it calls; `reservations` and
`payments` know the providers' HTTP; `policies` says how often each step is tried.
"""

from __future__ import annotations

from examples.sagas.booking.cars import Cars
from examples.sagas.booking.flights import Flights
from examples.sagas.booking.reservations import Reservations
from examples.sagas.booking.trip import Trip
from examples.sagas.payments import Payments
from examples.sagas.remote import RemoteApi, connect
from examples.sagas.settings import Settings
from restate_patterns import App, Definition, saga_services


def definitions(*, flights: RemoteApi, cars: RemoteApi, payments: RemoteApi) -> list[Definition]:
    """Wire the services to their providers."""
    return [
        Flights(airline=Reservations(flights)),
        Cars(rental=Reservations(cars)),
        Trip(payments=Payments(payments)),
        *saga_services(),
    ]


settings = Settings.from_environment()
app = App(
    definitions(
        flights=connect(settings.flights_url),
        cars=connect(settings.cars_url),
        payments=connect(settings.payments_url),
    )
)
