"""An account: a balance that never goes below zero, whoever asks at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from restate_patterns import ObjectContext, ObjectSharedContext, State, TerminalError, VirtualObject, handler


class NotEnoughMoney(TerminalError, code=402):
    """The account has less than is asked for; fields say how much."""

    message = "the account has {balance_cents} cents, which is less than {asked_cents}"
    balance_cents: int
    asked_cents: int


@dataclass
class Account(VirtualObject):
    """The money of one person, by account number.

    Args:
        opening_cents: What is on an account that nobody used before; the welcome present of this bank.
    """

    opening_cents: int = 0

    cents = State[int]()

    @handler(raises=[NotEnoughMoney])
    async def withdraw(self, ctx: ObjectContext, cents: int) -> int:
        """Take money off, and give what is left."""
        balance = await self.cents.get(ctx, self.opening_cents)
        if cents > balance:
            raise NotEnoughMoney(balance_cents=balance, asked_cents=cents)
        self.cents.set(ctx, balance - cents)
        return balance - cents

    @handler
    async def deposit(self, ctx: ObjectContext, cents: int) -> int:
        """Put money on, and give what is there now."""
        balance = await self.cents.get(ctx, self.opening_cents) + cents
        self.cents.set(ctx, balance)
        return balance

    @handler
    async def balance(self, ctx: ObjectSharedContext) -> int:
        """Tell what is on the account, in cents."""
        return await self.cents.get(ctx, self.opening_cents)
