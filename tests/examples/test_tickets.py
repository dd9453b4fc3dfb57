"""The ticket reservation: a seat is sold once, or comes back; money moves once, or not at all."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.providers.faults import FaultKind
from examples.stage import Stage
from tests.support.examples.carts import Box, new_name


@pytest.fixture
def box(tickets: Stage) -> Box:
    return Box(tickets)


@pytest.fixture
def hasty(hasty_tickets: Stage) -> Box:
    return Box(hasty_tickets)


def test_a_seat_is_sold_once(box: Box) -> None:
    ann, bob, seat = new_name("ann"), new_name("bob"), new_name("seat")
    assert box.add(ann, seat)
    assert not box.add(bob, seat)
    assert not box.add(ann, seat)
    assert box.checkout(ann)
    box.wait_for_seat(seat, "sold")
    assert not box.add(bob, seat)
    assert box.contents(ann) == []
    assert box.paid(ann) == ["40"]
    assert box.wait_for_mails(ann, 1) == ["Your tickets"]


def test_an_empty_cart_costs_nothing(box: Box) -> None:
    ann = new_name("ann")
    assert not box.checkout(ann)
    assert box.paid(ann) == []


def test_every_seat_costs_forty(box: Box) -> None:
    ann = new_name("ann")
    seats = [new_name("seat") for _ in range(3)]
    assert all(box.add(ann, seat) for seat in seats)
    assert box.contents(ann) == seats
    assert box.checkout(ann)
    assert box.paid(ann) == ["120"]


def test_an_expired_seat_comes_back(box: Box) -> None:
    ann, bob, seat = new_name("ann"), new_name("bob"), new_name("seat")
    assert box.add(ann, seat)
    box.expire(ann, seat)
    box.wait_for_seat(seat, "available")
    assert not box.checkout(ann)
    assert box.add(bob, seat)


def test_nobody_can_expire_what_is_not_hers(box: Box) -> None:
    ann, bob, seat = new_name("ann"), new_name("bob"), new_name("seat")
    assert box.add(ann, seat)
    box.expire(bob, seat)
    assert box.seat(seat) == "reserved"
    assert box.contents(ann) == [seat]


def test_a_declined_payment_keeps_the_seats_for_a_second_try(box: Box) -> None:
    ann, seat = new_name("ann"), new_name("seat")
    assert box.add(ann, seat)
    box.stage.providers["payments"].fail("charge", FaultKind.DECLINE)
    assert not box.checkout(ann)
    assert box.seat(seat) == "reserved"
    assert box.contents(ann) == [seat]
    assert box.checkout(ann)
    assert box.paid(ann) == ["40"]
    assert sorted(box.wait_for_mails(ann, 2)) == ["Payment failed", "Your tickets"]


@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.LOST_ANSWER], ids=lambda kind: kind.value)
def test_a_payment_is_tried_again_and_made_once(box: Box, kind: FaultKind) -> None:
    ann, seat = new_name("ann"), new_name("seat")
    assert box.add(ann, seat)
    box.stage.providers["payments"].fail("charge", kind, times=3)
    assert box.checkout(ann)
    assert box.paid(ann) == ["40"]


def test_a_mail_server_in_trouble_delays_only_the_mail(box: Box) -> None:
    ann, seat = new_name("ann"), new_name("seat")
    assert box.add(ann, seat)
    box.stage.providers["mail"].fail("send", FaultKind.LOST_ANSWER, times=3)
    assert box.checkout(ann)
    box.wait_for_seat(seat, "sold")
    assert box.wait_for_mails(ann, 1) == ["Your tickets"]


def test_many_want_one_seat_and_one_gets_it(box: Box) -> None:
    seat = new_name("seat")
    users = [new_name("user") for _ in range(12)]

    def add(user: str) -> bool:
        return box.add(user, seat)

    with ThreadPoolExecutor(len(users)) as threads:
        got = dict(zip(users, threads.map(add, users), strict=True))
    assert sum(got.values()) == 1
    (winner,) = (user for user, has in got.items() if has)
    assert box.contents(winner) == [seat]


def test_time_runs_out(hasty: Box) -> None:
    ann, seat = new_name("ann"), new_name("seat")
    assert hasty.add(ann, seat)
    hasty.wait_for_seat(seat, "available")
    assert hasty.contents(ann) == []
    assert not hasty.checkout(ann)


def test_checkout_that_came_first_beats_the_expiry(hasty: Box) -> None:
    """The time runs out while the payment is under way: the seat is sold all the same."""
    ann, bob, seat = new_name("ann"), new_name("bob"), new_name("seat")
    assert hasty.add(ann, seat)
    hasty.stage.providers["payments"].fail("charge", FaultKind.SLOW, delay_s=2)
    assert hasty.checkout(ann)
    hasty.wait_for_seat(seat, "sold")
    assert hasty.paid(ann) == ["40"]
    # What was sent to ann's cart before this was carried out before this: the late expiry as well.
    assert hasty.contents(ann) == []
    hasty.expire(ann, seat)
    assert hasty.seat(seat) == "sold"
    assert not hasty.add(bob, seat)


def test_a_seat_is_sold_or_comes_back_never_both(hasty: Box) -> None:
    """Checkouts from well before to well after the expiry: who pays gets the seat, who does not frees it."""
    users = [new_name("user") for _ in range(24)]
    seats = {user: new_name("seat") for user in users}
    hold_s = 1.0

    def shop(place: int) -> bool:
        user = users[place]
        assert hasty.add(user, seats[user])
        time.sleep(2 * hold_s * place / len(users))
        return hasty.checkout(user)

    with ThreadPoolExecutor(len(users)) as threads:
        paid = dict(zip(users, threads.map(shop, range(len(users))), strict=True))
    assert paid[users[0]]
    assert not paid[users[-1]]
    for user, has_paid in paid.items():
        hasty.wait_for_seat(seats[user], "sold" if has_paid else "available")
        assert hasty.paid(user) == (["40"] if has_paid else [])
        assert hasty.contents(user) == []


def test_a_server_that_dies_forgets_no_expiry(hasty: Box) -> None:
    ann, seat = new_name("ann"), new_name("seat")
    assert hasty.add(ann, seat)
    hasty.stage.kill_server()
    hasty.stage.start_server()
    hasty.wait_for_seat(seat, "available")


def test_a_server_that_dies_in_the_checkout_charges_once(box: Box) -> None:
    ann, seat = new_name("ann"), new_name("seat")
    assert box.add(ann, seat)
    stage = box.stage
    stage.providers["payments"].fail("charge", FaultKind.SLOW, delay_s=30)
    mark = stage.mark()
    box.call(f"/CartObject/{ann}/checkout/send")
    stage.wait_for_request("payments", "charge", after=mark["payments"])
    stage.kill_server()
    stage.start_server()
    box.wait_for_seat(seat, "sold")
    assert box.paid(ann) == ["40"]
    assert box.contents(ann) == []
    assert box.wait_for_mails(ann, 1) == ["Your tickets"]
