"""An app under test: on the real engine in memory, with time that the test drives and crashes on demand."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from restate_patterns.client import Client
from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.store import Store
from restate_patterns.limits import INACTIVITY_TIMEOUT_MS, SETTLE_TIMEOUT_S
from restate_patterns.testing.caller import Engines, SurvivingCaller
from restate_patterns.testing.clock import START, VirtualClock, unix_ms
from restate_patterns.testing.crashes import Crashes
from restate_patterns.testing.crashing_steps import CrashingDeployment, Process
from restate_patterns.testing.endless_waits import EndlessWaits

if TYPE_CHECKING:
    from restate_patterns.app import App

_QUIET_TURNS = 3


class CrashingStore(Store):
    """A store in memory after whose commits the process may die."""

    def __init__(self, crashes: Crashes) -> None:
        super().__init__(":memory:")
        self._crashes = crashes

    @override
    def commit(self) -> None:
        super().commit()
        self._crashes.reached("commit", f"after commit {self._crashes.reached_counts['commit'] + 1}")


class TestEnvironment(Engines):
    """A running app, a client of it, and its clock. Made by `run_test`.

    Calls through `client` survive crashes: they are asked again, under an idempotency key.
    """

    __test__: ClassVar[bool] = False

    client: Client
    """Calls the app, through crashes."""

    engine: Engine
    """What operators do: `await env.engine.resume(invocation_id)`, `kill`, `pause`. Another one after each crash."""

    def __init__(self, app: App, *, replay_always: bool, crashes: Crashes, start_ms: int) -> None:
        self._app = app
        self._timeout_ms = 0 if replay_always else INACTIVITY_TIMEOUT_MS
        self._clock = VirtualClock(start_ms)
        self._crashes = crashes
        self._store = CrashingStore(crashes)
        self._process = Process(crashes)
        self._crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._up = asyncio.Event()
        self._restarting: asyncio.Task[None] | None = None
        self.engine = self._new_engine()
        self._caller = SurvivingCaller(self, EndlessWaits(self))
        self.client = Client.over(self._caller)

    def _new_engine(self) -> Engine:
        deployment = CrashingDeployment(self._app.deployment, self._process)
        return Engine(deployment, self._store, self._clock, inactivity_timeout_ms=self._timeout_ms)

    async def start(self) -> None:
        """Start the engine, and do what the app does at each start."""
        self._crashes.begin(self.die)
        await self.engine.start()
        if self._restarting is None:
            self._up.set()
        await self._app.deployment.started(self._caller)

    async def stop(self) -> None:
        """Stop the engine, after a restart that is under way."""
        if self._restarting is not None:
            await self._restarting
        self._crashes.end()
        await self.engine.stop()

    @property
    def crash_count(self) -> int:
        """How many planned crashes came."""
        return len(self._crashes.places)

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
        if self._process.dead:
            return
        self._process.dead = True
        self.engine.die()
        self._up.clear()
        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        while self._process.dead:  # it may die again while it starts
            await self.engine.crash()
            self._process = Process(self._crashes)
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
        self._expire_on_time(end_ms)
        while self._clock.step_to(end_ms):
            await self.settle()
            self._expire_on_time(end_ms)

    def _expire_on_time(self, end_ms: float) -> None:
        """Let the engine look for what is expired only when something is: it would once a minute."""
        left_ms = end_ms - self._clock.monotonic_ms()
        self.engine.expire_on_time(self.engine.core.log.now_ms() + math.floor(left_ms))


@asynccontextmanager
async def run_test(
    app: App, *, replay_always: bool = False, start: datetime = START
) -> AsyncGenerator[TestEnvironment]:
    """Run an app on the engine in memory, under a clock that stands still until the test moves it.

        async with run_test(app) as env:
            cart = env.client.object_client(Cart, "ann")
            await cart.add_ticket("A1")
            await env.advance(timedelta(minutes=15))

    Args:
        app: What to run.
        replay_always: Replay handlers at every wait, which finds code that is not deterministic.
        start: The time at which the clock stands first, with its zone, 1970 or later. Default: 2030-01-01 00:00 UTC.

    Raises:
        UsageError: `start` has no zone, or is before 1970.
    """
    async with environment(app, replay_always=replay_always, start=start) as env:
        yield env


@asynccontextmanager
async def environment(
    app: App, *, replay_always: bool = False, start: datetime = START, crashes: Crashes | None = None
) -> AsyncGenerator[TestEnvironment]:
    """Run an app whose process dies by a plan and starts again."""
    start_ms = unix_ms(start)
    env = TestEnvironment(app, replay_always=replay_always, crashes=crashes or Crashes(), start_ms=start_ms)
    await env.start()
    try:
        yield env
    finally:
        await env.stop()
