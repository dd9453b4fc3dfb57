"""What each company does with a request: pure functions of its records.

A desk gets a request that is neither a repetition nor ordered to fail; `provider` sees to those.
Its operations on an existing record are idempotent: the second cancel of a reservation is no error.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pydantic import JsonValue
from typing_extensions import override

from examples.providers.ledger import Record, Reply

Records: TypeAlias = MutableMapping[str, Record]

RESERVED_S = 15 * 60.0
"""How long a reservation waits to be confirmed, in seconds."""


@dataclass(frozen=True, slots=True)
class Order:
    """One request to a desk, taken apart."""

    operation: str
    subject: str | None
    """The id in the path, as in `/reservations/{subject}/cancel`."""

    idempotency_key: str | None
    body: dict[str, JsonValue]


class Desk(Protocol):
    """One company's business."""

    collection: str
    """The first part of its paths."""

    creates: str
    """The operation of `POST /{collection}`."""

    refusal: Reply
    """What it says when it refuses for good."""

    operations: frozenset[str]
    """The operations of `POST /{collection}/{id}/{operation}`."""

    def act(self, order: Order, records: Records) -> Reply:
        """Carry out one order."""
        ...


class ReservationDesk(Desk):
    """Flights or cars: reserve first and get an id, then confirm or cancel by that id.

    A reservation that is never confirmed is never charged for, and lapses on its own.

    Args:
        prefix: What its ids begin with.
        sold_out: What it says when it refuses.
        now_s: The time, in seconds since 1970.
    """

    collection = "reservations"
    creates = "reserve"
    operations = frozenset({"confirm", "cancel"})

    def __init__(self, prefix: str, sold_out: str, now_s: Callable[[], float] = time.time) -> None:
        self._prefix = prefix
        self._now_s = now_s
        self.refusal = Reply(status=409, body={"reason": sold_out})

    @override
    def act(self, order: Order, records: Records) -> Reply:
        self._lapse(records)
        if order.operation == "reserve":
            return self._reserve(order, records)
        record = records.get(order.subject or "")
        if record is None:
            return Reply(status=404, body={"reason": f"there is no reservation {order.subject}"})
        if order.operation == "confirm" and record.state in ("cancelled", "lapsed"):
            return Reply(status=409, body={"reason": f"reservation {record.id} is {record.state}"})
        record.state = "confirmed" if order.operation == "confirm" else "cancelled"
        return Reply(status=200, body={"id": record.id, "state": record.state})

    def _lapse(self, records: Records) -> None:
        for record in records.values():
            if record.state == "reserved" and self._now_s() - record.made_s > RESERVED_S:
                record.state = "lapsed"

    def _reserve(self, order: Order, records: Records) -> Reply:
        name = f"{self._prefix}-{secrets.token_hex(3)}"
        record = Record(id=name, key=order.idempotency_key, state="reserved", details=order.body, made_s=self._now_s())
        records[record.id] = record
        return Reply(status=201, body={"id": record.id, "state": record.state})


class PaymentDesk(Desk):
    """One-shot payments under a key that the client makes; undone by a refund of that key."""

    collection = "payments"
    creates = "charge"
    operations = frozenset({"refund"})
    refusal = Reply(status=402, body={"reason": "the card has insufficient funds"})

    @override
    def act(self, order: Order, records: Records) -> Reply:
        if order.operation == "charge":
            return self._charge(order, records)
        return self._refund(order.subject or "", records)

    def _charge(self, order: Order, records: Records) -> Reply:
        key = order.idempotency_key
        if key is None:
            return Reply(status=400, body={"reason": "a payment needs an idempotency-key header"})
        if key in records:
            return Reply(status=409, body={"reason": f"payment {key} was called off before it was made"})
        records[key] = Record(id=key, key=key, state="charged", details=order.body)
        return Reply(status=201, body={"id": key, "state": "charged"})

    def _refund(self, key: str, records: Records) -> Reply:
        """Pay back what was charged; for a key never seen, make sure it never will be."""
        record = records.setdefault(key, Record(id=key, key=key, state="void", details={}))
        if record.state == "charged":
            record.state = "refunded"
        return Reply(status=200, body={"id": key, "state": record.state})


class MailDesk(Desk):
    """Sends messages; one idempotency key is one message."""

    collection = "messages"
    creates = "send"
    operations = frozenset[str]()
    refusal = Reply(status=422, body={"reason": "the address does not exist"})

    @override
    def act(self, order: Order, records: Records) -> Reply:
        name = f"mail-{secrets.token_hex(3)}"
        record = Record(id=name, key=order.idempotency_key, state="sent", details=order.body)
        records[record.id] = record
        return Reply(status=202, body={"id": record.id, "state": record.state})


def make_desk(name: str) -> Desk:
    """Give the desk of a provider: `flights`, `cars`, `payments` or `mail`.

    Raises:
        ValueError: There is no such provider.
    """
    match name:
        case "flights":
            return ReservationDesk("flight", "the flight is sold out")
        case "cars":
            return ReservationDesk("car", "no car is left")
        case "payments":
            return PaymentDesk()
        case "mail":
            return MailDesk()
        case _:
            raise ValueError(f"there is no provider {name!r}; choose flights, cars, payments or mail")
