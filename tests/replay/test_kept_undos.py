"""An undo gets what it was given: one object given thrice undoes 1, 2, 3; a result changed later does not reach it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from restate_patterns import App, Client, Context, Saga, Service, TerminalError, handler
from restate_patterns.testing import run_test
from tests.support.engines.hosting import BACKENDS, EMBEDDED, backend_of

pytestmark = pytest.mark.anyio


class Booking(BaseModel):
    number: int
    notes: list[str] = []


@dataclass
class Slip:
    number: int


class Bookings(Service):
    def __init__(self) -> None:
        self.undone: list[Any] = []

    @handler
    async def book(self, ctx: Context, booking: Booking) -> Booking:
        return booking

    @handler
    async def cancel(self, ctx: Context, booking: Booking) -> None:
        await ctx.run("note", self._note, booking.number, booking.notes)

    @handler
    async def cancel_all(self, ctx: Context, numbers: dict[str, list[int]]) -> None:
        await ctx.run("note", self._note, numbers["all"][-1], [])

    async def _note(self, number: int, notes: list[str]) -> None:
        self.undone.append([number, *notes])


class Trip(Service):
    """Each handler gives one object to three undo actions, changing it between them, and then fails."""

    def __init__(self, bookings: Bookings) -> None:
        self._bookings = bookings

    @handler
    async def calls(self, ctx: Context) -> None:
        booking, bookings = Booking(number=0), ctx.service_client(Bookings)
        async with Saga(ctx) as saga:
            for number in (1, 2, 3):
                booking.number = number
                saga.undo(bookings.cancel, booking)
            booking.notes.append("changed")
            raise TerminalError("no", code=418)

    @handler
    async def dictionaries(self, ctx: Context) -> None:
        numbers: dict[str, list[int]] = {"all": []}
        async with Saga(ctx) as saga:
            for number in (1, 2, 3):
                numbers["all"].append(number)
                saga.undo(ctx.service_client(Bookings).cancel_all, numbers=numbers)
            raise TerminalError("no", code=418)

    @handler
    async def steps(self, ctx: Context) -> None:
        slip = Slip(0)
        async with Saga(ctx) as saga:
            for number in (1, 2, 3):
                slip.number = number
                saga.undo_step("undo", self._undo_slip, slip)
            raise TerminalError("no", code=418)

    @handler
    async def functions(self, ctx: Context) -> None:
        slips: list[Slip] = []

        async def undo(found: list[Slip]) -> None:
            await ctx.run("undo", self._undo_slip, found[-1])

        async with Saga(ctx) as saga:
            for number in (1, 2, 3):
                slips.append(Slip(number))
                saga.undo(undo, slips)
            slips[0].number = 9
            raise TerminalError("no", code=418)

    @handler
    async def results(self, ctx: Context) -> None:
        bookings = ctx.service_client(Bookings)
        async with Saga(ctx) as saga:
            for number in (1, 2, 3):
                booked = await saga.call(bookings.book, Booking(number=number)).undo(bookings.cancel)
                booked.number = 9
            raise TerminalError("no", code=418)

    @handler
    async def results_of_steps(self, ctx: Context) -> None:
        async with Saga(ctx) as saga:
            for number in (1, 2, 3):
                slips = await saga.run("write", self._write, number).undo_step(
                    "undo", self._undo_slip, lambda it: it[0]
                )
                slips[0].number = 9
            raise TerminalError("no", code=418)

    @handler
    async def late(self, ctx: Context) -> None:
        booking, bookings = Booking(number=0), ctx.service_client(Bookings)
        async with Saga(ctx) as saga:
            actions = []
            for number in (1, 2, 3):
                booking.number = number
                actions.append(saga.call(bookings.book, booking).undo(bookings.cancel))
            for action in actions:
                await action
            raise TerminalError("no", code=418)

    async def _write(self, number: int) -> list[Slip]:
        return [Slip(number)]

    async def _undo_slip(self, slip: Slip) -> None:
        self._bookings.undone.append([slip.number])


HANDLERS = ["calls", "dictionaries", "steps", "functions", "results", "results_of_steps", "late"]


async def check(client: Client, bookings: Bookings, name: str) -> None:
    bookings.undone.clear()
    with pytest.raises(TerminalError, match="no"):
        await getattr(client.service_client(Trip), name)()
    assert bookings.undone == [[3], [2], [1]], name


@pytest.mark.parametrize(
    "backend", [each if each == EMBEDDED else pytest.param(each, marks=pytest.mark.restate) for each in BACKENDS]
)
async def test_undo_actions_get_what_they_were_given(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bookings = Bookings()
    async with App([Trip(bookings), bookings]).start(backend_of(request, backend, tmp_path)) as client:
        for name in HANDLERS:
            await check(client, bookings, name)


@pytest.mark.parametrize("name", HANDLERS)
async def test_where_each_wait_replays(name: str) -> None:
    bookings = Bookings()
    async with run_test(App([Trip(bookings), bookings]), replay_always=True) as env:
        await check(env.client, bookings, name)
