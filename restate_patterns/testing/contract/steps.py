"""Steps: at least once until recorded, never again after; retries of their own."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import datetime, timedelta

from pydantic import BaseModel

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.errors import StepFailed, TerminalError
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

QUICK = RetryPolicy(initial=timedelta(milliseconds=1), maximum=timedelta(milliseconds=5))
TWICE_THEN_FAIL = Step("twice", retry=RetryPolicy(initial=timedelta(milliseconds=1), max_attempts=2, then="fail"))
TWICE_THEN_PAUSE = Step("twice", retry=RetryPolicy(initial=timedelta(milliseconds=1), max_attempts=2, then="pause"))
SLOW_TRIES = Step("slow", retry=RetryPolicy(initial=timedelta(milliseconds=300), factor=1, max_attempts=3, then="fail"))
ONE_TRY_AT_A_TIME = Step("limited", retry=QUICK, timeout=timedelta(milliseconds=60))
_colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


class Declined(TerminalError, code=402):
    """The card was declined."""

    reason: str
    limit: int


class Receipt(BaseModel):
    """What a step gives that is no plain JSON."""

    number: int
    at: datetime


class Steps(Recording, Service, name="ContractSteps"):
    @handler
    async def two(self, ctx: Context, key: str) -> list[str]:
        first = await ctx.run("first", self.seen.act, key, "first")
        second = await ctx.run("second", self.seen.hold, key, "second")
        third = await ctx.run("third", self.seen.act_in_thread, key, "third")
        return [first, second, third]

    @handler
    async def same_names(self, ctx: Context, key: str) -> list[str]:
        return [await ctx.run("step", self.seen.act, key, text) for text in ("a", "b", "c")]

    @handler
    async def typed(self, ctx: Context, key: str) -> list[str]:
        receipt = await ctx.run("receipt", self.receipt, key)
        await ctx.run("hold", self.seen.hold, key, "hold")
        return [type(receipt).__name__, receipt.at.isoformat(), str(receipt.number)]

    async def receipt(self, key: str) -> Receipt:
        """Be a step; each time with another number."""
        self.seen.note(key, "receipt")
        return Receipt(number=self.seen.count(key, "receipt"), at=datetime.fromisoformat("2030-01-02T03:04:05.678Z"))

    async def fails_until(self, key: str, count: int) -> str:
        """Fail until it was tried so often."""
        self.seen.note(key, "try")
        if self.seen.count(key, "try") < count:
            raise ConnectionError("no route")
        return "worked"

    @handler
    async def flaky(self, ctx: Context, key: str) -> list[str]:
        flaky = ctx.run(Step("flaky", retry=QUICK), self.fails_until, key, 6)
        steady = ctx.run("steady", self.seen.hold, key, "steady")
        return list(await asyncio.gather(flaky, steady))

    @handler
    async def declined(self, ctx: Context, key: str) -> str:
        try:
            await ctx.run("charge", self.decline, key)
        except Declined as error:
            await ctx.run("hold", self.seen.hold, key, "hold")
            return f"{error.code} {error.reason} {error.limit}"
        return "charged"

    async def decline(self, key: str) -> None:
        """Fail for good."""
        self.seen.note(key, "charge")
        raise Declined(reason="over the limit", limit=100)

    @handler
    async def gives_up(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.run(TWICE_THEN_FAIL, self.fails_until, key, 99)
        except StepFailed as error:
            return f"{error.step}: {error.cause}"

    @handler
    async def gives_up_uncaught(self, ctx: Context, key: str) -> str:
        return await ctx.run(TWICE_THEN_FAIL, self.fails_until, key, 99)

    @handler
    async def pauses(self, ctx: Context, key: str) -> str:
        return await ctx.run(TWICE_THEN_PAUSE, self.fails_until, key, 4)

    @handler
    async def counted(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.run(SLOW_TRIES, self.fails_until, key, 99)
        except StepFailed:
            return "gave up"

    @handler
    async def limited(self, ctx: Context, key: str) -> str:
        return await ctx.run(ONE_TRY_AT_A_TIME, self.hangs_at_first, key)

    async def hangs_at_first(self, key: str) -> str:
        """Hang on the first try."""
        self.seen.note(key, "try")
        if self.seen.count(key, "try") == 1:
            await asyncio.sleep(3600)
        return "worked"

    @handler
    async def in_context(self, ctx: Context) -> list[str]:
        _colour.set("red")
        red = await ctx.run("colour", colour)
        _colour.set("blue")
        return [red, await ctx.run("colour", colour_in_thread)]

    @handler
    async def adopted(self, ctx: Context, key: str) -> list[str]:
        async def waits() -> str:
            for _ in range(5):
                await asyncio.sleep(0.005)
            await ctx.run("open", self.seen.open, key, "long")
            return "waited"

        return list(await asyncio.gather(ctx.run("long", self.seen.hold, key, "long"), waits()))

    @handler(retry=QUICK)
    async def beside_a_failure(self, ctx: Context, key: str) -> list[str]:
        async def fails() -> str:
            await ctx.run("begun", self.seen.until, key, "long")
            self.seen.note(key, "attempt")
            if self.seen.count(key, "attempt") < 4:
                raise RuntimeError("weather")
            await ctx.run("open", self.seen.open, key, "long")
            return "passed"

        return list(await asyncio.gather(ctx.run("long", self.seen.hold, key, "long"), fails()))

    @handler
    async def many(self, ctx: Context, key: str) -> list[str]:
        names = [f"{number}" for number in range(200)]
        return list(await asyncio.gather(*(ctx.run("one of many", self.seen.act, key, name) for name in names)))


async def colour() -> str:
    """Tell the context variable."""
    return _colour.get()


def colour_in_thread() -> str:
    """Tell the context variable."""
    return _colour.get()


DEFINITIONS = (Steps,)


@guarantee
async def recorded_never_again(stage: Stage) -> None:
    """A step whose result was recorded is not run again; one that was interrupted is."""
    key = stage.key()
    sent = await stage.client.service_client(Steps).two.send(key)
    await stage.seen.until(key, "second")
    await stage.restart()
    stage.seen.open(key, "second")
    equal(await stage.client.invocation(Steps.two, sent.id).result(), ["first", "second", "third"])
    equal(stage.seen.notes(key), ["first", "second", "second", "third"])


@guarantee
async def same_name(stage: Stage) -> None:
    """Steps may have the same name; each gets its own result."""
    equal(await stage.client.service_client(Steps).same_names(stage.key()), ["a", "b", "c"])


@guarantee
async def typed_on_replay(stage: Stage) -> None:
    """The result of a step is of its annotated type, on replay as well, and the one that was recorded."""
    key = stage.key()
    sent = await stage.client.service_client(Steps).typed.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    found = await stage.client.invocation(Steps.typed, sent.id).result()
    equal(found, ["Receipt", "2030-01-02T03:04:05.678000+00:00", "1"])
    equal(stage.seen.count(key, "receipt"), 1)


@guarantee
async def retried_alone(stage: Stage) -> None:
    """A failing step is tried again by itself: the step beside it is not started anew."""
    key = stage.key()
    sent = await stage.client.service_client(Steps).flaky.send(key)
    await stage.seen.until(key, "try", 6)
    stage.seen.open(key, "steady")
    equal(await sent.result(), ["worked", "steady"])
    equal(stage.seen.count(key, "try"), 6)
    equal(stage.seen.count(key, "steady"), 1)


@guarantee
async def terminal_error_is_a_result(stage: Stage) -> None:
    """A terminal error of an action is recorded, with its fields, and neither tried again nor run again."""
    key = stage.key()
    sent = await stage.client.service_client(Steps).declined.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    equal(await stage.client.invocation(Steps.declined, sent.id).result(), "402 over the limit 100")
    equal(stage.seen.count(key, "charge"), 1)


@guarantee
async def exhausted_fails(stage: Stage) -> None:
    """A step that used up its tries under `then="fail"` raises StepFailed, which says the step and the cause."""
    key = stage.key()
    found = await stage.client.service_client(Steps).gives_up(key)
    true(found.startswith("twice: ") and "no route" in found, f"the error says {found!r}")
    equal(stage.seen.count(key, "try"), 2)
    error = await raised(StepFailed, stage.client.service_client(Steps).gives_up_uncaught(stage.key()))
    equal((error.code, error.step), (500, "twice"))


@guarantee
async def exhausted_pauses(stage: Stage) -> None:
    """A step that used up its tries under `then="pause"` pauses; resumed, it has its tries anew."""
    key = stage.key()
    sent = await stage.client.service_client(Steps).pauses.send(key)
    reason = await stage.paused_because(sent.id)
    true("no route" in reason, f"the reason does not say the cause: {reason}")
    equal(stage.seen.count(key, "try"), 2)
    await stage.admin.resume(sent.id)
    equal(await sent.result(), "worked")
    equal(stage.seen.count(key, "try"), 4)


@guarantee
async def tries_count_over_a_restart(stage: Stage) -> None:
    """The tries that failed count also when the process died in between."""
    key = stage.key()
    sent = await stage.client.service_client(Steps).counted.send(key)
    await stage.seen.until(key, "try", 2)
    await stage.client.service_client(Steps).same_names(stage.key())  # its answer makes durable what came before
    await stage.restart()
    equal(await stage.client.invocation(Steps.counted, sent.id).result(), "gave up")
    equal(stage.seen.count(key, "try"), 3)


@guarantee
async def never_twice_at_once(stage: Stage) -> None:
    """An action that runs while its handler leaves memory and is replayed is not started a second time."""
    key = stage.key()
    equal(await stage.client.service_client(Steps).adopted(key), ["long", "waited"])
    equal(stage.seen.notes(key), ["long"])


@guarantee
async def adopted_by_the_next_attempt(stage: Stage) -> None:
    """An action that runs while its handler fails is taken over by the next attempt, not started again."""
    key = stage.key()
    equal(await stage.client.service_client(Steps).beside_a_failure(key), ["long", "passed"])
    equal(stage.seen.count(key, "long"), 1)


@guarantee
async def timeout_of_a_try(stage: Stage) -> None:
    """A try that takes longer than the step's timeout is stopped and counts as failed."""
    key = stage.key()
    equal(await stage.client.service_client(Steps).limited(key), "worked")
    equal(stage.seen.count(key, "try"), 2)


@guarantee
async def context_variables(stage: Stage) -> None:
    """An action sees the context variables as they are where the handler asks for it, in a thread too."""
    equal(await stage.client.service_client(Steps).in_context(), ["red", "blue"])


@guarantee
async def many_at_once(stage: Stage) -> None:
    """Two hundred steps of one name at once each get their own result, and each is run once."""
    key = stage.key()
    names = [f"{number}" for number in range(200)]
    equal(await stage.client.service_client(Steps).many(key), names)
    equal(sorted(stage.seen.notes(key)), sorted(names))
