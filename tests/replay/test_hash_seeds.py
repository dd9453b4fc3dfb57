"""What a handler gives is the same bytes in every process: killed under one hash seed, gone on with under others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from restate_patterns.server import RunningServer, free_ports
from tests.support.pages import ROOT
from tests.support.programs.seeded import KINDS, ONE_ORDER, PLACES

pytestmark = pytest.mark.slow

SEEDS = (1, 2, 3, 4, 5)


def start(seed: int, *arguments: str) -> subprocess.Popen[str]:
    """Start the program under a hash seed."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.programs.seeded", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def hold_and_kill(seed: int, arguments: Sequence[str], urls: Sequence[str]) -> None:
    """Let each handler give what it gives, and kill the process."""
    with start(seed, *arguments, "hold", *urls) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == "held\n", f"under seed {seed} not all came to where they hold: {said!r}"


def finish(seed: int, arguments: Sequence[str], urls: Sequence[str]) -> dict[str, object]:
    """Let each go on to its end; tells whether what each gave came back."""
    with start(seed, *arguments, "finish", *urls) as process:
        out, _ = process.communicate(timeout=90)
    found: dict[str, object] = json.loads(out)
    return found


def test_on_a_file(tmp_path: Path) -> None:
    """Sets everywhere in values, and dictionaries in the order of a set, match the journal of another process."""
    arguments = (str(tmp_path / "seeded.db"), "run")
    for seed in SEEDS:
        hold_and_kill(seed, arguments, ())
    ends = finish(6, arguments, ())
    assert ends == {f"{kind}/{place}": True for kind in KINDS for place in PLACES}


@pytest.mark.restate
def test_on_a_restate_server(restate_server: RunningServer) -> None:
    """The server compares bytes: those of sets are the same."""
    (port,) = free_ports(1)
    arguments = (str(port), uuid.uuid4().hex)
    urls = (restate_server.ingress_url, restate_server.admin_url)
    for seed in SEEDS[:3]:
        hold_and_kill(seed, arguments, urls)
    ends = finish(6, arguments, urls)
    assert ends == {f"{kind}/{place}": True for kind in ONE_ORDER for place in PLACES}
