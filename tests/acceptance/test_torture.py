"""A served engine under load is killed fifty times with SIGKILL; afterwards everything adds up.

`python -m benchmarks.torture --kills 1000` is the long run.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.torture.run import torture

KILLS = 50
SEED = 20261122


@pytest.mark.timeout(300)
def test_killed_again_and_again(tmp_path: Path) -> None:
    report = asyncio.run(torture(tmp_path, kills=KILLS, seed=SEED))
    assert report.kill_count == KILLS
    assert report.durable_count > 0, "the file of a dead server showed no journal: the check would be blind"
    assert len(report.outcomes) > KILLS, report.summary()
    assert not report.wrong, report.summary()
