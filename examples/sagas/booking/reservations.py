"""Reservations in two phases: reserve and get an id, then confirm or cancel by that id.

The airline and the car rental both work this way. A reservation that is never confirmed lapses, so
when no answer to `reserve` ever arrives there is nothing to undo; once the id is known there is.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from examples.sagas.remote import Refused, RemoteApi
from restate_patterns import TerminalError


class NotAvailable(TerminalError, code=409):
    """The provider has nothing left to reserve, or does not honour the reservation."""

    reason: str


class Reservation(BaseModel):
    """A reservation as the provider has it."""

    id: str
    state: str


@dataclass(frozen=True)
class Reservations:
    """Reserves, confirms and cancels at one provider.

    Args:
        api: The provider.
    """

    api: RemoteApi

    async def reserve(self, key: str, what: BaseModel) -> Reservation:
        """Reserve, once per `key`.

        Raises:
            NotAvailable: The provider refused (terminal).
            ProviderTrouble: Nobody knows (retried with the same key).
        """
        try:
            answer = await self.api.post("/reservations", what.model_dump(mode="json"), idempotency_key=key)
        except Refused as refused:
            raise NotAvailable(reason=refused.reason) from refused
        return Reservation.model_validate_json(answer)

    async def confirm(self, reservation_id: str) -> None:
        """Make a reservation final; repeating it changes nothing.

        Raises:
            NotAvailable: The provider refused (terminal).
        """
        try:
            await self.api.post(f"/reservations/{reservation_id}/confirm")
        except Refused as refused:
            raise NotAvailable(reason=refused.reason) from refused

    async def cancel(self, reservation_id: str) -> None:
        """Let go of a reservation, confirmed or not; repeating it changes nothing."""
        await self.api.post(f"/reservations/{reservation_id}/cancel")
