"""Random sagas with parallel branches and savepoints against their ledger, with crashes, cancels and kills.

Whatever comes when: each effect stays and the part it belongs to succeeded, or it is undone once and that failed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import pytest
from pydantic import BaseModel

from restate_patterns import App, Cancelled, Context, InvocationHandle, Killed, Saga, Service, handler
from restate_patterns.engine.errors import InvocationCompleted
from restate_patterns.testing import TestEnvironment
from restate_patterns.testing.crashes import CRASH_KINDS, Crashes, CrashPoint, never
from restate_patterns.testing.environment import environment
from tests.support.sagas.sagas import TWICE, Refused

Disturbance = Literal["nothing", "crash", "cancel", "kill", "crash and cancel"]
HOWS = ("call", "step", "thread", "before")
SEEDS_COUNT = int(os.environ.get("RANDOM_SAGAS", "40"))
LONGEST_S = 9

pytestmark = pytest.mark.timeout(240 + 10 * SEEDS_COUNT)


class Part(BaseModel):
    """An action, or parts one after the other, beside each other, or in a savepoint whose failure is caught."""

    shape: Literal["act", "sequence", "beside", "savepoint"]
    name: str
    how: str = "call"
    refused: bool = False
    wait_s: int = 0
    parts: list[Part] = []

    def names(self) -> Iterator[str]:
        """Give the names of its actions."""
        if self.shape == "act":
            yield self.name
        for part in self.parts:
            yield from part.names()

    def all_parts(self) -> Iterator[Part]:
        """Give it and the parts inside."""
        yield self
        for part in self.parts:
            yield from part.all_parts()


def draw(dice: random.Random, depth: int, name: str) -> Part:
    """Make a random saga."""
    if depth == 0 or dice.random() < 0.15:
        refused, how = dice.random() < 0.15, dice.choice(HOWS)
        return Part(shape="act", name=name, how=how, refused=refused, wait_s=dice.randrange(4))
    parts = [draw(dice, depth - 1, f"{name}{letter}") for letter in "abc"[: dice.randrange(1, 4)]]
    return Part(shape=dice.choice(("sequence", "beside", "beside", "savepoint")), name=name, parts=parts)


class Outcome(BaseModel):
    """What a saga came to."""

    failed: bool
    failed_savepoints: list[str]


@dataclass
class Book:
    """What has happened."""

    effects: list[str] = field(default_factory=list)

    async def note(self, what: str, refused: bool) -> None:
        """Have an effect, or refuse."""
        self.note_in_thread(what, refused)

    def note_in_thread(self, what: str, refused: bool) -> None:
        """Do the same in a thread."""
        if refused:
            raise Refused(what=what)
        self.effects.append(what)


@dataclass
class Yard(Service, name="RandomYard"):
    """Does and undoes, and takes its time before and after."""

    book: Book

    @handler
    async def do(self, ctx: Context, part: Part) -> str:
        await asyncio.sleep(part.wait_s)
        await ctx.run(f"do {part.name}", self.book.note, part.name, part.refused)
        await asyncio.sleep(part.wait_s)
        return part.name

    @handler
    async def undo(self, ctx: Context, name: str) -> None:
        await ctx.run(f"undo {name}", self.book.note, f"-{name}", False)


@dataclass
class RandomSagas(Service):
    """Runs them."""

    book: Book

    @handler
    async def run(self, ctx: Context, plan: Part) -> Outcome:
        failed_savepoints: list[str] = []
        try:
            async with Saga(ctx, policy=TWICE) as saga:
                await self._run(ctx, saga, plan, failed_savepoints)
        except Refused:
            return Outcome(failed=True, failed_savepoints=failed_savepoints)
        return Outcome(failed=False, failed_savepoints=failed_savepoints)

    async def _run(self, ctx: Context, saga: Saga, part: Part, failed: list[str]) -> None:
        if part.shape == "act":
            await self._act(ctx, saga, part)
        elif part.shape == "beside":
            await asyncio.gather(*[self._run(ctx, saga, each, failed) for each in part.parts])
        elif part.shape == "sequence":
            for each in part.parts:
                await self._run(ctx, saga, each, failed)
        else:
            try:
                async with saga.savepoint():
                    for each in part.parts:
                        await self._run(ctx, saga, each, failed)
            except Refused:
                failed.append(part.name)

    async def _act(self, ctx: Context, saga: Saga, part: Part) -> None:
        await asyncio.sleep(part.wait_s)
        yard = ctx.service_client(Yard)
        if part.how == "call":
            await saga.call(yard.do, part).undo(yard.undo)
            return
        note = self.book.note_in_thread if part.how == "thread" else self.book.note
        if part.how == "before":
            saga.undo(yard.undo, part.name)
            await saga.run(f"do {part.name}", note, part.name, part.refused)
            return
        name = part.name
        await saga.run(f"do {name}", note, name, part.refused).undo(yard.undo, lambda _: name)


async def play(seed: int, disturbance: Disturbance) -> None:
    """Run one saga, disturb it, and check the ledger."""
    dice = random.Random(f"{seed} {disturbance}")
    plan, book = draw(dice, 3, "x"), Book()
    crash_at = CrashPoint(dice.choice(CRASH_KINDS), dice.randrange(1, 25))
    crashes = Crashes(crash_at.__eq__ if "crash" in disturbance else never)
    async with environment(App([Yard(book), RandomSagas(book)]), replay_always=seed % 3 == 0, crashes=crashes) as env:
        handle = await env.client.service_client(RandomSagas).run.send(plan)
        await env.advance(timedelta(seconds=dice.randrange(LONGEST_S)))
        if "cancel" in disturbance:
            await handle.cancel()
        elif disturbance == "kill":
            with suppress(InvocationCompleted):
                await env.engine.kill(handle.id)
        outcome = await ended(env, handle)
        before = list(book.effects)
        await env.advance(timedelta(hours=1))
        assert book.effects == before, "nothing happens afterwards"
        check(plan, book.effects, outcome, disturbance, env.crash_count)


async def ended(env: TestEnvironment, handle: InvocationHandle[Outcome]) -> Outcome | None:
    """Give the outcome; None where the saga was cancelled or killed."""
    result = asyncio.ensure_future(handle.result())
    for _ in range(100):
        await env.advance(timedelta(seconds=1))
        if result.done():
            break
    try:
        return await asyncio.wait_for(result, 10)
    except (Cancelled, Killed):
        return None


def check(plan: Part, effects: list[str], outcome: Outcome | None, disturbance: Disturbance, crash_count: int) -> None:
    """Assert what must hold of the ledger."""
    undos = [effect[1:] for effect in effects if effect.startswith("-")]
    done = {effect for effect in effects if not effect.startswith("-")}
    how = {part.name: part.how for part in plan.all_parts() if part.shape == "act"}
    assert len(undos) - len(set(undos)) <= crash_count, "each is undone once"
    assert all(name in done or how[name] == "before" for name in undos), "only what has happened is undone"
    if disturbance == "kill":
        return
    failed = set(how)
    if outcome is not None and not outcome.failed:
        lost = [part for part in plan.all_parts() if part.name in outcome.failed_savepoints]
        failed = {name for part in lost for name in part.names()}
    left = (done & failed) - set(undos)
    if crash_count and "cancel" in disturbance:
        left = {name for name in left if how[name] not in ("step", "thread")}  # asked to stop in two processes
    assert not left, "what belongs to something that failed is undone"
    assert not set(undos) - failed, "what belongs to something that succeeded stays"


@pytest.mark.parametrize("disturbance", ["nothing", "crash", "cancel", "kill", "crash and cancel"])
def test_each_effect_stays_or_is_undone_once(disturbance: Disturbance, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    for seed in range(SEEDS_COUNT):
        try:
            asyncio.run(play(seed, disturbance))
        except BaseException as error:
            error.add_note(f"seed {seed}, {disturbance}")
            raise
