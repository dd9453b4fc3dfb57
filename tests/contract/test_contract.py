"""Every guarantee, on every backend of this project.

Each backend is started once and is still running what earlier checks left, as a server would be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from restate_patterns.testing.contract import ALL, Guarantee, Stage, stage_on
from tests.support.contract_hosts import HOSTS


class Stages:
    """The running backends, each opened when it is first asked for, on one event loop."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner = runner
        self._folder = folder
        self._stages: dict[str, Stage] = {}
        self._open = AsyncExitStack()

    def check(self, guarantee: Guarantee, host: str) -> None:
        """Check a guarantee on a backend."""
        self._runner.run(self._check(guarantee, host))

    async def _check(self, guarantee: Guarantee, host: str) -> None:
        if host not in self._stages:
            self._stages[host] = await self._open.enter_async_context(stage_on(HOSTS[host](self._folder)))
        await guarantee.check(self._stages[host])

    def close(self) -> None:
        """Stop the backends."""
        self._runner.run(self._open.aclose())


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    with asyncio.Runner() as runner:
        stages = Stages(runner, tmp_path_factory.mktemp("contract"))
        yield stages
        stages.close()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("guarantee", ALL, ids=str)
def test_contract(stages: Stages, guarantee: Guarantee, host: str) -> None:
    """The sentence of the guarantee holds, unless the backend declares a difference; then it fails."""
    stages.check(guarantee, host)
