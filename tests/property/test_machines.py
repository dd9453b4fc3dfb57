"""Random events on a state machine, against a model that knows nothing of the framework, with crashes and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restate_patterns import App, Client, ObjectContext, State, StateMachine, Status
from restate_patterns.engine.backend import Backend
from restate_patterns.testing.crashes import Crashes, after_commits
from restate_patterns.testing.environment import environment
from tests.support.bounds import PATIENCE_S
from tests.support.engines.hosting import BACKENDS, backend_of
from tests.support.programs.looms import EVENTS, Event, Loom, Model, Phase, check, send_and_check

EVENT = st.builds(Event, st.sampled_from(EVENTS), st.integers(1, 5))
HOURS = st.integers(1, 12)


@settings(max_examples=60)
@given(st.lists(EVENT | HOURS, max_size=25), st.sets(st.integers(1, 120), max_size=6), st.booleans())
def test_random_events_in_time_with_crashes(todo: list[Event | int], crashes: set[int], replay_always: bool) -> None:
    """What a machine is, remembers and answers is what the model says, whichever commits the process dies after."""

    async def run() -> None:
        plan = Crashes(after_commits(crashes.__contains__))
        async with environment(App([Loom()]), replay_always=replay_always, crashes=plan) as env:
            model = Model()
            for what in todo:
                if isinstance(what, int):
                    await env.advance(timedelta(hours=what))
                    model.advance(what)
                else:
                    await send_and_check(env.client, "loom", model, [what])
            await check(env.client, "loom", model)

    asyncio.run(run())


def events(seed: int, count: int) -> list[Event]:
    dice = Random(seed)
    return [Event(dice.choice(EVENTS), dice.randint(1, 5)) for _ in range(count)]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return backend_of(request, request.param, tmp_path)


@pytest.mark.anyio
async def test_random_events_over_restarts(backend: Backend) -> None:
    """Many machines at the same time; the program that hosts them leaves and comes back in between."""
    models = [Model() for _ in range(6)]
    keys = [f"loom-{number}" for number in range(len(models))]
    for life in range(2):
        async with App([Loom()]).start(backend) as client, asyncio.TaskGroup() as tasks:
            for number, (key, model) in enumerate(zip(keys, models, strict=True)):
                tasks.create_task(send_and_check(client, key, model, events(100 * life + number, 12)))


class Lamp(StateMachine[Phase]):
    """Goes out after a moment, and counts how often it did."""

    status = Status(Phase, initial=Phase.IDLE)
    count = State[int](default=0)

    @status.on(Phase.IDLE, Phase.DONE, to=Phase.SET)
    async def light(self, ctx: ObjectContext) -> None: ...

    @status.after(timedelta(milliseconds=300), Phase.SET, to=Phase.WEAVING)
    async def fade(self, ctx: ObjectContext) -> None:
        self.count.set(ctx, await self.count.get(ctx) + 1)

    @status.after(timedelta(milliseconds=300), Phase.WEAVING, to=Phase.TORN)
    async def go_out(self, ctx: ObjectContext) -> None:
        self.count.set(ctx, await self.count.get(ctx) + 1)

    @status.on(Phase.TORN, to=Phase.DONE)
    async def read(self, ctx: ObjectContext) -> int:
        return await self.count.get(ctx)


@asynccontextmanager
async def lamps(backend: Backend) -> AsyncGenerator[Client]:
    async with App([Lamp()]).start(backend) as client:
        yield client


@pytest.mark.anyio
async def test_timers_fire_once_after_a_restart_that_outlasts_them(backend: Backend) -> None:
    keys = [f"lamp-{number}" for number in range(5)]
    async with lamps(backend) as client:
        await asyncio.gather(*(client.object_client(Lamp, key).light() for key in keys))
    await asyncio.sleep(0.4)  # the program is away while the timers become due
    async with lamps(backend) as client:
        async with asyncio.timeout(PATIENCE_S):
            while {await client.object_client(Lamp, key).current() for key in keys} != {Phase.TORN}:
                await asyncio.sleep(0.02)
        for key in keys:
            lamp = client.object_client(Lamp, key)
            assert [change.event for change in await lamp.history()] == ["light", "fade", "go_out"]
            assert await lamp.read() == 2
