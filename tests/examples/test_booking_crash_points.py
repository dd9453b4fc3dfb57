"""The trip saga with a crash after every commit: the same trip, whatever the moment."""

from __future__ import annotations

from datetime import timedelta

import pytest

from examples.providers.faults import FaultKind
from examples.sagas.booking.model import Booking, TripRequest
from examples.sagas.booking.trip import Trip
from restate_patterns import Decision, DecisionRequest, InvocationHandle, StuckSagas, TerminalError
from restate_patterns.testing import TestEnvironment, at_every_crash_point
from tests.support.examples.companies import Companies, cancelled_after_each_commit, finish
from tests.support.examples.trips import OWED, PLAN, TRIP, in_order

REQUEST = TripRequest.model_validate(TRIP)
PLACES = pytest.mark.parametrize("place", range(len(OWED)), ids=["-".join(step) for step in PLAN[: len(OWED)]])
AFTER_PIVOT = pytest.mark.parametrize("place", range(3, len(PLAN)), ids=["-".join(step) for step in PLAN[3:]])
companies = Companies()


def check_seen(env: TestEnvironment, expected: list[tuple[str, str]]) -> None:
    """Assert that the companies saw this, where a crash may have repeated the one step in flight."""
    seen = companies.seen()
    at_most = 2 * env.crash_count  # the two reservations are cancelled at the same time
    assert len(seen) - len(expected) <= at_most, seen
    assert in_order(list(dict.fromkeys(seen))) == expected


def nothing_is_left() -> bool:
    left = {state for name in companies.providers for state in companies.states(name)}
    return not left & {"reserved", "confirmed", "charged"}


@at_every_crash_point(companies.booking_app)
async def test_a_trip_is_booked(env: TestEnvironment) -> None:
    booked = await finish(env, env.client.workflow_client(Trip, "t").run(REQUEST))
    check_seen(env, PLAN)
    assert isinstance(booked, Booking)
    assert companies.states("flights") == companies.states("cars") == ["confirmed"]
    assert companies.states("payments") == ["charged"]
    assert await env.client.workflow_client(Trip, "t").status() == "booked"


@PLACES
@at_every_crash_point(companies.booking_app)
async def test_a_refusal_is_undone(env: TestEnvironment, place: int) -> None:
    companies.fail(*PLAN[place], FaultKind.DECLINE)
    with pytest.raises(TerminalError) as refused:
        await finish(env, env.client.workflow_client(Trip, "t").run(REQUEST))
    assert refused.value.code == (402 if PLAN[place][1] == "charge" else 409)
    check_seen(env, PLAN[: place + 1] + OWED[place])
    assert nothing_is_left()


@at_every_crash_point(companies.booking_app, replay_always=True)
async def test_lost_answers_are_undone_replaying_always(env: TestEnvironment) -> None:
    companies.fail("payments", "charge", FaultKind.LOST_ANSWER, times=None)
    companies.fail("payments", "refund", FaultKind.ERROR, times=2)
    with pytest.raises(TerminalError):
        await finish(env, env.client.workflow_client(Trip, "t").run(REQUEST))
    assert in_order(list(dict.fromkeys(companies.seen()))) == PLAN[:3] + OWED[2]
    assert nothing_is_left()


@AFTER_PIVOT
@at_every_crash_point(companies.booking_app)
async def test_trouble_after_the_payment_is_waited_out(env: TestEnvironment, place: int) -> None:
    companies.fail(*PLAN[place], FaultKind.ERROR, times=7)
    await finish(env, env.client.workflow_client(Trip, "t").run(REQUEST))
    assert list(dict.fromkeys(companies.seen())) == PLAN
    assert companies.states("flights") == companies.states("cars") == ["confirmed"]


@AFTER_PIVOT
@at_every_crash_point(companies.booking_app)
async def test_a_refusal_after_the_payment_waits_for_a_person(env: TestEnvironment, place: int) -> None:
    """The money has moved: nothing is undone, and the trip is completed once a person has seen to it."""
    companies.fail(*PLAN[place], FaultKind.DECLINE)
    handle = await env.client.workflow_client(Trip, "t").run.send(REQUEST)
    desk = env.client.object_client(StuckSagas, "all")
    await env.advance(timedelta(minutes=1))
    (stuck,) = await desk.list_all()
    assert (stuck.saga, stuck.name) == (handle.id, ["Flights.confirm", "Cars.confirm"][place - 3])
    decision = Decision(action="supply", by="ann", reason="confirmed by telephone")
    await desk.decide(DecisionRequest(saga=handle.id, decision=decision))
    booked = await finish(env, handle.result())
    assert booked.car_id
    assert not [step for step in companies.seen() if step[1] in ("cancel", "refund")]


@pytest.mark.parametrize("replay_always", [False, True])
def test_cancelled_at_any_moment_it_is_whole_or_undone(replay_always: bool) -> None:
    """A cancel after the first commit, after the second, and so on until the trip was faster."""

    async def send(env: TestEnvironment) -> InvocationHandle[Booking]:
        return await env.client.workflow_client(Trip, "t").run.send(REQUEST)

    outcomes = cancelled_after_each_commit(
        companies.booking_app, send, check_whole_or_undone, replay_always=replay_always
    )
    assert set(outcomes) == {"booked", "undone"}


async def check_whole_or_undone(env: TestEnvironment, outcome: Booking | BaseException) -> str:
    seen = companies.seen()
    if isinstance(outcome, Booking):
        assert seen == PLAN
        return "booked"
    assert isinstance(outcome, TerminalError)
    assert outcome.code in (404, 409)
    left = {state for name in companies.providers for state in companies.states(name)}
    assert not left & {"confirmed", "charged"}
    # A call that a cancel finds under way is awaited, so all that was reserved is known.
    undone = in_order([step for step in seen if step not in PLAN])
    assert undone in ([], OWED[1], OWED[2][1:], OWED[2]), seen
    assert not left & {"reserved"}, seen
    return "undone"
