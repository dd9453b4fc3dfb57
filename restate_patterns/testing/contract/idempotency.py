"""Idempotency keys: the same key for the same handler is the same invocation."""

from __future__ import annotations

import asyncio

from restate_patterns.api.context import Context, ObjectContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.errors import Cancelled, IdempotencyKeyReused, InvalidInput, TerminalError
from restate_patterns.seam import Request, Target
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage


class Orders(Recording, Service, name="ContractOrders"):
    @handler
    async def place(self, ctx: Context, key: str) -> str:
        await ctx.run("place", self.seen.act, key, "placed")
        return ctx.invocation_id

    @handler
    async def held(self, ctx: Context, key: str) -> str:
        await ctx.run("hold", self.seen.hold, key, "held")
        return ctx.invocation_id

    @handler
    async def fail(self, ctx: Context, key: str) -> str:
        await ctx.run("fail", self.seen.act, key, "failed")
        raise TerminalError("sold out", code=410)

    @handler
    async def place_for(self, ctx: Context, key: str) -> list[str]:
        place = ctx.service_client(Orders).place.with_options(idempotency_key=key)
        first, second = await asyncio.gather(place(key), place(key))
        return [first, second, (await place.send(key)).id, await place.handle().result()]

    @handler
    async def refused(self, ctx: Context, key: str) -> list[int]:
        place = ctx.service_client(Orders).place.with_options(idempotency_key=key)
        codes: list[int] = []
        for ask in (place, place.send):
            try:
                await ask(f"not {key}")
            except IdempotencyKeyReused as error:
                codes.append(error.code)
        return codes


class Shelf(Recording, VirtualObject, name="ContractShelf"):
    @handler
    async def place(self, ctx: ObjectContext) -> str:
        return ctx.invocation_id

    @handler
    async def hold(self, ctx: ObjectContext) -> str:
        return await ctx.run("hold", self.seen.hold, ctx.key, "held")

    @handler
    async def place_too(self, ctx: ObjectContext) -> str:
        return ctx.invocation_id


DEFINITIONS = (Orders, Shelf)


@guarantee
async def bad_input_uses_up_no_key(stage: Stage) -> None:
    """A request whose argument is none is refused with 400, and its key is free for the right one."""
    key = stage.key()
    request = Request(Target("ContractOrders", "place"), b"17", {"content-type": "application/json"}, key)
    equal((await raised(InvalidInput, stage.caller.call(request, None))).code, 400)
    equal((await raised(InvalidInput, stage.caller.send(request, 0))).code, 400)
    place = stage.client.service_client(Orders).place.with_options(idempotency_key=key)
    equal(await place(key), await place(key))
    equal(stage.seen.count(key, "placed"), 1)


@guarantee
async def joins(stage: Stage) -> None:
    """A second request with the key gives the first one's result and runs nothing."""
    key = stage.key()
    place = stage.client.service_client(Orders).place.with_options(idempotency_key=key)
    first = await place(key)
    equal(await place(key), first)
    equal((await place.send(key)).id, first)
    equal(stage.seen.notes(key), ["placed"])


@guarantee
async def joins_while_it_runs(stage: Stage) -> None:
    """Requests with the key at the same time join one invocation."""
    key = stage.key()
    held = stage.client.service_client(Orders).held.with_options(idempotency_key=key)
    calls = [asyncio.ensure_future(held(key)) for _ in range(5)]
    await stage.seen.until(key, "held")
    sent = await held.send(key)
    stage.seen.open(key, "held")
    equal(set(await asyncio.gather(*calls)), {sent.id})
    equal(stage.seen.notes(key), ["held"])


@guarantee
async def failures_too(stage: Stage) -> None:
    """A failure is remembered like a result."""
    key = stage.key()
    fail = stage.client.service_client(Orders).fail.with_options(idempotency_key=key)
    for _ in range(2):
        error = await raised(TerminalError, fail(key))
        equal((error.code, error.message), (410, "sold out"))
    equal(stage.seen.notes(key), ["failed"])


@guarantee
async def another_argument(stage: Stage) -> None:
    """A request with the key and another argument is refused, inside and outside, and the first one's result stays."""
    key = stage.key()
    orders = stage.client.service_client(Orders)
    place = orders.place.with_options(idempotency_key=key)
    first = await place(key)
    error = await raised(IdempotencyKeyReused, place(f"not {key}"))
    equal(error.code, 422)
    await raised(IdempotencyKeyReused, place.send(f"not {key}"))
    equal(await orders.refused(key), [422, 422])
    equal(await place(key), first)
    equal(stage.seen.notes(key), ["placed"])


@guarantee
async def scope(stage: Stage) -> None:
    """The same key means something else for another handler and for another object."""
    key = stage.key()
    one, other = stage.client.object_client(Shelf, stage.key()), stage.client.object_client(Shelf, stage.key())
    calls = [one.place, one.place_too, other.place]
    ids = [await call.with_options(idempotency_key=key)() for call in calls]
    equal(len(set(ids)), 3, f"different ids in {ids}")
    equal(await one.place.with_options(idempotency_key=key)(), ids[0])


@guarantee
async def from_a_handler(stage: Stage) -> None:
    """Calls and sends of a handler with the key, and those of a client, are one invocation."""
    key = stage.key()
    ids = await stage.client.service_client(Orders).place_for(key)
    equal(len(set(ids)), 1, f"different ids in {ids}")
    place = stage.client.service_client(Orders).place.with_options(idempotency_key=key)
    equal(await place(key), ids[0])
    equal(stage.seen.notes(key), ["placed"])


@guarantee
async def found_by_key(stage: Stage) -> None:
    """The invocation is found by handler and key alone."""
    key = stage.key()
    place = stage.client.service_client(Orders).place.with_options(idempotency_key=key)
    sent = await place.send(key)
    equal(await place.handle().result(), sent.id)
    equal(await place.handle().output(), sent.id)


@guarantee
async def over_a_restart(stage: Stage) -> None:
    """Who asks again after a restart joins what was accepted before."""
    key = stage.key()
    sent = await stage.client.service_client(Orders).held.with_options(idempotency_key=key).send(key)
    await stage.seen.until(key, "held")
    await stage.restart()
    again = asyncio.ensure_future(
        stage.client.service_client(Orders).held.with_options(idempotency_key=key)(key),
    )
    stage.seen.open(key, "held")
    equal(await again, sent.id)
    true(stage.seen.count(key, "held") <= 2, "a second invocation ran")


@guarantee
async def freed_by_cancel(stage: Stage) -> None:
    """What is cancelled before it began has not happened: its idempotency key is free."""
    key = stage.key()
    shelf = stage.client.object_client(Shelf, key)
    holder = await shelf.hold.send()
    await stage.seen.until(key, "held")
    place = shelf.place.with_options(idempotency_key=key)
    first = await place.send()
    await first.cancel()
    second = await place.send()
    stage.seen.open(key, "held")
    equal(await holder.result(), "held")
    equal(await second.result(), second.id)
    true(second.id != first.id, "the key names what was cancelled")


@guarantee
async def cancelled_by_key(stage: Stage) -> None:
    """The invocation is cancelled by the handle of its key."""
    key = stage.key()
    held = stage.client.service_client(Orders).held.with_options(idempotency_key=key)
    await held.send(key)
    await stage.seen.until(key, "held")
    await held.handle().cancel()
    await raised(Cancelled, held.handle().result())
