"""Talking to the ticket reservation over HTTP, in the words of its tests."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

from examples.stage import Stage


def new_name(prefix: str) -> str:
    """Give a user or a seat that was never used."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Box:
    """The box office: carts and seats by name.

    Args:
        stage: Where the ticket reservation is served.
    """

    stage: Stage

    def call(self, path: str, body: object = None) -> Any:
        """Call a handler and give its answer; a failure is an assertion error."""
        if body is None:
            answer = self.stage.ingress.post(path)
        else:
            answer = self.stage.ingress.post(path, json=body)
        assert answer.status_code in (200, 202), f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def add(self, user: str, seat: str) -> bool:
        """Add a seat to a user's cart."""
        return bool(self.call(f"/CartObject/{user}/addTicket", seat))

    def expire(self, user: str, seat: str) -> None:
        """Let go of a seat in a user's cart."""
        self.call(f"/CartObject/{user}/expireTicket", seat)

    def checkout(self, user: str) -> bool:
        """Pay for a user's cart."""
        return bool(self.call(f"/CartObject/{user}/checkout"))

    def contents(self, user: str) -> list[str]:
        """List the seats in a user's cart."""
        return list(self.call(f"/CartObject/{user}/contents"))

    def seat(self, seat: str) -> str:
        """Tell the status of a seat."""
        return str(self.call(f"/TicketObject/{seat}/show"))

    def wait_for_seat(self, seat: str, status: str, timeout_s: float = 15) -> None:
        """Wait until a seat has this status."""
        deadline = time.monotonic() + timeout_s
        while (now := self.seat(seat)) != status:
            assert time.monotonic() < deadline, f"{seat} is {now}, not {status}"
            time.sleep(0.02)

    def paid(self, user: str) -> list[str]:
        """Give the amounts that a user has paid and not got back."""
        return [
            str(record.details["amount"])
            for record in self.stage.providers["payments"].records.values()
            if record.state == "charged" and record.details["card"] == user
        ]

    def wait_for_mails(self, user: str, count: int, timeout_s: float = 15) -> list[str]:
        """Wait until a user has got `count` mails and give their subjects."""
        deadline = time.monotonic() + timeout_s
        while len(subjects := self._mails(user)) < count:
            assert time.monotonic() < deadline, f"{user} got {subjects}"
            time.sleep(0.02)
        return subjects

    def _mails(self, user: str) -> list[str]:
        return [
            str(record.details["subject"])
            for record in self.stage.providers["mail"].records.values()
            if record.details["user_id"] == user
        ]
