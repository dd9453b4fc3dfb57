"""The payment provider: one call moves the money, under a key that the caller makes.

The key makes both directions safe. Charging again with the same key charges once; refunding a key
that was never charged makes sure it never will be. So the undo can be registered *before* the
charge, when nobody can know yet whether the charge will be answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pydantic import BaseModel

from examples.sagas.remote import Refused, RemoteApi
from restate_patterns import TerminalError


class PaymentDeclined(TerminalError, code=402):
    """The payment was declined."""

    reason: str


class Payment(BaseModel):
    """A payment as the provider has it; its id is the key it was made with."""

    id: str
    state: str


@dataclass(frozen=True)
class Payments:
    """Charges and refunds.

    Args:
        api: The provider.
    """

    api: RemoteApi

    async def charge(self, key: str, card: str, amount: Decimal) -> Payment:
        """Take `amount` from `card`, once per `key`.

        Raises:
            PaymentDeclined: The provider refused (terminal).
            ProviderTrouble: Nobody knows (retried with the same key).
        """
        try:
            answer = await self.api.post("/payments", {"card": card, "amount": str(amount)}, idempotency_key=key)
        except Refused as refused:
            raise PaymentDeclined(reason=refused.reason) from refused
        return Payment.model_validate_json(answer)

    async def refund(self, key: str) -> Payment:
        """Give back what was charged under `key`, if anything was; repeating it changes nothing."""
        return Payment.model_validate_json(await self.api.post(f"/payments/{key}/refund"))
