"""The ticket reservation under a clock that the test drives, with crashes and cancels at every point.

Whatever happens, a seat is in one place: free, in exactly one cart, or sold for money that was paid once.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from examples.providers.faults import FaultKind
from examples.sagas.tickets.cart import Cart
from examples.sagas.tickets.ticket import Ticket, TicketStatus
from restate_patterns import App, Context, InvocationHandle, Service, TerminalError, handler
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from tests.support.examples.companies import Companies, finish

HOLD = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
SEATS = ["A1", "A2"]
companies = Companies()


def cart(env: TestEnvironment, user: str = "ann") -> Cart:
    return env.client.object_client(Cart, user)


async def status(env: TestEnvironment, seat: str) -> TicketStatus:
    return await env.client.object_client(Ticket, seat).show()


async def check_everything_is_in_one_place(env: TestEnvironment) -> str:
    """Assert what always holds once all is quiet, and tell in a word where the seats are."""
    held = await cart(env).contents()
    found = {seat: await status(env, seat) for seat in SEATS}
    assert {seat for seat in SEATS if found[seat] is TicketStatus.RESERVED} == set(held)
    sold = [seat for seat in SEATS if found[seat] is TicketStatus.SOLD]
    charged = [r.details["amount"] for r in companies.providers["payments"].records.values() if r.state == "charged"]
    assert charged == ([str(40 * len(sold))] if sold else [])
    return "sold" if sold else "held" if held else "free"


@at_every_crash_point(companies.tickets_app)
async def test_seats_are_sold(env: TestEnvironment) -> None:
    for seat in SEATS:
        assert await cart(env).add_ticket(seat)
    assert await finish(env, cart(env).checkout())
    await env.advance(HOLD)
    assert await check_everything_is_in_one_place(env) == "sold"
    assert [await status(env, seat) for seat in SEATS] == [TicketStatus.SOLD] * 2
    assert companies.states("payments") == ["charged"]
    assert companies.states("mail") == ["sent"]


@at_every_crash_point(companies.tickets_app)
async def test_seats_expire(env: TestEnvironment) -> None:
    for seat in SEATS:
        assert await cart(env).add_ticket(seat)
    await env.advance(HOLD - MINUTE)
    assert await cart(env).contents() == SEATS
    await env.advance(2 * MINUTE)
    assert await check_everything_is_in_one_place(env) == "free"
    assert not await finish(env, cart(env).checkout())
    assert companies.states("payments") == []


@pytest.mark.parametrize("kind", [FaultKind.DECLINE, FaultKind.LOST_ANSWER], ids=lambda kind: kind.value)
@at_every_crash_point(companies.tickets_app, replay_always=True)
async def test_a_payment_that_fails_leaves_the_seats_in_the_cart(env: TestEnvironment, kind: FaultKind) -> None:
    companies.fail("payments", "charge", kind, times=None if kind is FaultKind.LOST_ANSWER else 1)
    assert await cart(env).add_ticket("A1")
    try:
        paid = await finish(env, cart(env).checkout(), step=timedelta(seconds=5))
    except TerminalError:
        paid = False
    assert not paid
    assert "charged" not in companies.states("payments")
    assert await cart(env).contents() == ["A1"]
    assert await check_everything_is_in_one_place(env) == "held"


def test_an_old_timer_does_not_cut_a_new_reservation_short() -> None:
    async def scenario() -> None:
        async with run_test(companies.tickets_app()) as env:
            assert await cart(env).add_ticket("A1")
            await env.advance(10 * MINUTE)
            await cart(env).expire_ticket("A1")
            await env.settle()
            assert await cart(env).add_ticket("A1")
            await env.advance(10 * MINUTE)
            assert await cart(env).contents() == ["A1"], "the timer of the first reservation was due"
            await env.advance(6 * MINUTE)
            assert await check_everything_is_in_one_place(env) == "free"

    asyncio.run(scenario())


@pytest.mark.parametrize("before_the_expiry", [timedelta(0), timedelta(microseconds=1000), MINUTE, -MINUTE])
def test_checkout_against_expiry(before_the_expiry: timedelta) -> None:
    """Also at the very moment of the expiry, one of them wins all seats."""

    async def scenario() -> None:
        async with run_test(companies.tickets_app()) as env:
            for seat in SEATS:
                assert await cart(env).add_ticket(seat)
            companies.fail("payments", "charge", FaultKind.ERROR, times=5)
            checkout = asyncio.create_task(later(env, HOLD - before_the_expiry))
            await env.advance(2 * HOLD)
            paid = await checkout
            assert await check_everything_is_in_one_place(env) == ("sold" if paid else "free")
            if before_the_expiry:
                assert paid == (before_the_expiry > timedelta(0))

    async def later(env: TestEnvironment, delay: timedelta) -> bool:
        handle = await cart(env).checkout.send_after(delay)
        return await handle.result()

    asyncio.run(scenario())


def test_who_gives_a_seat_back_cannot_take_it_from_the_next() -> None:
    async def scenario() -> None:
        async with run_test(companies.tickets_app()) as env:
            seat = env.client.object_client(Ticket, "A1")
            assert await seat.reserve("of ann")
            assert await seat.reserve("of ann"), "the same reservation, asked for again"
            assert not await seat.reserve("of bob")
            await seat.unreserve("of ann")
            assert await seat.reserve("of bob")
            await seat.unreserve("of ann")
            assert await status(env, "A1") is TicketStatus.RESERVED
            await seat.mark_as_sold()
            await seat.unreserve()
            assert await status(env, "A1") is TicketStatus.SOLD
            assert not await seat.reserve()

    asyncio.run(scenario())


def step_of_its_own() -> None:
    """Pass the time of one commit."""


class Meddler(Service):
    """Starts something on a cart and cancels it a little later: some commits, then some drains; None for never."""

    @handler
    async def nothing(self, ctx: Context) -> None:
        """Pass the time of one drain."""

    @handler
    async def add(self, ctx: Context, patience: int | None) -> bool:
        return await self._meddle(ctx, patience, await ctx.object_client(Cart, "ann").add_ticket.send("A1"))

    @handler
    async def check_out(self, ctx: Context, patience: int | None) -> bool:
        return await self._meddle(ctx, patience, await ctx.object_client(Cart, "ann").checkout.send())

    async def _meddle(self, ctx: Context, patience: int | None, handle: InvocationHandle[bool]) -> bool:
        if patience is None:
            return await handle.result()
        commits, drains = divmod(patience, 4)
        for _ in range(commits):
            await ctx.run("wait", step_of_its_own)
        for _ in range(drains):
            await ctx.service_client(Meddler).nothing()
        await handle.cancel()
        return await handle.result()


def meddled_app() -> App:
    return companies.tickets_app(Meddler())


MOMENTS = pytest.mark.parametrize("replay_always", [False, True])


@MOMENTS
def test_cancelled_at_any_moment_no_seat_is_lost(replay_always: bool) -> None:
    async def scenario(patience: int | None) -> str:
        async with run_test(meddled_app(), replay_always=replay_always) as env:
            call = finish(env, env.client.service_client(Meddler).add(patience))
            (outcome,) = await asyncio.gather(call, return_exceptions=True)
            await env.settle()
            found = await check_everything_is_in_one_place(env)
            assert found == ("held" if outcome is True else "free"), f"patience {patience}: {outcome!r}"
            return found

    assert {asyncio.run(scenario(patience)) for patience in (*range(12), None)} == {"held", "free"}


@MOMENTS
def test_cancelled_at_any_moment_no_money_is_lost(replay_always: bool) -> None:
    async def scenario(patience: int | None) -> str:
        async with run_test(meddled_app(), replay_always=replay_always) as env:
            for seat in SEATS:
                assert await cart(env).add_ticket(seat)
            # The money moves at once and the answer takes a while: time to be cancelled in between.
            companies.fail("payments", "charge", FaultKind.SLOW, delay_s=0.005)
            call = finish(env, env.client.service_client(Meddler).check_out(patience))
            (outcome,) = await asyncio.gather(call, return_exceptions=True)
            await env.settle()
            found = await check_everything_is_in_one_place(env)
            assert found == ("sold" if outcome is True else "held"), f"patience {patience}: {outcome!r}"
            return found

    assert {asyncio.run(scenario(patience)) for patience in (*range(32), None)} == {"sold", "held"}
