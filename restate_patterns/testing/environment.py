"""An app under test: on the real engine in memory, with time that the test drives and crashes on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from typing_extensions import override

from restate_patterns.client import Client
from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.limits import INACTIVITY_TIMEOUT_MS, SETTLE_TIMEOUT_S
from restate_patterns.testing.caller import Engines, SurvivingCaller
from restate_patterns.testing.clock import VirtualClock

if TYPE_CHECKING:
    from restate_patterns.app import App

_QUIET_TURNS = 3


CrashPlan: TypeAlias = Callable[[int], bool]
"""Tells whether the process dies after the commit of this number, counted from 1."""


def never(commit: int) -> bool:
    """Let the process live."""
    return False


class CrashingStore(Store):
    """A store in memory after some of whose commits the process counts as dead."""

    def __init__(self, plan: CrashPlan, engines: Engines) -> None:
        super().__init__(":memory:")
        self.commit_count = 0
        self.crash_count = 0
        self._plan = plan
        self._engines = engines

    @override
    def commit(self) -> None:
        super().commit()
        self.commit_count += 1
        if self._plan(self.commit_count):
            self.crash_count += 1
            self._engines.die()


class TestEnvironment(Engines):
    """A running app, a client of it, and its clock. Made by `run_test`.

    Calls through `client` survive crashes: they are asked again, under an idempotency key.
    """

    __test__: ClassVar[bool] = False

    client: Client

    def __init__(self, app: App, *, replay_always: bool, crash_plan: CrashPlan) -> None:
        self._app = app
        self._timeout_ms = 0 if replay_always else INACTIVITY_TIMEOUT_MS
        self._clock = VirtualClock()
        self._store = CrashingStore(crash_plan, self)
        self._crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._up = asyncio.Event()
        self._restarting: asyncio.Task[None] | None = None
        self.engine = self._new_engine()
        self.client = Client.over(SurvivingCaller(self))

    def _new_engine(self) -> Engine:
        return Engine(self._app.deployment, self._store, self._clock, inactivity_timeout_ms=self._timeout_ms)

    async def start(self) -> None:
        """Start the engine."""
        await self.engine.start()
        if self._restarting is None:
            self._up.set()

    async def stop(self) -> None:
        """Stop the engine, after a restart that is under way."""
        if self._restarting is not None:
            await self._restarting
        await self.engine.stop()

    @property
    def crash_count(self) -> int:
        """How many planned crashes came."""
        return self._store.crash_count

    @property
    def clock(self) -> VirtualClock:
        """The clock that stands still until it is told to go on."""
        return self._clock

    @override
    async def running(self) -> Engine:
        await self._up.wait()
        return self.engine

    @override
    def crashed(self) -> asyncio.Future[None]:
        return self._crashed

    @property
    @override
    def down(self) -> bool:
        return not self._up.is_set()

    @override
    def die(self) -> None:
        if self._restarting is not None and not self._restarting.done():
            return
        self.engine.die()
        self._up.clear()
        self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        await self.engine.crash()
        self.engine = self._new_engine()
        await self.engine.start()
        self._crashed.set_result(None)
        self._crashed = asyncio.get_running_loop().create_future()
        self._up.set()

    async def crash(self) -> None:
        """Let the process die here and start it again; what was not durable is lost."""
        await self._up.wait()
        self.die()
        await self._up.wait()

    def now(self) -> datetime:
        """Return the time of the clock, in UTC."""
        return datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC)

    async def settle(self) -> None:
        """Wait until nothing more happens by itself: all that is left waits for time or for the outside.

        Raises:
            TimeoutError: It went on for more than a minute of real time.
        """
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            turns = 0
            while turns < _QUIET_TURNS:
                await asyncio.sleep(0)
                await self._up.wait()
                if self.engine.core.quiet:
                    turns += 1
                else:
                    turns = 0
                    if self.engine.core.steps.any_running():
                        await asyncio.sleep(0.001)

    async def advance(self, by: timedelta, /) -> None:
        """Let time pass. What becomes due happens in order, each with the clock at its time."""
        await self.settle()
        end_ms = self._clock.monotonic_ms() + by / timedelta(milliseconds=1)
        while self._clock.step_to(end_ms):
            await self.settle()


@asynccontextmanager
async def run_test(app: App, *, replay_always: bool = False) -> AsyncGenerator[TestEnvironment]:
    """Run an app on the engine in memory, under a clock that stands still until the test moves it.

        async with run_test(app) as env:
            cart = env.client.object_client(Cart, "ann")
            await cart.add_ticket("A1")
            await env.advance(timedelta(minutes=15))

    Args:
        app: What to run.
        replay_always: Replay handlers at every wait, which finds code that is not deterministic.
    """
    async with environment(app, replay_always=replay_always, crash_plan=never) as env:
        yield env


@asynccontextmanager
async def environment(app: App, *, replay_always: bool, crash_plan: CrashPlan) -> AsyncGenerator[TestEnvironment]:
    """Run an app whose process dies by a plan and starts again."""
    env = TestEnvironment(app, replay_always=replay_always, crash_plan=crash_plan)
    await env.start()
    try:
        yield env
    finally:
        await env.stop()
