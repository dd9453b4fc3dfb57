"""Undo actions with the wrong argument, or registered the wrong way."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel

from restate_patterns import Context, Lockable, Saga, Service, UndoPolicy, handler
from tests.typing.misuse.declared import Ticket


class Reservation(BaseModel):
    id: str
    price: Decimal


class Flights(Service):
    @handler
    async def reserve(self, ctx: Context, number: int) -> Reservation:
        raise NotImplementedError

    @handler
    async def cancel(self, ctx: Context, reservation_id: str) -> None: ...

    @handler
    async def let_go(self, ctx: Context, reservation: Reservation) -> None: ...


class Seat(Lockable): ...


def refund(key: str, amount: Decimal) -> None: ...


async def release(reservation: Reservation) -> None: ...


async def misuse(ctx: Context) -> None:
    flights = ctx.service_client(Flights)
    ticket = ctx.object_client(Ticket, "t")
    async with Saga(ctx) as saga:
        flight = await flights.reserve(1)
        saga.undo(flights.cancel, flight)  # error: not the id
        saga.undo(flights.cancel, flight.price)  # error: a Decimal for a str
        saga.undo(flights.cancel)  # error: no argument
        saga.undo(flights.cancel, flight.id, flight.id)  # error: two arguments
        saga.undo(flights.cancel.send, flight.price)  # error: a send takes the same
        saga.undo(flights.cancel(flight.id))  # error: called already
        saga.undo(refund, "key", Decimal(1))  # error: not async; it is `undo_step`
        saga.undo_step("refund", refund, 1, Decimal(1))  # error: an int for the key
        saga.undo_step("refund", refund, "key")  # error: no amount
        saga.undo_step(refund, "key", Decimal(1))  # error: no step

        await saga.call(flights.reserve, "1")  # error: a str for an int
        await saga.call(flights.reserve, 1).undo(flights.cancel)  # error: it takes the id, not the reservation
        await saga.call(flights.reserve, 1).undo(flights.cancel, lambda made: made.price)  # error: not the id
        await saga.call(flights.reserve, 1).undo(flights.cancel, lambda made: made.nothing)  # error: no such field
        await saga.call(flights.reserve, 1).undo_step("refund", refund)  # error: it takes two arguments
        await saga.run("refund", refund, "key", "1")  # error: a str for the amount
        price: str = (await saga.call(flights.reserve, 1)).price  # error: a Decimal
        saga.with_policy(UndoPolicy(rest="stop")).undo(flights.cancel, flight.id)  # error: no such policy
        await saga.lock(ticket)  # error: no Lockable
        await saga.lock(ctx.object_client(Seat, "s"), policy="read-stale")  # error: a policy of readers
        Saga(flights)  # error: no context
    with Saga(ctx):  # error: `async with`
        pass


async def fine(ctx: Context) -> Reservation:
    flights = ctx.service_client(Flights)
    async with Saga(ctx) as saga:
        await saga.lock(ctx.object_client(Seat, "s"), policy="wait")
        flight = await flights.reserve(1)
        saga.undo(flights.cancel, flight.id)
        saga.undo(flights.cancel.send, flight.id)
        saga.undo(release, flight)
        saga.undo_step("refund", refund, "key", Decimal(1))
        saga.undo_step("refund", refund, "key", amount=Decimal(1))
        await saga.call(flights.reserve, 1).undo(flights.let_go)
        await saga.call(flights.reserve, number=1).undo(flights.cancel, lambda made: made.id)
        await saga.call(flights.reserve, 1).undo(release).undo_step("forget", print)
        saga.pivot()
    return await flights.reserve(2)
