"""The checkout: charge for an order exactly once, and tell the user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from examples.sagas.payments import PaymentDeclined, Payments
from examples.sagas.tickets.notifications import Notice, Notifications
from restate_patterns import Context, RetryPolicy, Service, Step, TerminalError, handler

TICKET_PRICE = Decimal(40)
"""In dollars; every seat costs the same."""

CHARGE = Step("charge", retry=RetryPolicy(max_attempts=10, then="fail"), timeout=timedelta(seconds=5))
REFUND = Step("refund", timeout=timedelta(seconds=5))


class Order(BaseModel):
    """Who buys which seats."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    user_id: str
    tickets: list[str]


@dataclass
class Checkout(Service, name="CheckoutService"):
    """Takes the money.

    Args:
        payments: The payment provider.
    """

    payments: Payments

    @handler
    async def handle(self, ctx: Context, order: Order) -> bool:
        """Charge for the order and tell whether it is paid; the user gets a mail either way."""
        # --8<-- [start:handle]
        key = str(ctx.uuid4())
        amount = TICKET_PRICE * len(order.tickets)
        mail = ctx.service_client(Notifications)
        try:
            await ctx.run(CHARGE, self.payments.charge, key, order.user_id, amount)
            # A send is durable and does not wait: a mail server that is down delays the mail only.
            await mail.notify.send(Notice(user_id=order.user_id, subject="Your tickets", tickets=order.tickets))
        except PaymentDeclined:
            await mail.notify.send(Notice(user_id=order.user_id, subject="Payment failed", tickets=[]))
            return False
        except TerminalError:
            # Cancelled, or no answer in all tries: whether money moved is unknown, but the key is ours.
            with ctx.shielded():
                await ctx.run(REFUND, self.payments.refund, key)
            raise
        return True
        # --8<-- [end:handle]
