"""The cluster test's check finds what it is there to find: each kind of damage, done to a good run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.cluster.check import PLAN, check_adds, check_trips, repeat_count
from benchmarks.cluster.ledgers import TripLedger, by_trip
from benchmarks.cluster.load import Add, Asked
from examples.providers.faults import FaultKind
from examples.providers.ledger import Entry, Ledger, Record
from examples.sagas.booking.model import Booking

STARTS_NS = [0, 5_000_000_000]
"""Two processes of the services: one for the booking, one from the fifth second on."""

TRIP = "trip-1"
DETAILS = {"flights": "passenger_name", "cars": "pickup_location", "payments": "card"}


def good_adds() -> list[Add]:
    return [Add("a", 3, 3), Add("a", 4, 7), Add("b", 5, 5), Add("a", 1, 8)]


TOTALS = {"a": 8, "b": 5}


def ledgers(states: dict[str, str], steps: int) -> dict[str, Ledger]:
    """What the providers know of a trip of so many steps, a tenth of a second apart from the first second on."""
    found = {
        name: Ledger(records={f"{name}-1": Record(id=f"{name}-1", key="k", state=state, details={DETAILS[name]: TRIP})})
        for name, state in states.items()
    }
    for place, (name, operation) in enumerate(PLAN[:steps]):
        at_ns = 1_000_000_000 + place * 100_000_000
        found[name].history.append(Entry(at_ns=at_ns, operation=operation, subject=f"{name}-1", status=200))
    return found


BOOKED = {"flights": "confirmed", "cars": "confirmed", "payments": "charged"}
UNDONE = {"flights": "cancelled", "cars": "cancelled", "payments": "refunded"}


def booked() -> tuple[Asked, TripLedger]:
    asked = Asked(TRIP, Booking(flight_id="flights-1", car_id="cars-1", payment_id="payments-1"))
    return asked, by_trip(ledgers(BOOKED, 5))[TRIP]


def undone() -> tuple[Asked, TripLedger]:
    return Asked(TRIP, error="PaymentDeclined"), by_trip(ledgers(UNDONE, 8))[TRIP]


def unheard_of() -> tuple[Asked, TripLedger]:
    """The car was reserved, and each answer that told its id was lost."""
    asked = Asked(TRIP, error="StepFailed", used_up="reserve car")
    return asked, by_trip(ledgers({"flights": "cancelled", "cars": "reserved"}, 2))[TRIP]


def check_trip(asked: Asked, ledger: TripLedger) -> list[str]:
    return check_trips([asked], {TRIP: ledger}, STARTS_NS)


def test_good_runs_pass() -> None:
    assert check_adds(good_adds(), TOTALS) == []
    assert check_trip(*booked()) == []
    assert check_trip(*undone()) == []
    assert check_trip(*unheard_of()) == []
    assert check_trips([Asked("refused at once", error="NotAvailable")], {}, STARTS_NS) == []


@pytest.mark.parametrize(
    ("adds", "totals", "sentence"),
    [
        ([*good_adds(), Add("b", 2)], TOTALS, "was not answered"),
        ([*good_adds(), Add("b", 2, error="oops")], TOTALS, "failed with oops"),
        (good_adds()[1:], TOTALS, "after 0 came 7"),
        ([*good_adds(), Add("b", 2, 9)], {"a": 8, "b": 9}, "after 5 came 9"),
        (good_adds(), {"a": 7, "b": 5}, "the sum is 7, and 8 were added"),
        ([Add("a", 3, 3), Add("a", 3, 3)], {"a": 3}, "after 3 came 3"),
    ],
    ids=["unanswered", "failed", "first-lost", "doubled", "last-lost", "joined"],
)
def test_damage_to_counters(adds: list[Add], totals: dict[str, int], sentence: str) -> None:
    assert any(sentence in found for found in check_adds(adds, totals))


def no_longer_confirmed(ledger: TripLedger) -> None:
    ledger.records["cars"][0].state = "reserved"


def second_seat(ledger: TripLedger) -> None:
    ledger.records["flights"].append(ledger.records["flights"][0].model_copy(update={"id": "flights-2"}))


def seat_not_cancelled(ledger: TripLedger) -> None:
    ledger.records["flights"][0].state = "reserved"


def other_seat(ledger: TripLedger) -> None:
    ledger.records["flights"][0].id = "flights-2"


def still_charged(ledger: TripLedger) -> None:
    ledger.records["payments"][0].state = "charged"


def charged_again_at_the_end(ledger: TripLedger) -> None:
    ledger.seen.append(replace(ledger.seen[2], at_ns=6_000_000_000))


def charged_twice_by_one_process(ledger: TripLedger) -> None:
    ledger.seen.insert(3, replace(ledger.seen[2], at_ns=ledger.seen[2].at_ns + 1))


@pytest.mark.parametrize(
    ("good", "damage", "sentence"),
    [
        (booked, no_longer_confirmed, "the providers have"),
        (booked, second_seat, "the providers have"),
        (booked, other_seat, "the booking says flights-1"),
        (undone, still_charged, "it failed with PaymentDeclined, and the providers have"),
        (undone, no_longer_confirmed, "it failed with PaymentDeclined, and the providers have"),
        (unheard_of, seat_not_cancelled, "it failed with StepFailed, and the providers have"),
        (booked, charged_again_at_the_end, "payments charge was asked again after cars confirm"),
        (booked, charged_twice_by_one_process, "payments charge was done twice by one process"),
    ],
)
def test_damage_to_trips(
    good: Callable[[], tuple[Asked, TripLedger]], damage: Callable[[TripLedger], None], sentence: str
) -> None:
    asked, ledger = good()
    damage(ledger)
    assert any(sentence in found for found in check_trip(asked, ledger))


def test_trips_without_an_answer_and_without_anybody_who_asked() -> None:
    _, ledger = booked()
    assert check_trip(Asked(TRIP), ledger)[0] == f"trip {TRIP} was not answered"
    assert check_trips([], {TRIP: ledger}, STARTS_NS) == [f"trip {TRIP} was booked by nobody"]


def test_a_repeat_by_a_later_process_before_the_next_step_is_legal() -> None:
    asked, ledger = booked()
    ledger.seen.append(replace(ledger.seen[-1], at_ns=6_000_000_000))
    assert check_trip(asked, ledger) == []
    assert repeat_count({TRIP: ledger}) == 1


@pytest.mark.parametrize(
    ("fault", "status", "answered"),
    [
        (None, 201, True),
        (FaultKind.SLOW, 200, True),
        (FaultKind.ERROR, 503, False),
        (FaultKind.LOST_ANSWER, None, False),
        (FaultKind.DECLINE, 409, False),
    ],
)
def test_what_counts_as_answered(fault: FaultKind | None, status: int | None, answered: bool) -> None:
    found = ledgers(BOOKED, 1)
    found["flights"].history[0] = Entry(at_ns=1, operation="reserve", subject="k", fault=fault, status=status)
    (seen,) = by_trip(found)[TRIP].seen
    assert seen.answered is answered
