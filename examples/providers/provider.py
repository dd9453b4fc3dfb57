"""One provider: a request from its arrival to its answer, without any I/O.

Here repetitions are recognised, faults happen, and the history is written. What the company does is
in `desks`; bytes and sockets are in `server`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from examples.providers.desks import Order, make_desk
from examples.providers.faults import Fault, FaultKind, Faults
from examples.providers.ledger import Entry, LedgerFile, Record, Reply

_TROUBLE = Reply(status=503, body={"reason": "we are in trouble, try again"})


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, as far as a provider cares."""

    method: str
    path: str
    body: dict[str, JsonValue]
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back, when, and whether at all."""

    reply: Reply
    delay_s: float = 0.0
    lost: bool = False
    sent: Callable[[], None] = lambda: None
    """To be called when the answer leaves."""


class Provider:
    """A company behind an HTTP API, with its records, its history and its faults.

    Args:
        name: `flights`, `cars`, `payments` or `mail`.
        file: Where it keeps its ledger; None for memory.
    """

    def __init__(self, name: str, file: Path | None = None) -> None:
        self.name = name
        self.faults = Faults()
        self._desk = make_desk(name)
        self._file = LedgerFile(file)
        self._lock = threading.Lock()

    @property
    def records(self) -> dict[str, Record]:
        """The bookings, payments or messages by id."""
        return self._file.ledger.records

    @property
    def history(self) -> list[Entry]:
        """Every request to an operation, in order of arrival."""
        return self._file.ledger.history

    def answer(self, request: Request) -> Answer:
        """Do what the request asks and tell how to answer it."""
        with self._lock:
            if (reply := self._control(request)) is not None:
                return Answer(reply)
            order = self._order(request)
            if order is None:
                return Answer(Reply(status=404, body={"reason": f"{self.name} has no {request.path}"}))
            return self._serve(request, order)

    def _control(self, request: Request) -> Reply | None:
        """Answer what is not business: how it is, what it knows, how it should fail."""
        match request.method, request.path:
            case "GET", "/health":
                return Reply(status=200, body={"name": self.name})
            case "GET", "/history":
                return Reply(status=200, body=self._file.ledger.model_dump(mode="json", include={"history"}))
            case "GET", "/records":
                return Reply(status=200, body=self._file.ledger.model_dump(mode="json", include={"records"}))
            case "POST", "/faults":
                self.faults.order(Fault.model_validate(request.body))
                return Reply(status=201, body={})
            case "DELETE", "/faults":
                self.faults.clear()
                return Reply(status=200, body={})
            case _:
                return None

    def _order(self, request: Request) -> Order | None:
        if request.method != "POST":
            return None
        match request.path.strip("/").split("/"):
            case [collection] if collection == self._desk.collection:
                return Order(self._desk.creates, None, request.idempotency_key, request.body)
            case [collection, subject, operation] if (
                collection == self._desk.collection and operation in self._desk.operations
            ):
                return Order(operation, subject, request.idempotency_key, request.body)
            case _:
                return None

    def _serve(self, request: Request, order: Order) -> Answer:
        fault = self.faults.take(order.operation)
        entry = Entry(
            at_ns=time.monotonic_ns(),
            operation=order.operation,
            subject=order.subject or order.idempotency_key or "",
            fault=fault.kind if fault else None,
        )
        self.history.append(entry)
        reply = self._reply(request, order, fault)
        lost = fault is not None and fault.kind is FaultKind.LOST_ANSWER
        delay_s = fault.delay_s if fault is not None and fault.kind is FaultKind.SLOW else 0.0

        def sent() -> None:
            with self._lock:
                entry.status = None if lost else reply.status
                self._file.save()

        self._file.save()
        return Answer(reply, delay_s, lost, sent)

    def _reply(self, request: Request, order: Order, fault: Fault | None) -> Reply:
        """Reply as before to a repeated request; a key is used once, and a refusal is final."""
        replies = self._file.ledger.replies
        known = f"{request.path} {request.idempotency_key or ''}"
        if fault is not None and fault.kind is FaultKind.ERROR:
            return _TROUBLE
        if known in replies:
            return replies[known]
        if fault is not None and fault.kind is FaultKind.DECLINE:
            reply = replies[known] = self._desk.refusal
            return reply
        reply = self._desk.act(order, self.records)
        if request.idempotency_key is not None:
            replies[known] = reply
        return reply
