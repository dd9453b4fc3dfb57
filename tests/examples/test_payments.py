"""Payments by token: one outcome per token and no cent lost, whoever races, crashes or waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from typing_extensions import override

from examples.state_machines.payments.account import Account, NotEnoughMoney
from examples.state_machines.payments.processor import Payment, PaymentProcessor, PaymentStatus
from restate_patterns import App, Client, Clients, IllegalEvent, ObjectContext, handler
from restate_patterns.engine.backend import Backend
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from tests.support.bounds import PATIENCE_S
from tests.support.engines.hosting import BACKENDS, EMBEDDED, RESTATE, backend_of

pytestmark = pytest.mark.anyio

OPENING = 1_000
DAY = timedelta(hours=24)
PAYMENT = Payment(account_id="ann", amount_cents=300)


def app() -> App:
    return App([PaymentProcessor(), Account(opening_cents=OPENING)])


def processor(via: Clients, token: str = "token") -> PaymentProcessor:
    return via.object_client(PaymentProcessor, token)


async def balance(via: Clients, account: str = "ann") -> int:
    return await via.object_client(Account, account).balance()


async def test_a_payment_is_made_once() -> None:
    async with run_test(app()) as env:
        assert await processor(env.client).make(PAYMENT) == "paid 300 cents, 700 are left"
        with pytest.raises(IllegalEvent, match="not possible in the state COMPLETED; possible now: cancelPayment"):
            await processor(env.client).make(PAYMENT)
        assert await balance(env.client) == 700


async def test_cancelled_before_it_is_never_made() -> None:
    async with run_test(app()) as env:
        assert await processor(env.client).cancel() == "this token will not pay"
        with pytest.raises(IllegalEvent, match="not possible in the state CANCELLED; nothing is possible any more"):
            await processor(env.client).make(PAYMENT)
        assert await balance(env.client) == OPENING


async def test_cancelled_after_it_is_paid_back() -> None:
    async with run_test(app()) as env:
        await processor(env.client).make(PAYMENT)
        assert await processor(env.client).cancel() == "300 cents are back, which makes 1000"
        assert await balance(env.client) == OPENING
        with pytest.raises(IllegalEvent):
            await processor(env.client).cancel()
        assert await balance(env.client) == OPENING


@dataclass
class SlowAccount(Account, name="Account"):
    """Takes a minute to give money away."""

    @override
    @handler
    async def withdraw(self, ctx: ObjectContext, cents: int) -> int:
        await asyncio.sleep(60)
        return await super().withdraw.inline(ctx, cents)


async def test_cancelled_while_it_is_under_way_it_is_paid_back() -> None:
    async with run_test(App([PaymentProcessor(), SlowAccount(opening_cents=OPENING)]), replay_always=True) as env:
        made = await processor(env.client).make.send(PAYMENT)
        await env.advance(timedelta(seconds=30))
        assert await processor(env.client).current() is PaymentStatus.NEW
        cancelled = await processor(env.client).cancel.send()
        await env.advance(timedelta(seconds=60))
        assert await made.result() == "paid 300 cents, 700 are left"
        assert await cancelled.result() == "300 cents are back, which makes 1000"
        assert await processor(env.client).current() is PaymentStatus.CANCELLED


async def test_stopping_the_invocation_leaves_no_money_between_two_places() -> None:
    """An operator cancels the invocation, which is another thing than cancelling the payment."""
    async with run_test(App([PaymentProcessor(), SlowAccount(opening_cents=OPENING)])) as env:
        made = await processor(env.client).make.send(PAYMENT)
        await env.advance(timedelta(seconds=30))
        await made.cancel()
        await env.advance(timedelta(seconds=60))
        assert await balance(env.client) == 700
        assert await processor(env.client).current() is PaymentStatus.COMPLETED


async def test_without_enough_money_the_token_can_be_tried_again() -> None:
    async with run_test(app()) as env:
        with pytest.raises(NotEnoughMoney) as caught:
            await processor(env.client).make(Payment(account_id="ann", amount_cents=1_300))
        assert (caught.value.balance_cents, caught.value.asked_cents) == (1_000, 1_300)
        assert await processor(env.client).current() is PaymentStatus.NEW
        await env.client.object_client(Account, "ann").deposit(300)
        assert await processor(env.client).make(Payment(account_id="ann", amount_cents=1_300))
        assert await balance(env.client) == 0


async def test_a_token_expires_a_day_after_it_was_last_used() -> None:
    async with run_test(app()) as env:
        await processor(env.client).make(PAYMENT)
        await env.advance(DAY / 2)
        await processor(env.client).cancel()
        await env.advance(DAY * 0.9)
        assert await processor(env.client).current() is PaymentStatus.CANCELLED
        await env.advance(DAY * 0.1)
        assert await processor(env.client).current() is PaymentStatus.EXPIRED
        with pytest.raises(IllegalEvent):
            await processor(env.client).make(PAYMENT)
        assert await balance(env.client) == OPENING


@at_every_crash_point(app, replay_always=True)
async def test_crashes_cost_nothing(env: TestEnvironment) -> None:
    """Rules 17 to 21: money and token move together, wherever the process dies."""
    await processor(env.client).make(PAYMENT)
    assert await balance(env.client) == 700
    await processor(env.client).cancel()
    await env.advance(DAY)
    assert await processor(env.client).current() is PaymentStatus.EXPIRED
    assert await balance(env.client) == OPENING


@pytest.fixture(params=[EMBEDDED, RESTATE])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return backend_of(request, request.param, tmp_path)


async def race(client: Client, token: str, account: str, *, makes: int, cancels: int) -> Counter[str]:
    """Let requests for one token run at the same time; count how they end."""
    payment = processor(client, token)
    ends: Counter[str] = Counter()

    async def make() -> None:
        try:
            await payment.make(Payment(account_id=account, amount_cents=7))
            ends["made"] += 1
        except IllegalEvent:
            ends["make refused"] += 1

    async def cancel() -> None:
        try:
            await payment.cancel()
            ends["cancelled"] += 1
        except IllegalEvent:
            ends["cancel refused"] += 1

    requests = [make] * makes + [cancel] * cancels
    Random(token).shuffle(requests)
    async with asyncio.TaskGroup() as tasks:
        for request in requests:
            tasks.create_task(request())
    return ends


async def test_two_hundred_pairs_race_for_each_token(backend: Backend) -> None:
    """Each token has one outcome and its money is in one place, whichever request comes first."""
    account = "racer"
    async with App([PaymentProcessor(), Account(opening_cents=OPENING)]).start(backend) as client:
        both, only_made = await asyncio.gather(
            race(client, "race-both", account, makes=200, cancels=200),
            race(client, "race-made", account, makes=60, cancels=0),
        )
        assert both["cancelled"] == 1
        assert both["cancel refused"] == 199
        assert both["made"] + both["make refused"] == 200
        assert both["made"] <= 1
        assert only_made == {"made": 1, "make refused": 59}
        assert await processor(client, "race-both").current() is PaymentStatus.CANCELLED
        assert await processor(client, "race-made").current() is PaymentStatus.COMPLETED
        assert len(await processor(client, "race-both").history()) == both["made"] + 1
        assert await balance(client, account) == OPENING - 7


class HastyProcessor(PaymentProcessor, name="PaymentProcessor"):
    """Forgets tokens after a moment."""

    @override
    @PaymentProcessor.status.after(
        timedelta(milliseconds=200), PaymentStatus.COMPLETED, PaymentStatus.CANCELLED, to=PaymentStatus.EXPIRED
    )
    async def expire(self, ctx: ObjectContext) -> None:
        await super().expire.inline(ctx)


@pytest.mark.parametrize("where", BACKENDS)
async def test_the_whole_life_of_a_token(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Before, after, racing and expired, on each backend."""
    hasty = App([HastyProcessor(), Account(opening_cents=OPENING)])
    async with hasty.start(backend_of(request, where, tmp_path)) as client:
        paid, never = client.object_client(HastyProcessor, "life-1"), client.object_client(HastyProcessor, "life-2")
        first, second = await asyncio.gather(paid.make(Payment(account_id="eve", amount_cents=300)), never.cancel())
        assert (first, second) == ("paid 300 cents, 700 are left", "this token will not pay")
        async with asyncio.timeout(PATIENCE_S):
            while {await paid.current(), await never.current()} != {PaymentStatus.EXPIRED}:
                await asyncio.sleep(0.02)
        for token in (paid, never):
            with pytest.raises(IllegalEvent, match="in the state EXPIRED"):
                await token.make(Payment(account_id="eve", amount_cents=300))
        assert [change.event for change in await paid.history()] == ["makePayment", "expire"]
        assert await balance(client, "eve") == 700
