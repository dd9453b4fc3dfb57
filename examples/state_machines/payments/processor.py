"""A payment as a state machine; its key is a token that the payer makes up.

A token has one outcome. Requests for it queue at its object, so "is it cancelled? then do not pay" has no
gap that a second request could slip into, and a crash between paying and remembering it is no case either:
the handler goes on where it was.
"""

from __future__ import annotations

import enum
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from examples.state_machines.payments.account import Account, NotEnoughMoney
from restate_patterns import ObjectContext, State, StateMachine, Status, handler


# --8<-- [start:states]
class PaymentStatus(enum.Enum):
    """Where a payment is; what is stored reads the same in every tool."""

    NEW = "NEW"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class Payment(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    account_id: str
    amount_cents: int = Field(gt=0)


# --8<-- [end:states]


# --8<-- [start:machine]
class PaymentProcessor(StateMachine[PaymentStatus]):
    """One payment, by token."""

    status = Status(PaymentStatus, initial=PaymentStatus.NEW)
    payment = State[Payment]()

    @status.on(PaymentStatus.NEW, to=PaymentStatus.COMPLETED)
    @handler(name="makePayment", raises=[NotEnoughMoney])
    async def make(self, ctx: ObjectContext, payment: Payment) -> str:
        """Take the money off the account; without enough money the token stays new."""
        with ctx.shielded():  # who stops this invocation must not leave money between two places
            left = await ctx.object_client(Account, payment.account_id).withdraw(payment.amount_cents)
        self.payment.set(ctx, payment)
        return f"paid {payment.amount_cents} cents, {left} are left"

    @status.on(PaymentStatus.NEW, to=PaymentStatus.CANCELLED)
    @status.on(PaymentStatus.COMPLETED, to=PaymentStatus.CANCELLED)
    @handler(name="cancelPayment")
    async def cancel(self, ctx: ObjectContext) -> str:
        """Never pay; or pay back what was paid. While a payment is under way this waits for its end."""
        payment = await self.payment.get(ctx, None)
        if payment is None:
            return "this token will not pay"
        with ctx.shielded():
            now = await ctx.object_client(Account, payment.account_id).deposit(payment.amount_cents)
        return f"{payment.amount_cents} cents are back, which makes {now}"

    @status.after(timedelta(hours=24), PaymentStatus.COMPLETED, PaymentStatus.CANCELLED, to=PaymentStatus.EXPIRED)
    async def expire(self, ctx: ObjectContext) -> None:
        """Forget what was paid; the token stays used."""
        self.payment.clear(ctx)


# --8<-- [end:machine]
