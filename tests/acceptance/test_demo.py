"""The demonstration as a newcomer runs it: what it prints, how it fails, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.bounds import PATIENCE_S
from tests.support.pages import ROOT

EXPECTED = Path(__file__).parent / "demo_output.txt"
COMMAND = [sys.executable, "-m", "examples.demo"]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The demonstration's own temporary folder, to see what it leaves in there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def run(temporary: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command or COMMAND,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def descendants(temporary: Path) -> list[int]:
    """Give the processes that were started with this temporary folder and still live."""
    marker = f"TMPDIR={temporary}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until_alone(temporary: Path, timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while processes := descendants(temporary):
        assert time.monotonic() < deadline, f"still running: {processes}"
        time.sleep(0.02)


def plain(output: str) -> str:
    """Replace what differs from run to run by what it is."""
    patterns = [
        (r"http://127\.0\.0\.1:\d+", "URL"),
        (r"inv_\w+", "INVOCATION"),
        (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "00000000-0000-0000-0000-00000000UUID"),
        (r"\b(flight|car)-[0-9a-f]{6}\b", r"\1-ID"),
        (r"(process|kill -9) \d+", r"\1 PID"),
        (r"in \d+\.\d s", "in N s"),
        (r" +", " "),
    ]
    for pattern, replacement in patterns:
        output = re.sub(pattern, replacement, output)
    return output


linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


def test_it_shows_what_it_says(temporary: Path) -> None:
    done = run(temporary)
    assert done.returncode == 0, done.stdout + done.stderr
    assert plain(done.stdout) == EXPECTED.read_text()
    assert done.stderr == ""
    assert list(temporary.iterdir()) == []


BROKEN = """
import sys
from examples import demo
demo.FORWARD[3], demo.FORWARD[4] = demo.FORWARD[4], demo.FORWARD[3]
sys.exit(demo.main())
"""


def test_it_fails_when_a_claim_does_not_hold(temporary: Path) -> None:
    done = run(temporary, sys.executable, "-c", BROKEN)
    assert done.returncode == 1
    assert "NOT AS CLAIMED: each company was asked once, in order" in done.stdout
    assert list(temporary.iterdir()) == []


@pytest.fixture
def playing(temporary: Path) -> Generator[subprocess.Popen[str]]:
    """A demonstration that has begun with its first run."""
    process = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("1. "):
                assert process.poll() is None
            yield process
        finally:
            process.kill()


@linux
@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["terminate", "interrupt"]
)
def test_stopped_in_the_middle_it_leaves_nothing(
    temporary: Path, playing: subprocess.Popen[str], number: signal.Signals, exit_code: int
) -> None:
    playing.send_signal(number)
    assert playing.wait(PATIENCE_S) == exit_code
    wait_until_alone(temporary)
    assert list(temporary.iterdir()) == []


@linux
def test_killed_in_the_middle_it_leaves_no_process(temporary: Path, playing: subprocess.Popen[str]) -> None:
    playing.kill()
    playing.wait(PATIENCE_S)
    wait_until_alone(temporary)
