"""The load: workers that ask, one request after the other, until they are told to stop, and what they were told."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Final

from benchmarks.cluster.services import LoadedCounter
from examples.sagas.booking.model import Booking, CarRequest, FlightRequest, PaymentInfo, TripRequest
from examples.sagas.booking.trip import Trip
from restate_patterns import AlreadyInvoked, Client, StepFailed, TerminalError
from restate_patterns.client.errors import OutcomeUnknown

COUNTERS: Final = tuple(f"counter-{number}" for number in range(4))
COUNTING_WORKERS: Final = 4
BOOKING_WORKERS: Final = 4
_PAUSE_S: Final = 0.05
"""Between two requests of a worker: the load is steady, not all that the machine can do."""


@dataclass(slots=True)
class Add:
    """One add to a counter, and the sum that it was answered with."""

    key: str
    by: int
    total: int | None = None
    error: str = ""


@dataclass(slots=True)
class Asked:
    """One trip, and what came of it: a booking, or why not, or neither while it is not answered."""

    trip: str
    booking: Booking | None = None
    error: str = ""
    used_up: str = ""
    """The step whose tries were used up, where that was why not."""

    @property
    def answered(self) -> bool:
        """Whether it has ended."""
        return self.booking is not None or bool(self.error)


@dataclass(slots=True)
class Times:
    """When requests were answered, and how long the longest took."""

    answered_s: list[float] = field(default_factory=list)
    longest_s: float = 0.0

    def took(self, since_s: float) -> None:
        """Note an answer to a request that was made at `since_s`."""
        now_s = time.monotonic()
        self.answered_s.append(now_s)
        self.longest_s = max(self.longest_s, now_s - since_s)

    @property
    def stall_s(self) -> float:
        """The longest time without any answer."""
        return max((later - earlier for earlier, later in pairwise(self.answered_s)), default=0.0)


class Load:
    """Workers on one client.

    Args:
        client: Through which all ask.
        seed: Makes what is added.
    """

    def __init__(self, client: Client, seed: int) -> None:
        self.adds: list[Add] = []
        self.trips: list[Asked] = []
        self.add_times, self.trip_times = Times(), Times()
        self._client = client
        self._dice = random.Random(seed)
        self._run = f"{time.time_ns():x}"
        self._stopping = False

    @property
    def booked_count(self) -> int:
        """How many trips have been booked."""
        return sum(trip.booking is not None for trip in self.trips)

    @property
    def undone_count(self) -> int:
        """How many trips have failed."""
        return sum(bool(trip.error) for trip in self.trips)

    @property
    def stall_s(self) -> float:
        """The longest time without any answer to anybody."""
        answered = sorted([*self.add_times.answered_s, *self.trip_times.answered_s])
        return Times(answered).stall_s

    def stop(self) -> None:
        """Ask for nothing new."""
        self._stopping = True

    async def work(self) -> None:
        """Ask until `stop`, and until all that was asked is answered."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(COUNTING_WORKERS):
                workers.create_task(self._count())
            for _ in range(BOOKING_WORKERS):
                workers.create_task(self._book())

    async def totals(self) -> dict[str, int]:
        """Read every counter."""
        return {key: await self._client.object_client(LoadedCounter, key).read() for key in COUNTERS}

    async def _count(self) -> None:
        while not self._stopping:
            add = Add(self._dice.choice(COUNTERS), self._dice.randint(1, 1000))
            key = f"{self._run}-{len(self.adds)}"
            self.adds.append(add)
            since_s = time.monotonic()
            counter = self._client.object_client(LoadedCounter, add.key)
            try:
                add.total = await counter.add.with_options(idempotency_key=key)(add.by)
            except TerminalError as error:
                add.error = repr(error)
            self.add_times.took(since_s)
            await asyncio.sleep(_PAUSE_S)

    async def _book(self) -> None:
        while not self._stopping:
            asked = Asked(f"{self._run}-{len(self.trips)}")
            self.trips.append(asked)
            since_s = time.monotonic()
            try:
                asked.booking = await self._booked(asked.trip)
            except TerminalError as error:
                asked.error = f"{type(error).__name__}: {error}"
                asked.used_up = error.step if isinstance(error, StepFailed) else ""
            self.trip_times.took(since_s)
            await asyncio.sleep(_PAUSE_S)

    async def _booked(self, trip: str) -> Booking:
        """Book a trip, whose id makes it one of its own, and wait for what comes of it."""
        booking = self._client.workflow_client(Trip, trip)
        while True:
            try:
                await booking.run.send(trip_request(trip))
            except (OutcomeUnknown, TimeoutError):
                continue
            except AlreadyInvoked:
                pass  # by the request whose answer was lost
            return await booking.run.handle().result()


def trip_request(trip: str) -> TripRequest:
    """Give a request whose every part names the trip, so that what providers have can be told apart."""
    return TripRequest(
        flights=FlightRequest(flight_id="12345", passenger_name=trip),
        car=CarRequest(pickup_location=trip, rental_date=date(2024, 12, 16)),
        payment_info=PaymentInfo(card_number=trip, amount=Decimal(1500)),
    )


@asynccontextmanager
async def loading(load: Load, drain_s: float) -> AsyncGenerator[asyncio.Task[None]]:
    """Have the load work while the block lasts, then stop asking and wait up to `drain_s` seconds for the rest."""
    working = asyncio.create_task(load.work())
    try:
        yield working
        load.stop()
        await asyncio.wait({working}, timeout=drain_s)
        if working.done():
            working.result()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
