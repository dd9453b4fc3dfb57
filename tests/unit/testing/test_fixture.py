"""The fixture works under each plugin that runs async tests, and costs nobody else an import."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import pytest_asyncio

from restate_patterns import App, ObjectContext, VirtualObject, handler
from restate_patterns.testing import EndlessWait, TestEnvironment
from restate_patterns.testing.fixtures import Durable
from tests.support.bounds import PATIENCE_S


class Seat(VirtualObject):
    """Held for a quarter of an hour."""

    @handler
    async def hold(self, ctx: ObjectContext) -> str:
        await asyncio.sleep(900)
        return ctx.key


async def hold(env: TestEnvironment) -> None:
    """Use all of an environment: its client, its clock, a crash, and the end of a wait that has none."""
    seat = env.client.object_client(Seat, "A1")
    handle = await seat.hold.send()
    with pytest.raises(EndlessWait, match=r"Seat/A1/hold .* waits for a timer that is due in 15 min"):
        await handle.result()
    await env.crash()
    holding = asyncio.create_task(seat.hold())
    await env.advance(timedelta(minutes=30))
    assert await handle.result() == await holding == "A1"


@pytest.mark.anyio
async def test_under_anyio(durable: Durable) -> None:
    async with durable(App([Seat()])) as env:
        await hold(env)


@pytest.mark.asyncio
async def test_under_pytest_asyncio(durable: Durable) -> None:
    async with durable(App([Seat()]), replay_always=True) as env:
        await hold(env)


@pytest_asyncio.fixture
async def seats(durable: Durable) -> AsyncGenerator[TestEnvironment]:
    """An environment that a fixture of the user's keeps."""
    async with durable(App([Seat()])) as env:
        yield env


@pytest.mark.asyncio
async def test_kept_by_a_fixture_under_pytest_asyncio(seats: TestEnvironment) -> None:
    await hold(seats)


@pytest.fixture
async def anyio_seats(durable: Durable) -> AsyncGenerator[TestEnvironment]:
    """The same for anyio."""
    async with durable(App([Seat()])) as env:
        yield env


@pytest.mark.anyio
async def test_kept_by_a_fixture_under_anyio(anyio_seats: TestEnvironment) -> None:
    await hold(anyio_seats)


def test_without_a_plugin(durable: Durable) -> None:
    async def test() -> None:
        async with durable(App([Seat()])) as env:
            await hold(env)

    asyncio.run(test())


class TestInTheWaysOfAFolder:
    """What the guide says: a fixture of the same name lets each test run in both ways."""

    @pytest.fixture(params=[False, True])
    def durable(self, durable: Durable, request: pytest.FixtureRequest) -> Durable:
        return functools.partial(durable, replay_always=request.param)

    @pytest.mark.asyncio
    async def test_each(self, durable: Durable) -> None:
        async with durable(App([Seat()])) as env:
            await hold(env)


def test_nobody_else_imports_pytest() -> None:
    program = "import sys, restate_patterns.testing; sys.exit('pytest' in sys.modules or 'sqlite3' not in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)
