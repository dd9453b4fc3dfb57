"""The sagas of the examples on a real Restate server that suspends at every wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from examples.providers.faults import FaultKind
from examples.sagas.booking.model import TripRequest
from examples.sagas.booking.trip import Trip
from examples.sagas.payments import PaymentDeclined
from examples.sagas.registration.addresses import Address
from examples.sagas.registration.registration import NeverVerified, Registration, User
from restate_patterns import App, Cancelled, Client, Decision, DecisionRequest, Restate, StuckSagas
from restate_patterns.server import RunningServer
from tests.support.bounds import PATIENCE_S
from tests.support.examples.companies import Companies
from tests.support.examples.trips import OWED, PLAN, TRIP, in_order, new_trip

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

REQUEST = TripRequest.model_validate(TRIP)


@pytest.fixture
def companies() -> Companies:
    return Companies()


@asynccontextmanager
async def served(app: App, server: RunningServer) -> AsyncIterator[Client]:
    backend = Restate(ingress_url=server.ingress_url, admin_url=server.admin_url, bind="127.0.0.1:0")
    async with app.start(backend) as client:
        yield client


async def test_a_trip_is_booked(companies: Companies, suspending_restate_server: RunningServer) -> None:
    async with served(companies.booking_app(), suspending_restate_server) as client:
        trip = client.workflow_client(Trip, new_trip())
        await trip.run(REQUEST)
        assert companies.seen() == PLAN
        assert await trip.status() == "booked"


async def test_a_trip_is_undone(companies: Companies, suspending_restate_server: RunningServer) -> None:
    async with served(companies.booking_app(), suspending_restate_server) as client:
        companies.fail("payments", "charge", FaultKind.DECLINE)
        companies.fail("cars", "cancel", FaultKind.LOST_ANSWER)
        with pytest.raises(PaymentDeclined):
            await client.workflow_client(Trip, new_trip()).run(REQUEST)
        assert in_order(list(dict.fromkeys(companies.seen()))) == PLAN[:3] + OWED[2]


async def test_a_trip_that_is_cancelled(companies: Companies, suspending_restate_server: RunningServer) -> None:
    """A cancel in the middle of the undo does not stop it."""
    async with served(companies.booking_app(), suspending_restate_server) as client:
        companies.fail("payments", "charge", FaultKind.ERROR, times=4)
        companies.fail("payments", "refund", FaultKind.ERROR, times=3)
        handle = await client.workflow_client(Trip, new_trip()).run.send(REQUEST)
        await until(lambda: ("payments", "charge") in companies.seen())
        await handle.cancel()
        await until(lambda: ("payments", "refund") in companies.seen())
        await handle.cancel()
        with pytest.raises(Cancelled):
            await handle.result()
        assert in_order(list(dict.fromkeys(companies.seen()))) == PLAN[:3] + OWED[2]


async def test_a_trip_that_waits_for_a_person(companies: Companies, suspending_restate_server: RunningServer) -> None:
    async with served(companies.booking_app(), suspending_restate_server) as client:
        companies.fail("flights", "confirm", FaultKind.DECLINE)
        handle = await client.workflow_client(Trip, new_trip()).run.send(REQUEST)
        desk = client.object_client(StuckSagas, "all")
        async with asyncio.timeout(PATIENCE_S):
            while handle.id not in [stuck.saga for stuck in await desk.list_all()]:
                await asyncio.sleep(0.02)
        await desk.decide(DecisionRequest(saga=handle.id, decision=Decision(action="supply", reason="by phone")))
        await handle.result()
        assert companies.seen()[-1] == ("cars", "confirm")


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not fact():
            await asyncio.sleep(0.005)


async def test_a_registration(companies: Companies, suspending_restate_server: RunningServer) -> None:
    async with served(companies.registration_app(), suspending_restate_server) as client:
        user, name = User(name="Ada", email=f"{new_trip()}@example.com"), new_trip()
        registration = client.workflow_client(Registration, name)
        handle = await registration.run.send(user)
        letters = companies.providers["mail"].records
        await until(lambda: len(letters) == 1)
        (letter,) = letters.values()
        await registration.verify(str(letter.details["text"]))
        assert await handle.result() == name
        assert [record.details["subject"] for record in letters.values()] == ["Is this your address?", "Welcome"]


async def test_a_registration_that_expires(companies: Companies, suspending_restate_server: RunningServer) -> None:
    app = companies.registration_app(patience=timedelta(milliseconds=300))
    async with served(app, suspending_restate_server) as client:
        email = f"{new_trip()}@example.com"
        with pytest.raises(NeverVerified):
            await client.workflow_client(Registration, new_trip()).run(User(name="Bob", email=email))
        assert await client.object_client(Address, email).belongs_to() is None
