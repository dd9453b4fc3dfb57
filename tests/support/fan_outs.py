"""Programs that fan out over numbers: even ones are halved in a second, odd ones fail, those above 90 take an hour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from restate_patterns import (
    App,
    Cancelled,
    Context,
    Service,
    TerminalError,
    fan_out_services,
    handler,
)
from restate_patterns.testing import TestEnvironment, run_test

LONG_S = 3600.0


class Replays:
    """Whether handlers are replayed after each wait."""

    always = False


replays = Replays()


@pytest.fixture(params=[False, True], ids=["as they go", "replayed after each wait"], autouse=True)
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test of a file that imports this once as handlers go on, and once as they are replayed."""
    monkeypatch.setattr(replays, "always", request.param)


class Odd(TerminalError, code=422):
    """No even number."""

    message = "{number} is odd"
    number: int


@dataclass
class World:
    """What was done outside, and how much of it at a time."""

    done: list[str] = field(default_factory=list[str])
    under_way: int = 0
    most: int = 0
    weather: list[str] = field(default_factory=list[str])
    """What fails once with an error that is tried again."""

    async def act(self, what: str) -> str:
        if what in self.weather:
            self.weather.remove(what)
            raise ConnectionError(what)
        self.done.append(what)
        return what


@dataclass
class Numbers(Service):
    """Does something with one number."""

    world: World

    @handler
    async def half(self, ctx: Context, number: int) -> int:
        """Take a second for each; odd ones fail, those above 90 take an hour."""
        self.world.under_way += 1
        self.world.most = max(self.world.most, self.world.under_way)
        try:
            await asyncio.sleep(LONG_S if number > 90 else 1 + number / 100)
            if number % 2:
                raise Odd(number=number)
            return number // 2
        except Cancelled:
            await asyncio.sleep(5)
            await ctx.run("undo", self.world.act, f"undone {number}")
            raise
        finally:
            self.world.under_way -= 1

    @handler
    async def step(self, ctx: Context, number: int) -> int:
        """Do it in a step."""
        await ctx.run("act", self.world.act, f"did {number}")
        return number


Program = Callable[[Context, World], Awaitable[object]]


@dataclass
class Run(Service):
    """Runs what a test is about."""

    program: Program
    world: World

    @handler
    async def go(self, ctx: Context) -> str:
        """Give what it gives, in words."""
        try:
            return repr(await self.program(ctx, self.world))
        except TerminalError:
            self.world.done.append("failed")
            raise


@asynccontextmanager
async def running(program: Program, world: World) -> AsyncGenerator[TestEnvironment]:
    app = App([Run(program, world), Numbers(world), *fan_out_services()])
    async with run_test(app, replay_always=replays.always) as env:
        yield env


async def outcome_of(program: Program, world: World | None = None, *, seconds: float = 600) -> object:
    """Give what a program gives, or the terminal error it ends with."""
    async with running(program, world or World()) as env:
        sent = await env.client.service_client(Run).go.send()
        await env.advance(timedelta(seconds=seconds))
        try:
            return await sent.result()
        except TerminalError as error:
            return error


def half(ctx: Context) -> Any:
    return ctx.service_client(Numbers).half
