"""What the tests of the trip booking share: the plan of a trip, and what is owed when it fails."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from examples.stage import Seen, Stage

TRIP = {
    "flights": {"flightId": "12345", "passengerName": "John Doe"},
    "car": {"pickupLocation": "Airport", "rentalDate": "2024-12-16"},
    "paymentInfo": {"cardNumber": "4111111111111111", "amount": 1500},
}

PLAN = [
    ("flights", "reserve"),
    ("cars", "reserve"),
    ("payments", "charge"),
    ("flights", "confirm"),
    ("cars", "confirm"),
]
"""What a trip asks of whom, in order."""

OWED = [
    [],
    [("flights", "cancel")],
    [("payments", "refund"), ("cars", "cancel"), ("flights", "cancel")],
]
"""What must be undone when the step at this place of the plan fails: newest first, and nothing else.

After the payment nothing is undone any more. The two reservations are undone at the same time: see `in_order`.
"""

UNDO = OWED[-1]


def in_order(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Give the same with cancellations side by side in the order of `OWED`: they are made at the same time."""
    cancelled = sorted(step for step in found if step[1] == "cancel")
    return [cancelled.pop(0) if step[1] == "cancel" else step for step in found]


def new_trip() -> str:
    """Give a trip id that was never used."""
    return uuid.uuid4().hex


def steps(seen: Sequence[Seen]) -> list[tuple[str, str]]:
    """Give who was asked for what, in order."""
    return [(each.provider, each.operation) for each in seen]


def without_repeats(seen: Sequence[Seen]) -> list[tuple[str, str]]:
    """Give the same with tries of one step counted once."""
    found = steps(seen)
    return [step for index, step in enumerate(found) if index == 0 or found[index - 1] != step]


def states_since(stage: Stage, seen: Sequence[Seen]) -> dict[str, list[str]]:
    """Give the states of what the providers have booked because of these requests, by provider."""
    keys = {each.subject for each in seen}
    return {
        name: [record.state for record in provider.records.values() if record.key in keys]
        for name, provider in stage.providers.items()
    }
