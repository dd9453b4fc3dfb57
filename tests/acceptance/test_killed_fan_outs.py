"""A process is killed twice amid thousands of items: all are done, and those whose results it had are done once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.processes.dev_server import DevServer
from tests.support.processes.fans import WINDOW

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLED_AFTER = (0.3, 0.65)
"""So many of the items."""


def done(folder: Path) -> list[int]:
    file = folder / "did"
    # A line that is being written has no end yet.
    return [int(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []


def until_done(folder: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(done(folder)) < count:
        assert time.monotonic() < deadline, f"{len(done(folder))} of {count} items are done"
        time.sleep(0.01)


@pytest.mark.parametrize(("handler", "items_count"), [("whole", 10_000), ("in_pages", 4_000)])
def test_a_killed_fan_out(handler: str, items_count: int, tmp_path: Path) -> None:
    server = DevServer(tmp_path, "tests.support.processes.fans:app", "--no-reload", "--db", "fans.db")
    server.start()
    try:
        with loopback.client() as client:
            sent = client.post(f"{server.ingress_url}/Fans/{handler}/send", json=items_count).json()["invocationId"]
            for share in KILLED_AFTER:
                until_done(tmp_path, round(share * items_count))
                server.signal(signal.SIGKILL)
                server.start()
            answer = client.get(f"{server.ingress_url}/restate/invocation/{sent}/attach", timeout=PATIENCE_S)
    finally:
        server.close()
    assert answer.json() == items_count * (items_count - 1) // 2
    times = Counter(done(tmp_path))
    assert set(times) == set(range(items_count))
    again = [number for number, count in times.items() if count > 1]
    # A step whose result was not on disk when it died is run again: no more than a window of them, at each kill.
    assert len(again) <= len(KILLED_AFTER) * WINDOW, sorted(again)
    assert max(times.values()) <= 1 + len(KILLED_AFTER)
