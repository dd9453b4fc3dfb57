"""A payment as a state machine: everything here is right."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import assert_type

from pydantic import BaseModel

from restate_patterns import (
    App,
    Change,
    Client,
    HandlerRef,
    IllegalEvent,
    InvocationHandle,
    ObjectContext,
    ObjectSharedContext,
    State,
    StateMachine,
    Status,
    TerminalError,
    handler,
)


class S(enum.Enum):
    NEW = "new"
    DONE = "done"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class PaymentRequest(BaseModel):
    account: str
    amount: Decimal


class Poor(TerminalError, code=402):
    """Not enough money."""


class Payment(StateMachine[S]):
    status = Status(S, initial=S.NEW)
    request = State[PaymentRequest]()

    @status.on(S.NEW, to=S.DONE)
    @handler(name="makePayment", raises=[Poor])
    async def make(self, ctx: ObjectContext, request: PaymentRequest) -> bool:
        assert_type(await self.status.get(ctx), S)
        self.request.set(ctx, request)
        return True

    @make.guard
    async def is_small(self, ctx: ObjectSharedContext, request: PaymentRequest) -> bool:
        return request.amount < 100

    @status.on(S.NEW, to=S.CANCELLED)
    @status.on(S.DONE, to=S.CANCELLED)
    async def cancel(self, ctx: ObjectContext) -> None: ...

    @status.on(S.NEW, to=S.EXPIRED)
    @status.after(timedelta(hours=24), S.DONE, S.CANCELLED, to=S.EXPIRED)
    @handler(private=False)
    async def expire(self, ctx: ObjectContext) -> None: ...

    @status.entry(S.DONE, S.CANCELLED)
    @status.exit(S.NEW)
    async def tell(self, ctx: ObjectContext) -> None: ...

    @handler
    async def amount(self, ctx: ObjectSharedContext) -> Decimal:
        return (await self.request.get(ctx)).amount


@dataclass(slots=True)
class Audited(Payment):
    auditor: str


async def use(client: Client) -> None:
    payment = client.object_client(Payment, "token")
    request = PaymentRequest(account="ann", amount=Decimal(3))
    assert_type(await payment.make(request), bool)
    assert_type(await payment.make(request=request), bool)
    assert_type(await payment.cancel(), None)
    assert_type(await payment.current(), S)
    assert_type(await payment.history(), list[Change[S]])
    assert_type((await payment.history())[0].source, S)
    assert_type(await payment.diagram(), str)
    assert_type(await payment.make.send(request), InvocationHandle[bool])
    ref: HandlerRef[Payment, ObjectContext, [PaymentRequest], bool] = Payment.make
    assert_type(Payment.mermaid(S.DONE), str)
    try:
        await payment.cancel()
    except IllegalEvent as error:
        assert_type(error.legal, list[str])
    print(ref.name)


app = App([Payment(), Audited("eve")])
