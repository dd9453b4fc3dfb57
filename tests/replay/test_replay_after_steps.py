"""Where each wait replays, the wait for a step does too: what its end finds is the handler at its beginning."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from restate_patterns import App, Context, Embedded, Saga, Service, Step, TerminalError, handler
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing import run_test
from restate_patterns.testing.contract.host import Running
from restate_patterns.testing.contract.recorder import Recorder
from tests.support.bounds import PATIENCE_S
from tests.support.engines.contract_hosts import HOSTS

pytestmark = pytest.mark.anyio


class Kitchen(Service):
    """Handlers made of steps, that count how often they begin and what they start."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.seen = Recorder()
        self.failures_left = 2

    def cook(self, what: str) -> str:
        """Be an action in a thread."""
        self.seen.note("cooked", what)
        return what

    async def stir(self, what: str) -> str:
        """Be an action on the loop that waits."""
        self.seen.note("cooked", what)
        await asyncio.sleep(0.01)
        return what

    async def burn(self) -> str:
        """Be an action that fails twice."""
        self.seen.note("cooked", "burnt")
        if self.failures_left:
            self.failures_left -= 1
            raise OSError("burnt")
        return "burnt"

    async def uncook(self, what: str) -> None:
        """Be an undo."""
        self.seen.note("cooked", f"un{what}")

    @handler
    async def course(self, ctx: Context) -> list[str]:
        self.begun["course"] += 1
        first = await ctx.run("cook", self.cook, "soup")
        second = await ctx.run("stir", self.stir, "sauce")
        third = await ctx.run(Step("burn", retry=RetryPolicy(initial=timedelta(milliseconds=1))), self.burn)
        return [first, second, third]

    @handler
    async def beside(self, ctx: Context) -> list[str]:
        self.begun["beside"] += 1
        return await asyncio.gather(*(ctx.run("stir", self.stir, name) for name in "abc"))

    @handler
    async def forgetful(self, ctx: Context) -> str:
        self.begun["forgetful"] += 1
        await ctx.run(f"step of attempt {self.begun['forgetful']}", self.cook, "x")
        return await ctx.run("last", self.cook, "y")

    @handler(inactivity_timeout=timedelta(0))
    async def of_its_own(self, ctx: Context) -> str:
        self.begun["of_its_own"] += 1
        return await ctx.run("cook", self.cook, "own")

    @handler
    async def held(self, ctx: Context) -> str:
        self.begun["held"] += 1
        async with Saga(ctx) as saga:
            await saga.run("hold", self.seen.hold, "held", "pot").undo_step("uncook", self.uncook)
            await ctx.run("cook", self.cook, "never")
        return "done"


@asynccontextmanager
async def served(host: str, kitchen: Kitchen, folder: Path) -> AsyncGenerator[Running]:
    """Host the kitchen."""
    async with HOSTS[host](folder).start([kitchen]) as running:
        yield running


REPLAYING = [
    "embedded-always-replays",
    pytest.param("restate-always-suspends", marks=pytest.mark.restate),
]


@pytest.mark.parametrize("host", REPLAYING)
async def test_each_end_of_a_step_replays_from_the_start(host: str, tmp_path: Path) -> None:
    """A handler of three steps begins at least four times; each action is started as often as it must be."""
    kitchen = Kitchen()
    async with served(host, kitchen, tmp_path) as running:
        assert await running.client.service_client(Kitchen).course() == ["soup", "sauce", "burnt"]
    assert kitchen.seen.notes("cooked") == ["soup", "sauce", "burnt", "burnt", "burnt"]
    assert kitchen.begun["course"] >= 4


@pytest.mark.parametrize("host", REPLAYING)
async def test_steps_side_by_side_are_adopted(host: str, tmp_path: Path) -> None:
    """Each of three steps at once is started once, though the handler begins anew while the others run."""
    kitchen = Kitchen()
    async with served(host, kitchen, tmp_path) as running:
        assert await running.client.service_client(Kitchen).beside() == ["a", "b", "c"]
    assert sorted(kitchen.seen.notes("cooked")) == ["a", "b", "c"]
    assert kitchen.begun["beside"] >= 2


@pytest.mark.parametrize("host", REPLAYING)
async def test_code_that_does_not_replay_is_found_between_steps(host: str, tmp_path: Path) -> None:
    """The first step's end finds a handler that asks for another one."""
    kitchen = Kitchen()
    async with served(host, kitchen, tmp_path) as running:
        sent = await running.client.service_client(Kitchen).forgetful.send()
        async with asyncio.timeout(PATIENCE_S):
            while (reason := await running.admin.paused_because(sent.id)) is None:
                await asyncio.sleep(0.01)
    assert "mismatch" in reason


async def test_the_testing_environment_replays_after_each_step() -> None:
    """`replay_always=True` is the tool that finds it in a test."""
    kitchen = Kitchen()
    async with run_test(App([kitchen]), replay_always=True) as env:
        handle = await env.client.service_client(Kitchen).forgetful.send()
        await env.settle()
        view = (await env.engine.describe_invocation(handle.id)).view
    assert view.status is InvocationStatus.PAUSED
    assert kitchen.seen.notes("cooked") == ["x"]


@pytest.mark.parametrize("timeout", [timedelta(0), None], ids=["app", "handler"])
async def test_on_a_file(timeout: timedelta | None, tmp_path: Path) -> None:
    """The time-out of the app and that of a handler alone both count on a file."""
    kitchen = Kitchen()
    backend = Embedded(tmp_path / "kitchen.db", inactivity_timeout=timeout)
    async with App([kitchen]).start(backend) as client:
        assert await client.service_client(Kitchen).of_its_own() == "own"
        assert await client.service_client(Kitchen).course() == ["soup", "sauce", "burnt"]
    assert kitchen.begun["of_its_own"] == 2
    assert kitchen.begun["course"] == (4 if timeout is not None else 1)


async def test_a_step_under_way_is_shown_while_its_handler_is_out_of_memory() -> None:
    """It counts as running, and waits for that step."""
    kitchen = Kitchen()
    async with run_test(App([kitchen]), replay_always=True) as env:
        handle = await env.client.service_client(Kitchen).held.send()
        await kitchen.seen.until("held", "pot")
        view = (await env.engine.describe_invocation(handle.id)).view
        assert (view.status, view.waits_for) == (InvocationStatus.RUNNING, ["the step hold"])
        kitchen.seen.open("held", "pot")
        assert await handle.result() == "done"


async def test_a_cancel_reaches_a_step_whose_handler_is_out_of_memory() -> None:
    """The cancel replays the handler, which asks the step to stop; what has not happened is not undone."""
    kitchen = Kitchen()
    async with run_test(App([kitchen]), replay_always=True) as env:
        handle = await env.client.service_client(Kitchen).held.send()
        await kitchen.seen.until("held", "pot")
        await handle.cancel()
        with pytest.raises(TerminalError, match="cancel"):
            await handle.result()
    assert kitchen.seen.notes("held") == ["pot"]
    assert kitchen.seen.notes("cooked") == []


async def test_a_step_under_way_is_brought_back_after_a_crash() -> None:
    """An invocation that left memory while its step ran is active for whoever starts the file next."""
    kitchen = Kitchen()
    async with run_test(App([kitchen]), replay_always=True) as env:
        handle = await env.client.service_client(Kitchen).held.send()
        await kitchen.seen.until("held", "pot")
        await env.crash()
        await kitchen.seen.until("held", "pot", 2)
        kitchen.seen.open("held", "pot")
        assert await handle.result() == "done"
