"""Failures: terminal errors that travel, everything else that is tried again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio
from pydantic import BaseModel

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.errors import TerminalError
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import QUICK

ONE_TRY = RetryPolicy(initial=timedelta(milliseconds=1), max_attempts=1, then="fail")
THREE_TRIES = RetryPolicy(initial=timedelta(milliseconds=1), max_attempts=3, then="fail")
TWO_TRIES_THEN_PAUSE = RetryPolicy(initial=timedelta(milliseconds=1), max_attempts=2, then="pause")


class Item(BaseModel):
    """A field of an error."""

    article: str
    price: Decimal


class OutOfStock(TerminalError, code=409):
    """There is nothing left."""

    item: Item
    until: datetime | None
    others: list[str]


class TooMany(TerminalError, code=429):
    message = "at most {limit} of {what}"
    what: str
    limit: int


STOCK = OutOfStock(
    item=Item(article="té", price=Decimal("1.50")), until=datetime(2030, 1, 2, tzinfo=UTC), others=["a", "b"]
)


FREE = {"trace": "4711", "ключ/🔑": "two\nlines", "": ""}
"""Metadata, which is any text."""


class Fails(Recording, Service, name="ContractFails"):
    @handler(raises=[OutOfStock])
    async def typed(self, ctx: Context) -> str:
        raise STOCK

    @handler
    async def composed(self, ctx: Context) -> str:
        raise TooMany(what="tickets", limit=4)

    @handler
    async def plain(self, ctx: Context) -> str:
        raise TerminalError("I'm a teapot: ☕", code=418)

    @handler
    async def with_metadata(self, ctx: Context, typed: bool) -> None:
        raise TooMany(what="tickets", limit=4, metadata=FREE) if typed else TerminalError("no", metadata=FREE)

    @handler
    async def counted(self, ctx: Context, key: str) -> str:
        await ctx.run("count", self.seen.act, key, "ran")
        raise TerminalError("no", code=418)

    @handler(retry=QUICK)
    async def weather(self, ctx: Context, key: str) -> str:
        port = await ctx.run("cast off", self.seen.act, key, "cast off")
        self.seen.note(key, "attempt")
        if self.seen.count(key, "attempt") < 4:
            raise RuntimeError("storm")
        return port

    @handler(retry=THREE_TRIES)
    async def hopeless(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "attempt")
        raise RuntimeError("no data yet")

    @handler(retry=TWO_TRIES_THEN_PAUSE)
    async def mended(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "attempt")
        if self.seen.count(key, "attempt") < 3:
            raise RuntimeError("a bug")
        return "mended"

    @handler(retry=QUICK)
    async def exits(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "attempt")
        if self.seen.count(key, "attempt") < 2:
            raise SystemExit(3)
        return "still here"

    @handler(retry=ONE_TRY)
    async def group(self, ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.fail_after(0.05, TooMany(what="first", limit=1)))
            group.create_task(asyncio.sleep(3600))
            group.create_task(self.fail_after(0.02, TooMany(what="second", limit=2)))

    async def fail_after(self, seconds: float, error: Exception) -> None:
        """Fail; a cancellation does not stop it."""
        try:
            await asyncio.sleep(seconds)
        finally:
            raise error

    @handler(retry=QUICK)
    async def mixed(self, ctx: Context, key: str) -> None:
        self.seen.note(key, "attempt")
        good = self.seen.count(key, "attempt") > 2
        async with asyncio.TaskGroup() as group:
            group.create_task(self.fail_after(0.01, TooMany(what="good", limit=1) if good else RuntimeError("bad")))
            group.create_task(self.fail_after(0.01, TooMany(what="terminal", limit=1)))

    @handler(retry=ONE_TRY)
    async def anyio_group(self, ctx: Context) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.fail_after, 0.01, TooMany(what="anyio", limit=1))
            group.start_soon(anyio.sleep, 3600)


class Asks(Recording, Service, name="ContractAsks"):
    @handler
    async def catches(self, ctx: Context) -> str:
        try:
            return await ctx.service_client(Fails).typed()
        except OutOfStock as error:
            return f"{error.code} {error.message} {error.item.price} {error.others}"

    @handler
    async def lets_through(self, ctx: Context) -> str:
        return await ctx.service_client(Fails).typed()

    @handler
    async def twice(self, ctx: Context) -> str:
        return await ctx.service_client(Asks).lets_through()

    @handler
    async def metadata(self, ctx: Context) -> list[dict[str, str]]:
        fails = ctx.service_client(Fails)
        found: list[dict[str, str]] = []
        for call in (fails.with_metadata(True), fails.with_metadata(False), ctx.run("step", self.fail_with, FREE)):
            try:
                await call
            except TerminalError as error:
                found.append(dict(error.metadata))
        return found

    async def fail_with(self, metadata: dict[str, str]) -> None:
        """Be an action that fails for good."""
        raise TerminalError("no", metadata=metadata)

    @handler(retry=QUICK)
    async def once(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.service_client(Fails).counted(key)
        except TerminalError as error:
            self.seen.note(key, "attempt")
            if self.seen.count(key, "attempt") < 3:
                raise RuntimeError("weather") from None
            return f"{error.code}"

    @handler
    async def one_by_one(self, ctx: Context) -> list[str]:
        fails = ctx.service_client(Fails)
        found = await asyncio.gather(fails.typed(), fails.plain(), fails.composed(), return_exceptions=True)
        return [type(each).__name__ for each in found]


DEFINITIONS = (Fails, Asks)


@guarantee
async def typed_outside(stage: Stage) -> None:
    """A terminal error arrives at a client as its class, with code, sentence and fields of any type."""
    error = await raised(OutOfStock, stage.client.service_client(Fails).typed())
    equal((error.code, error.message), (409, "There is nothing left."))
    equal((error.item, error.until, error.others), (STOCK.item, STOCK.until, STOCK.others))
    composed = await raised(TooMany, stage.client.service_client(Fails).composed())
    equal((composed.code, composed.message, composed.limit), (429, "at most 4 of tickets", 4))


@guarantee
async def typed_inside(stage: Stage) -> None:
    """A terminal error arrives at a calling handler as its class, with its fields."""
    found = await stage.client.service_client(Asks).catches()
    equal(found, "409 There is nothing left. 1.50 ['a', 'b']")


@guarantee
async def through_callers(stage: Stage) -> None:
    """A terminal error that nobody catches goes through all callers unchanged."""
    error = await raised(OutOfStock, stage.client.service_client(Asks).twice())
    equal((error.code, error.item, error.until, error.others), (409, STOCK.item, STOCK.until, STOCK.others))


@guarantee
async def plain(stage: Stage) -> None:
    """A plain terminal error keeps its code and its sentence."""
    error = await raised(TerminalError, stage.client.service_client(Fails).plain())
    equal((error.code, error.message), (418, "I'm a teapot: ☕"))


@guarantee
async def metadata(stage: Stage) -> None:
    """Metadata of a terminal error, any text by any name, arrives as it was given from calls and steps, and outside."""
    equal(await stage.client.service_client(Asks).metadata(), [FREE] * 3)
    fails = stage.client.service_client(Fails)
    typed = await raised(TooMany, fails.with_metadata(True))
    equal((dict(typed.metadata), typed.limit), (FREE, 4))
    sent = await fails.with_metadata.send(False)
    equal(dict((await raised(TerminalError, sent.result())).metadata), FREE)
    equal(dict((await raised(TerminalError, sent.output())).metadata), FREE)


@guarantee
async def by_handle(stage: Stage) -> None:
    """`result` and `output` of a handle raise the error that the handler ended with, each time."""
    sent = await stage.client.service_client(Fails).typed.send()
    await raised(OutOfStock, sent.result())
    await raised(OutOfStock, sent.result())
    await raised(OutOfStock, sent.output())


@guarantee
async def failed_call_is_recorded(stage: Stage) -> None:
    """A call that failed is not made again: its error is recorded in the caller like a result."""
    key = stage.key()
    equal(await stage.client.service_client(Asks).once(key), "418")
    equal(stage.seen.count(key, "ran"), 1)


@guarantee
async def in_their_places(stage: Stage) -> None:
    """`gather(return_exceptions=True)` gives each call's error in its place."""
    found = await stage.client.service_client(Asks).one_by_one()
    equal(found, ["OutOfStock", "TerminalError", "TooMany"])


@guarantee
async def weather_is_retried(stage: Stage) -> None:
    """Any other exception ends the attempt only: the next one gets the recorded steps and goes on."""
    key = stage.key()
    equal(await stage.client.service_client(Fails).weather(key), "cast off")
    equal(stage.seen.count(key, "cast off"), 1)
    true(stage.seen.count(key, "attempt") >= 4, "an attempt is missing")


@guarantee
async def retries_end_in_failure(stage: Stage) -> None:
    """A handler that used up its attempts under `then="fail"` ends with a 500 that says the cause."""
    key = stage.key()
    error = await raised(TerminalError, stage.client.service_client(Fails).hopeless(key))
    equal(error.code, 500)
    true("no data yet" in error.message, f"the sentence does not say the cause: {error.message}")
    equal(stage.seen.count(key, "attempt"), 3)


@guarantee
async def retries_end_in_pause(stage: Stage) -> None:
    """A handler that used up its attempts under `then="pause"` waits for a person, and goes on when resumed."""
    key = stage.key()
    sent = await stage.client.service_client(Fails).mended.send(key)
    reason = await stage.paused_because(sent.id)
    true("a bug" in reason, f"the reason does not say the cause: {reason}")
    equal(stage.seen.count(key, "attempt"), 2)
    await stage.admin.resume(sent.id)
    equal(await sent.result(), "mended")


@guarantee
async def no_stack(stage: Stage) -> None:
    """No stack of the handler is sent to its callers."""
    for call in (stage.client.service_client(Fails).typed(), stage.client.service_client(Fails).hopeless(stage.key())):
        try:
            await call
        except TerminalError as error:
            shown = f"{error.message} {dict(error.metadata)}"
            true("Traceback" not in shown and "failures.py" not in shown, f"a stack was sent: {shown}")


@guarantee
async def exit_fails_the_attempt(stage: Stage) -> None:
    """`SystemExit` in a handler fails its attempt, not the process."""
    equal(await stage.client.service_client(Fails).exits(stage.key()), "still here")


@guarantee
async def group_of_terminal_errors(stage: Stage) -> None:
    """A group of errors that are all terminal is terminal: the first by order of the tasks, in both libraries."""
    error = await raised(TooMany, stage.client.service_client(Fails).group())
    equal((error.what, error.code), ("first", 429))
    true("second" in error.metadata.get("error.also", ""), f"the other one is missing: {dict(error.metadata)}")
    equal((await raised(TooMany, stage.client.service_client(Fails).anyio_group())).what, "anyio")


@guarantee
async def mixed_group(stage: Stage) -> None:
    """A group with an error that is not terminal is tried again."""
    key = stage.key()
    equal((await raised(TooMany, stage.client.service_client(Fails).mixed(key))).what, "good")
    true(stage.seen.count(key, "attempt") >= 3, "the group was taken as terminal")
