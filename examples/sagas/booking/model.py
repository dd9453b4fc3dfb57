"""What travels: the request for a trip, as JSON in camel case, and what comes back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    """A value that is camel case in JSON and snake case in Python."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class FlightRequest(Wire):
    """Which flight, and for whom."""

    flight_id: str
    passenger_name: str


class CarRequest(Wire):
    """Where a car is needed, and when."""

    pickup_location: str
    rental_date: date


class PaymentInfo(Wire):
    """The card, and what the whole trip costs."""

    card_number: str
    amount: Decimal = Field(gt=0)


class TripRequest(Wire):
    """A trip: everything in it is booked, or nothing."""

    flights: FlightRequest
    car: CarRequest
    payment_info: PaymentInfo


class Booking(Wire):
    """A trip that is booked: what each provider calls its part."""

    flight_id: str
    car_id: str
    payment_id: str
