"""The trip saga against companies that refuse, fail, and lose their answers, at each place of the trip."""

from __future__ import annotations

import httpx
import pytest

from examples.providers.faults import FaultKind
from examples.stage import Stage
from tests.support.examples.trips import (
    OWED,
    PLAN,
    TRIP,
    UNDO,
    in_order,
    new_trip,
    states_since,
    steps,
    without_repeats,
)
from tests.support.http import loopback

PLACES = pytest.mark.parametrize("place", range(len(PLAN)), ids=["-".join(step) for step in PLAN])
UNDOABLE = pytest.mark.parametrize("place", range(len(OWED)), ids=["-".join(step) for step in PLAN[: len(OWED)]])
BOOKED = {"flights": ["confirmed"], "cars": ["confirmed"], "payments": ["charged"]}
LEFT_OVER = {"confirmed", "charged"}


def book(stage: Stage, trip: str) -> httpx.Response:
    return stage.ingress.post(f"/BookingWorkflow/{trip}/run", json=TRIP)


def status(stage: Stage, trip: str) -> str:
    answer = stage.ingress.post(f"/BookingWorkflow/{trip}/status")
    assert answer.status_code == 200
    return str(answer.json())


def cancel(stage: Stage, invocation_id: str) -> None:
    answer = loopback.patch(f"{stage.admin_url}/invocations/{invocation_id}/cancel")
    assert answer.status_code == 202, answer.text


def fail_at(stage: Stage, place: int, kind: FaultKind, times: int | None = 1) -> None:
    provider, operation = PLAN[place]
    stage.providers[provider].fail(operation, kind, times=times)


def test_a_trip_is_booked(booking: Stage) -> None:
    mark, trip = booking.mark(), new_trip()
    answer = book(booking, trip)
    seen = booking.seen_since(mark)
    assert answer.status_code == 200, answer.text
    assert steps(seen) == PLAN
    assert states_since(booking, seen) == BOOKED
    body = answer.json()
    assert body["flightId"] in booking.providers["flights"].records
    assert body["carId"] in booking.providers["cars"].records
    assert body["paymentId"] in booking.providers["payments"].records
    assert status(booking, trip) == "booked"


@UNDOABLE
def test_a_refusal_is_undone(booking: Stage, place: int) -> None:
    fail_at(booking, place, FaultKind.DECLINE)
    mark, trip = booking.mark(), new_trip()
    answer = book(booking, trip)
    seen = booking.seen_since(mark)
    assert answer.status_code == (402 if PLAN[place][1] == "charge" else 409)
    assert in_order(steps(seen)) == PLAN[: place + 1] + OWED[place]
    assert not LEFT_OVER & {state for states in states_since(booking, seen).values() for state in states}
    assert status(booking, trip).startswith("undone: ")


@UNDOABLE
def test_trouble_without_end_is_undone(booking: Stage, place: int) -> None:
    fail_at(booking, place, FaultKind.ERROR, times=None)
    mark = booking.mark()
    answer = book(booking, new_trip())
    seen = booking.seen_since(mark)
    assert answer.status_code == 500
    assert in_order(without_repeats(seen)) == PLAN[: place + 1] + OWED[place]
    assert steps(seen).count(PLAN[place]) == 5
    assert not LEFT_OVER & {state for states in states_since(booking, seen).values() for state in states}


@PLACES
def test_trouble_that_passes_is_no_trouble(booking: Stage, place: int) -> None:
    fail_at(booking, place, FaultKind.ERROR, times=2)
    mark = booking.mark()
    assert book(booking, new_trip()).status_code == 200
    seen = booking.seen_since(mark)
    assert without_repeats(seen) == PLAN
    assert steps(seen).count(PLAN[place]) == 3
    assert states_since(booking, seen) == BOOKED


@PLACES
def test_a_lost_answer_costs_nothing(booking: Stage, place: int) -> None:
    fail_at(booking, place, FaultKind.LOST_ANSWER)
    mark = booking.mark()
    assert book(booking, new_trip()).status_code == 200
    seen = booking.seen_since(mark)
    assert without_repeats(seen) == PLAN
    assert steps(seen).count(PLAN[place]) == 2
    assert states_since(booking, seen) == BOOKED


@UNDOABLE
def test_answers_that_never_come_are_undone(booking: Stage, place: int) -> None:
    """What was done without anybody hearing of it is undone, or lapses because nobody confirms it."""
    fail_at(booking, place, FaultKind.LOST_ANSWER, times=None)
    mark = booking.mark()
    assert book(booking, new_trip()).status_code == 500
    seen = booking.seen_since(mark)
    assert in_order(without_repeats(seen)) == PLAN[: place + 1] + OWED[place]
    states = states_since(booking, seen)
    assert not LEFT_OVER & {state for each in states.values() for state in each}
    if PLAN[place] == ("payments", "charge"):
        assert states["payments"] == ["refunded"]


def test_undo_is_tried_until_it_succeeds(booking: Stage) -> None:
    payments, cars, flights = (booking.providers[name] for name in ("payments", "cars", "flights"))
    payments.fail("charge", FaultKind.LOST_ANSWER, times=5)
    payments.fail("refund", FaultKind.ERROR, times=6)
    cars.fail("cancel", FaultKind.LOST_ANSWER, times=2)
    flights.fail("cancel", FaultKind.ERROR, times=1)
    mark = booking.mark()
    assert book(booking, new_trip()).status_code == 500
    seen = booking.seen_since(mark)
    assert in_order(list(dict.fromkeys(steps(seen)))) == PLAN[:3] + UNDO
    assert [steps(seen).count(undo) for undo in UNDO] == [7, 3, 2]
    assert states_since(booking, seen) == {
        "flights": ["cancelled"],
        "cars": ["cancelled"],
        "payments": ["refunded"],
    }


def test_a_cancelled_trip_is_undone_after_what_it_was_doing(booking: Stage) -> None:
    """The refund waits for the charge in flight: it must not overtake what it undoes."""
    booking.providers["payments"].fail("charge", FaultKind.SLOW, delay_s=1)
    mark, trip = booking.mark(), new_trip()
    accepted = booking.ingress.post(f"/BookingWorkflow/{trip}/run/send", json=TRIP).json()
    booking.wait_for_request("payments", "charge", after=mark["payments"])
    cancel(booking, accepted["invocationId"])
    answer = booking.ingress.get(f"/restate/workflow/BookingWorkflow/{trip}/attach")
    assert answer.status_code == 409
    seen = booking.seen_since(mark)
    assert in_order(steps(seen)) == PLAN[:3] + UNDO
    assert states_since(booking, seen)["payments"] == ["refunded"]


@pytest.mark.parametrize("place", range(len(UNDO)), ids=["-".join(step) for step in UNDO])
def test_a_cancel_does_not_stop_the_undo(booking: Stage, place: int) -> None:
    fail_at(booking, PLAN.index(("payments", "charge")), FaultKind.DECLINE)
    provider, operation = UNDO[place]
    booking.providers[provider].fail(operation, FaultKind.SLOW, delay_s=2.0)
    mark, trip = booking.mark(), new_trip()
    accepted = booking.ingress.post(f"/BookingWorkflow/{trip}/run/send", json=TRIP).json()
    booking.wait_for_request(provider, operation, after=mark[provider])
    cancel(booking, accepted["invocationId"])
    answer = booking.ingress.get(f"/restate/workflow/BookingWorkflow/{trip}/attach")
    assert answer.status_code == 402, answer.text
    assert in_order(steps(booking.seen_since(mark))) == PLAN[:3] + UNDO


@pytest.mark.parametrize("place", range(len(PLAN)), ids=["-".join(step) for step in PLAN])
def test_kill_minus_nine_on_the_way(booking: Stage, place: int) -> None:
    """Wherever the server dies, the trip is booked, and only the step in flight is repeated."""
    provider, operation = PLAN[place]
    booking.providers[provider].fail(operation, FaultKind.SLOW, delay_s=30)
    mark, trip = booking.mark(), new_trip()
    assert booking.ingress.post(f"/BookingWorkflow/{trip}/run/send", json=TRIP).status_code == 202
    booking.wait_for_request(provider, operation, after=mark[provider])
    booking.kill_server()
    booking.start_server()
    answer = booking.ingress.get(f"/restate/workflow/BookingWorkflow/{trip}/attach")
    seen = booking.seen_since(mark)
    assert answer.status_code == 200, answer.text
    assert steps(seen) == [*PLAN[: place + 1], *PLAN[place:]]
    assert states_since(booking, seen) == BOOKED


@pytest.mark.parametrize("place", range(len(UNDO)), ids=["-".join(step) for step in UNDO])
def test_kill_minus_nine_on_the_way_back(booking: Stage, place: int) -> None:
    """A crash in the middle of the undo loses none of it, and repeats only the step in flight."""
    fail_at(booking, 2, FaultKind.DECLINE)
    provider, operation = UNDO[place]
    booking.providers[provider].fail(operation, FaultKind.SLOW, delay_s=30)
    mark, trip = booking.mark(), new_trip()
    assert booking.ingress.post(f"/BookingWorkflow/{trip}/run/send", json=TRIP).status_code == 202
    booking.wait_for_request(provider, operation, after=mark[provider])
    booking.kill_server()
    booking.start_server()
    answer = booking.ingress.get(f"/restate/workflow/BookingWorkflow/{trip}/attach")
    seen = booking.seen_since(mark)
    assert answer.status_code == 402, answer.text
    assert in_order(list(dict.fromkeys(steps(seen)))) == PLAN[:3] + UNDO
    repeated = [step for step in PLAN[:3] + UNDO if steps(seen).count(step) > 1]
    assert (provider, operation) in repeated
    assert set(repeated) <= ({("payments", "refund")} if operation == "refund" else set(UNDO[1:]))
    assert not LEFT_OVER & {state for each in states_since(booking, seen).values() for state in each}


def test_a_trip_is_booked_once(booking: Stage) -> None:
    trip = new_trip()
    assert book(booking, trip).status_code == 200
    mark = booking.mark()
    assert book(booking, trip).status_code == 409
    assert booking.seen_since(mark) == []


def test_a_bad_request_says_which_field(booking: Stage) -> None:
    mark = booking.mark()
    bad = {**TRIP, "car": {"pickupLocation": "Airport", "rentalDate": "soon"}}
    answer = booking.ingress.post(f"/BookingWorkflow/{new_trip()}/run", json=bad)
    assert answer.status_code == 400
    assert "rentalDate" in answer.json()["message"]
    assert booking.seen_since(mark) == []


def test_a_trip_that_never_ran_has_a_status(booking: Stage) -> None:
    assert status(booking, new_trip()) == "not started"
