"""Branches of several steps of one name, on a Restate server, crashed after each thing that happens to a step.

Beside it, what the bare SDK makes of the same program, so that we notice when that changes.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import anyio
import httpx
import pytest

from benchmarks.processes import spawn, stop, wait_for_listener
from restate_patterns import Context, Service, handler
from restate_patterns.admin import AdminClient
from restate_patterns.api.deployment import AppDeployment
from restate_patterns.restate.remote import RemoteServer
from restate_patterns.server import RunningServer, free_ports
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.pages import ROOT
from tests.support.restate import sdk_branches
from tests.support.restate.restate_host import RestateRunning

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

BRANCHES, STEPS = "abc", 2
EXPECTED = [[f"{name}{number}" for number in range(STEPS)] for name in BRANCHES]
FACTS_COUNT = 2 * len(BRANCHES) * STEPS
"""Each step begins and ends."""


class Facts:
    """What happened to steps, in order; a test waits for the n-th."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._news = asyncio.Condition()

    async def note(self, fact: str) -> None:
        async with self._news:
            self.seen.append(fact)
            self._news.notify_all()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: len(self.seen) >= count)


class ForkedSteps(Service):
    """Runs branches, each of steps that all have one name."""

    def __init__(self) -> None:
        self.facts: dict[str, Facts] = {}

    @handler
    async def gather(self, ctx: Context, run: str) -> list[list[str]]:
        return await asyncio.gather(*(self._branch(ctx, run, name) for name in BRANCHES))

    @handler
    async def task_group(self, ctx: Context, run: str) -> list[list[str]]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._branch(ctx, run, name)) for name in BRANCHES]
        return [task.result() for task in tasks]

    @handler
    async def anyio_group(self, ctx: Context, run: str) -> list[list[str]]:
        found: dict[str, list[str]] = {}

        async def keep(name: str) -> None:
            found[name] = await self._branch(ctx, run, name)

        async with anyio.create_task_group() as group:
            for name in BRANCHES:
                group.start_soon(keep, name)
        return [found[name] for name in BRANCHES]

    async def _branch(self, ctx: Context, run: str, name: str) -> list[str]:
        return [await ctx.run("work", self._work, run, f"{name}{number}") for number in range(STEPS)]

    async def _work(self, run: str, label: str) -> str:
        """Take the longer the earlier the branch: the last one is ahead, as with the bare SDK below."""
        await self.facts[run].note(f"{label} begins")
        await asyncio.sleep(0.03 * (len(BRANCHES) - BRANCHES.index(label[0])))
        await self.facts[run].note(f"{label} ends")
        return label


@asynccontextmanager
async def forks_on(server: RunningServer) -> AsyncIterator[tuple[ForkedSteps, RestateRunning]]:
    """Serve the branches in this process."""
    forks = ForkedSteps()
    remote = RemoteServer(server.ingress_url, server.admin_url)
    running = RestateRunning(AppDeployment([forks]), remote)
    await running.begin()
    try:
        await remote.admin.register(running.url)
        yield forks, running
    finally:
        await running.die()
        await remote.aclose()


@pytest.mark.parametrize("way", ["gather", "task_group", "anyio_group"])
async def test_branches_are_never_swapped(suspending_restate_server: RunningServer, way: str) -> None:
    """Each step is done once, and once more where the crash found it under way."""
    async with forks_on(suspending_restate_server) as (forks, running):
        client = running.client.service_client(ForkedSteps)
        ways = {"gather": client.gather, "task_group": client.task_group, "anyio_group": client.anyio_group}
        repeated_count = 0
        for crash_at in range(1, FACTS_COUNT + 1):
            run = uuid.uuid4().hex
            facts = forks.facts[run] = Facts()
            call = asyncio.ensure_future(ways[way](run))
            await facts.reach(crash_at)
            await running.restart()
            async with asyncio.timeout(PATIENCE_S):
                assert await call == EXPECTED, f"crashed at fact {crash_at}: {facts.seen}"
            ends = [fact for fact in facts.seen if fact.endswith("ends")]
            assert len(set(ends)) == len(BRANCHES) * STEPS
            assert len(ends) <= len(BRANCHES) * STEPS + len(BRANCHES), facts.seen
            repeated_count += len(facts.seen) - len(set(facts.seen))
        assert repeated_count > 0, "no crash found a step under way: nothing was tried"


async def test_branches_are_swapped_by_the_bare_sdk(restate_server: RunningServer, tmp_path: Path) -> None:
    """The same with plain asyncio on the SDK alone: a crash once all is recorded, and the results are swapped.

    The README and the design say that this is so. When the SDK has mended it, they must say something else.
    """
    answer = await _sdk_branches_with_a_crash(restate_server, tmp_path)
    wrong = answer is None or answer.status_code != 200 or answer.json() != sdk_branches.EXPECTED
    assert wrong, (
        f"restate-sdk {version('restate-sdk')} no longer swaps the results of concurrent branches: change what "
        "README.md and docs/design/execution.md say about the SDK (ask its release notes from which version on), "
        "keep our own order, and turn this test into one that it stays so"
    )
    if answer is not None and answer.status_code == 200:
        found, expected = (sorted(chain(*each)) for each in (answer.json(), sdk_branches.EXPECTED))
        assert found == expected, "swapped, and nothing else"


async def _sdk_branches_with_a_crash(server: RunningServer, folder: Path) -> httpx.Response | None:
    """Give the answer after the crash; None when there is none in time."""
    (port,) = free_ports(1)
    log = folder / "endpoint.log"
    command = [sys.executable, "-m", "tests.support.restate.sdk_branches", str(port), str(folder)]
    process = spawn(command, log, cwd=ROOT)
    try:
        await asyncio.to_thread(wait_for_listener, process, port, log)
        async with AdminClient(server.admin_url) as admin, loopback.async_client(timeout=PATIENCE_S) as http:
            registered = await admin.register(f"http://127.0.0.1:{port}")
            call = asyncio.ensure_future(http.post(f"{server.ingress_url}/{sdk_branches.SERVICE}/run"))
            assert await asyncio.to_thread(process.wait, PATIENCE_S) < 0, log.read_text()
            process = spawn(command, log, cwd=ROOT)
            try:
                return await call
            except httpx.TimeoutException:
                return None
            finally:
                await admin.remove_deployment(registered.deployment_id)
    finally:
        process.kill()
        stop(process)
