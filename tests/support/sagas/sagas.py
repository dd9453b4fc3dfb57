"""Services for tests of sagas: a shop whose every effect, and every failure, the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType

from pydantic import BaseModel

from restate_patterns import (
    App,
    Context,
    InvocationHandle,
    RetryPolicy,
    SagaRecord,
    Service,
    TerminalError,
    UndoPolicy,
    handler,
    saga_services,
)
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.testing import TestEnvironment, run_test

QUICK = RetryPolicy(initial=timedelta(milliseconds=10), max_attempts=2, then="fail")
TWICE = UndoPolicy(retry=QUICK)


class Refused(TerminalError, code=402):
    """It was refused."""

    what: str


class Receipt(BaseModel):
    """The result of an action; its id is what undoes it."""

    id: str


@dataclass
class World:
    """What has happened, and what is to fail."""

    effects: list[str] = field(default_factory=list)
    """Every effect, in order, repetitions included."""
    failing: dict[str, int | None] = field(default_factory=dict)
    """How often an effect is still refused; None for always."""

    crash_at: str | None = None
    """Where an attempt of a handler crashes, once."""

    def crash_once(self, place: str) -> None:
        """Crash the attempt, if this is the place."""
        if place == self.crash_at:
            self.crash_at = None
            raise ConnectionError(f"crashed {place}")

    async def do(self, what: str) -> None:
        """Have an effect, or refuse."""
        left = self.failing.get(what, 0)
        if left is None or left > 0:
            if left is not None:
                self.failing[what] = left - 1
            self.effects.append(f"refused {what}")
            raise Refused(what=what)
        self.effects.append(what)

    def flaky(self, what: str) -> None:
        """Fail in a way that is worth another try."""
        self.effects.append("tried")
        if self.failing.get(what):
            raise ConnectionError("not now")

    async def count(self, what: str) -> int:
        """Have an effect, and give 1."""
        await self.do(what)
        return 1


@dataclass
class Shop(Service):
    """Does and undoes."""

    world: World

    @handler(raises=[Refused])
    async def do(self, ctx: Context, what: str) -> Receipt:
        await ctx.run(f"do {what}", self.world.do, what)
        return Receipt(id=what)

    @handler(raises=[Refused])
    async def undo(self, ctx: Context, what: str) -> None:
        await ctx.run(f"undo {what}", self.world.do, f"-{what}")

    @handler
    async def slow(self, ctx: Context, what: str) -> Receipt:
        """Do it, and answer an hour later."""

        await ctx.run(f"do {what}", self.world.do, what)
        await asyncio.sleep(3600)
        return Receipt(id=what)


Body = Callable[["Run", Context, Shop, World], Awaitable[object]]


@dataclass
class Run(Service):
    """Runs the body of a test as a handler."""

    world: World
    body: Body
    records: list[SagaRecord] = field(default_factory=list)

    @handler
    async def run(self, ctx: Context) -> str:
        return str(await self.body(self, ctx, ctx.service_client(Shop), self.world))


@dataclass
class Bench:
    env: TestEnvironment
    world: World

    async def run(self) -> str:
        handle = await self.env.client.service_client(Run).run.send()
        return await self.end(handle)

    async def end(self, handle: InvocationHandle[str]) -> str:
        result = asyncio.ensure_future(handle.result())
        for _ in range(50):
            await self.env.advance(timedelta(minutes=5))
            if result.done():
                return result.result()
        result.cancel()
        raise AssertionError("it does not end")

    async def why_paused(self, invocation_id: str) -> str:
        """Give the reason why an invocation is paused."""
        view = (await self.env.engine.describe_invocation(invocation_id)).view
        assert view.status is InvocationStatus.PAUSED, view
        return str(view.last_failure)


class bench:  # noqa: N801 - reads as a block
    """An app that runs the body, replaying at every wait unless told otherwise."""

    def __init__(self, body: Body, *, replay_always: bool = True, **failing: int | None) -> None:
        self.world = World(failing={name.replace("_", "-"): times for name, times in failing.items()})
        app = App([Shop(self.world), Run(self.world, body), *saga_services()])
        self._running = run_test(app, replay_always=replay_always)

    async def __aenter__(self) -> Bench:
        return Bench(await self._running.__aenter__(), self.world)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._running.__aexit__(kind, error, trace)
