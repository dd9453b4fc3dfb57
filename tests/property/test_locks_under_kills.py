"""Sagas over one record, one of which is killed at any time: the others go on, and the record is free in the end.

On a kill no code of the victim runs, so nothing here may depend on it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

import pytest

from restate_patterns import App, InvocationHandle, TerminalError, saga_services
from restate_patterns.engine.errors import EngineError
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test
from tests.property.test_semantic_locks import Account, Schedule, Worker
from tests.support.bounds import PATIENCE_S

Name = Literal["one", "two", "three"]
NAMES: tuple[Name, ...] = ("one", "two", "three")
LAST = Schedule(name="one", start_s=0, think_s=0, records=("a",), fails=False, locks="reject")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def app() -> App:
    return App([Account(), Worker(), *saga_services()])


async def begin(env: TestEnvironment, fails: Name | None) -> dict[Name, InvocationHandle[str]]:
    """Let three sagas want one record, one after the other; each holds it for four seconds."""
    worker = env.client.service_client(Worker)
    return {
        name: await worker.add.send(
            Schedule(name=name, start_s=start, think_s=2, records=("a",), fails=name == fails, locks="wait")
        )
        for start, name in enumerate(NAMES)
    }


async def kill(env: TestEnvironment, invocation_id: str) -> None:
    """Kill an invocation, if it has not ended; again where the process dies meanwhile."""
    while True:
        engine, crashed = await env.running(), env.crashed()
        killing = asyncio.ensure_future(engine.kill(invocation_id))
        waited: list[asyncio.Future[Any]] = [killing, crashed]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not crashed.done() and not env.down:
            with suppress(EngineError):
                await killing
            return
        killing.cancel()


async def check_the_others(env: TestEnvironment, sagas: dict[Name, InvocationHandle[str]], victim: Name | None) -> None:
    """Check that all but the victim came to their end, and that the record is nobody's."""
    for _ in range(40):
        await env.advance(timedelta(seconds=1))
    for name, saga in sagas.items():
        if name != victim:
            async with asyncio.timeout(PATIENCE_S):
                assert await saga.result() in ("committed", "undone"), name
    account = env.client.object_client(Account, "a")
    assert await account.pending() is None
    again = asyncio.ensure_future(env.client.service_client(Worker).add(LAST))
    await env.advance(timedelta(seconds=1))
    assert await again == "committed", "nobody who is gone is in the line"


@pytest.mark.parametrize("victim", NAMES)
def test_a_saga_killed_at_any_time_holds_up_nobody(victim: Name) -> None:
    """Before the lock, in line, when its turn comes, while it holds it, and when it is over."""

    async def play(kill_at_s: int, fails: Name | None, *, replay_always: bool) -> None:
        async with run_test(app(), replay_always=replay_always) as env:
            sagas = await begin(env, fails)
            reader = asyncio.ensure_future(env.client.object_client(Account, "a").read_waiting())
            await env.advance(timedelta(seconds=kill_at_s))
            await kill(env, sagas[victim].id)
            await check_the_others(env, sagas, victim)
            async with asyncio.timeout(PATIENCE_S):
                await reader
            with suppress(TerminalError):
                await sagas[victim].result()

    for kill_at_s in range(14):
        asyncio.run(play(kill_at_s, NAMES[kill_at_s % 3], replay_always=kill_at_s % 2 == 0))


@at_every_crash_point(app)
async def test_a_waiter_killed_in_line_whenever_the_process_dies(env: TestEnvironment) -> None:
    sagas = await begin(env, None)
    await env.advance(timedelta(seconds=2))
    await kill(env, sagas["two"].id)
    await check_the_others(env, sagas, "two")
    assert (await env.client.object_client(Account, "a").read()).value == 3


@at_every_crash_point(app, replay_always=True)
async def test_the_owner_killed_whenever_the_process_dies(env: TestEnvironment) -> None:
    sagas = await begin(env, None)
    await env.advance(timedelta(seconds=3))
    await kill(env, sagas["one"].id)
    await check_the_others(env, sagas, "one")


@pytest.mark.anyio
async def test_what_became_of_the_owner_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It is the one thing that an operator can't see from the record itself."""
    caplog.set_level(logging.WARNING)
    async with run_test(app()) as env:
        sagas = await begin(env, None)
        await env.advance(timedelta(seconds=3))
        await kill(env, sagas["one"].id)
        await check_the_others(env, sagas, "one")
    assert f"the saga {sagas['one'].id} has ended without giving back LockedAccount/a" in caplog.text


@pytest.mark.anyio
async def test_an_operator_frees_a_record_by_hand() -> None:
    """As a person would: `restate-patterns call LockedAccount/a/release '"inv_..."'`."""
    async with run_test(app()) as env:
        sagas = await begin(env, None)
        await env.advance(timedelta(seconds=1))
        assert await env.client.object_client(Account, "a").release(sagas["one"].id) == sagas["two"].id
