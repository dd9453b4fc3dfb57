"""Bookings and counters on a cluster of three nodes that are killed in turn: nothing is lost, nothing doubled.

`python -m benchmarks.cluster --seconds 120` is the long run.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.cluster.run import Plan, run
from tests.support.restate.service_process import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.restate]

KILLS = 3
TRIPS = 3
"""So many are booked, and as many undone: which are refused is a matter of chance, and so takes as long as it takes."""

SECONDS = 10.0
STALL_MAX_S = 20.0
"""On a loaded machine; elections take about a second on one that is not."""


@pytest.mark.timeout(240)
def test_nodes_killed_in_turn(restate_binary: Path, tmp_path: Path) -> None:
    plan = Plan(binary=restate_binary, nodes=3, seconds=SECONDS, kills=KILLS, trips=TRIPS, seed=20261124)
    report = asyncio.run(run(plan, tmp_path, service_process=ServiceProcess))
    assert not report.wrong, report.summary()
    assert report.node_kills >= KILLS
    assert report.failures, "no client noticed that a node died: nothing was tried"
    assert report.repeats == 0, f"steps are made again though their process lived: {report.summary()}"
    assert min(report.adds, report.booked, report.undone) >= TRIPS, report.summary()
    assert report.stall_s < STALL_MAX_S, report.summary()
    assert json.loads(json.dumps(report.as_json()))["failures"] == report.failures
