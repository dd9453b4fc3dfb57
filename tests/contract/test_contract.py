"""Every guarantee, on every backend of this project.

Each backend is started once and still has what earlier checks left, as a server would. A guarantee is checked on all
backends at the same time, because most of a check is waiting; each has its own test and its own outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from restate_patterns.testing.contract import ALL, Guarantee, Stage, stage_on
from tests.support.engines.contract_hosts import HOSTS


class Stages:
    """The running backends, on one event loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._stages: dict[str, Stage] = {}
        self._outcomes: dict[str, Mapping[str, BaseException | None]] = {}
        self._open = AsyncExitStack()

    def start(self, hosts: Sequence[str], folder: Path) -> None:
        """Start some backends."""
        self._runner.run(self._start(hosts, folder))

    async def _start(self, hosts: Sequence[str], folder: Path) -> None:
        for host in hosts:
            self._stages[host] = await self._open.enter_async_context(stage_on(HOSTS[host](folder)))

    def check(self, guarantee: Guarantee, host: str) -> None:
        """Say how a guarantee fared on a backend."""
        if guarantee.name not in self._outcomes:
            self._outcomes[guarantee.name] = self._runner.run(self._check(guarantee))
        error = self._outcomes[guarantee.name][host]
        if error is not None:
            raise error

    async def _check(self, guarantee: Guarantee) -> Mapping[str, BaseException | None]:
        checks = (guarantee.check(stage) for stage in self._stages.values())
        return dict(zip(self._stages, await asyncio.gather(*checks, return_exceptions=True), strict=True))

    def stop(self) -> None:
        """Stop the backends."""
        self._runner.run(self._open.aclose())


@pytest.fixture(scope="module")
def stages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    wanted = {item.callspec.params.get("host") for item in request.session.items if hasattr(item, "callspec")}
    with asyncio.Runner() as runner:
        stages = Stages(runner)
        try:
            stages.start([host for host in HOSTS if host in wanted], tmp_path_factory.mktemp("contract"))
            yield stages
        finally:
            stages.stop()


@pytest.mark.parametrize(
    "host", [pytest.param(host, marks=pytest.mark.restate if host.startswith("restate") else ()) for host in HOSTS]
)
@pytest.mark.parametrize("guarantee", ALL, ids=str)
def test_contract(stages: Stages, guarantee: Guarantee, host: str) -> None:
    """The sentence of the guarantee holds, unless the backend declares a difference; then it fails."""
    stages.check(guarantee, host)
