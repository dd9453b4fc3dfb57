"""Time, dice and ids inside a handler: the same on every replay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from typing_extensions import override

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.expect import equal, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage


class Facts(Recording, Service, name="ContractFacts"):
    @handler
    async def dice(self, ctx: Context, key: str) -> list[str]:
        rolled = [str(ctx.uuid4()), str(ctx.random.random()), str(ctx.random.randint(1, 10**9))]
        await asyncio.sleep(0.01)
        rolled += [str(ctx.uuid4()), str(ctx.random.random())]
        self.seen.note(key, " ".join(rolled))
        await ctx.run("hold", self.seen.hold, key, "hold")
        return rolled

    @handler
    async def times(self, ctx: Context, key: str) -> list[str]:
        loop = asyncio.get_running_loop()
        times = [(ctx.now(), loop.time())]
        await asyncio.sleep(0.03)
        times.append((ctx.now(), loop.time()))
        await ctx.run("step", self.seen.act, key, "step")
        times.append((ctx.now(), loop.time()))
        shown = [f"{now.isoformat()} {loop_s:.3f}" for now, loop_s in times]
        self.seen.note(key, " ".join(shown))
        await ctx.run("hold", self.seen.hold, key, "hold")
        (first, first_s), (second, second_s), (third, third_s) = times
        slept = (second - first) / timedelta(seconds=1)
        return [
            f"zone {first.utcoffset() == timedelta(0)}",
            f"slept {slept >= 0.03}",
            f"never back {third >= second}",
            f"loop agrees {abs(second_s - first_s - slept) < 0.002 and third_s >= second_s}",
        ]

    @handler
    async def logs(self, ctx: Context, key: str) -> None:
        ctx.logger.warning("%s before", key)
        await asyncio.sleep(0.01)
        await ctx.run("hold", self.seen.hold, key, "hold")
        ctx.logger.warning("%s after", key)

    @handler(retry=RetryPolicy(initial=timedelta(milliseconds=1)))
    async def logs_and_fails(self, ctx: Context, key: str) -> None:
        ctx.logger.warning("%s first", key)
        await ctx.run("step", self.seen.act, key, "step")
        ctx.logger.warning("%s second", key)
        self.seen.note(key, "attempt")
        for number in range(self.seen.count(key, "attempt")):
            ctx.logger.warning("%s number %d", key, number)
        if self.seen.count(key, "attempt") < 3:
            raise OSError("not yet")
        await asyncio.sleep(0.01)
        ctx.logger.warning("%s slept", key)
        await ctx.run("step", self.seen.act, key, "step")
        ctx.logger.warning("%s last", key)

    @handler
    async def effect_key(self, ctx: Context, key: str) -> str:
        return await ctx.run("effect", self.effect, key, str(ctx.uuid4()))

    async def effect(self, key: str, idempotency_key: str) -> str:
        """Be an action that is given a key of its own."""
        self.seen.note(key, idempotency_key)
        await self.seen.hold(key, "hold")
        return idempotency_key


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def logged(handler_name: str) -> Generator[list[str]]:
    """Keep what a handler logs."""
    lines = Lines()
    logger = logging.getLogger(f"{__name__}.ContractFacts.{handler_name}")  # noqa: TID251  the logger of a handler
    logger.addHandler(lines)
    logger.setLevel(logging.WARNING)
    try:
        yield lines.lines
    finally:
        logger.removeHandler(lines)


DEFINITIONS = (Facts,)


@guarantee
async def dice(stage: Stage) -> None:
    """`ctx.random` and `ctx.uuid4` give the same on each replay, and never the same twice."""
    key, other_key = stage.key(), stage.key()
    sent = await stage.client.service_client(Facts).dice.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    rolled = await stage.client.invocation(Facts.dice, sent.id).result()
    replayed = [note for note in stage.seen.notes(key) if note != "hold"]
    true(len(replayed) >= 2, "the handler was not replayed")
    equal(set(replayed), {" ".join(rolled)})
    stage.seen.open(other_key, "hold")
    other = await stage.client.service_client(Facts).dice(other_key)
    equal(len({*rolled, *other}), 10, "different rolls")


@guarantee
async def times(stage: Stage) -> None:
    """`ctx.now()` is aware, never goes back, agrees with the loop's clock, and is the same on each replay."""
    key = stage.key()
    sent = await stage.client.service_client(Facts).times.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    found = await stage.client.invocation(Facts.times, sent.id).result()
    equal(found, ["zone True", "slept True", "never back True", "loop agrees True"])
    replayed = [note for note in stage.seen.notes(key) if note not in ("hold", "step")]
    true(len(replayed) >= 2, "the handler was not replayed")
    equal(len(set(replayed)), 1, f"different times in {replayed}")


@guarantee
async def key_of_an_effect(stage: Stage) -> None:
    """An action that runs again after a crash is given the same idempotency key."""
    key = stage.key()
    sent = await stage.client.service_client(Facts).effect_key.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    found = await stage.client.invocation(Facts.effect_key, sent.id).result()
    equal(stage.seen.notes(key), [found, "hold"] * 2)


@guarantee
async def logs(stage: Stage) -> None:
    """What a handler logs is not logged again while it replays."""
    key = stage.key()
    with logged("logs") as lines:
        sent = await stage.client.service_client(Facts).logs.send(key)
        await stage.seen.until(key, "hold")
        await stage.restart()
        stage.seen.open(key, "hold")
        await stage.client.invocation(Facts.logs, sent.id).result()
    equal([line for line in lines if key in line], [f"{key} before", f"{key} after"])


@guarantee
async def logs_of_attempts_that_fail(stage: Stage) -> None:
    """What a handler logs behind the place where an earlier attempt failed is logged, and nothing twice."""
    key = stage.key()
    with logged("logs_and_fails") as lines:
        await stage.client.service_client(Facts).logs_and_fails(key)
    numbers = [f"number {number}" for number in range(3)]
    mine = [line for line in lines if key in line]
    equal(mine, [f"{key} {what}" for what in ("first", "second", *numbers, "slept", "last")])
