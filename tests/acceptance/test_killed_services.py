"""The process of the services is killed ten times in the middle of bookings: each is booked or undone as a whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.cluster.run import Plan, run
from tests.support.restate.service_process import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.restate, pytest.mark.timeout(900)]

KILLS = 10
TRIPS = 6
"""That many are booked, and as many undone."""


def test_services_killed_during_sagas(restate_binary: Path, tmp_path: Path) -> None:
    """What the providers saw: no step came back after a later one, and no process did one twice."""
    plan = Plan(
        binary=restate_binary,
        nodes=1,
        seconds=0,
        kill_nodes=False,
        kill_services=True,
        kills=KILLS,
        trips=TRIPS,
        seed=20261124,
    )
    report = asyncio.run(run(plan, tmp_path, service_process=ServiceProcess))
    assert not report.wrong, report.summary()
    assert report.service_kills >= KILLS
    assert report.repeats > 0, f"no kill found a step under way: nothing was tried\n{report.summary()}"
    assert min(report.booked, report.undone) >= TRIPS, report.summary()
