"""Owns the measuring processes: starts a side, asks it to measure, stops it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import STOP_TIMEOUT_S, ProcessError, log_tail, spawn, stop

PROJECT_DIR = Path(__file__).resolve().parent.parent

SERVER_DIR = PROJECT_DIR / ".restate"
"""Where the Restate server is that some sides run on; `python -m benchmarks setup` puts it there."""

ANSWER_TIMEOUT_S = 300.0

SIDE_STOP_TIMEOUT_S = 3 * STOP_TIMEOUT_S
"""A side stops the processes that it started, which may take their whole time, before it leaves."""


@dataclass(frozen=True, slots=True)
class SideSpec:
    """What a side is called, the worker that is it, and the packages it cannot do without."""

    title: str
    worker: str
    arguments: dict[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Name the packages that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]


class Side:
    """A running side."""

    def __init__(self, title: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.title = title
        self.process_id = process.pid
        self._process = process
        self._log = log

    def ask(self, do: str, *, timeout_s: float = ANSWER_TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        """Have the side do something and give what it found.

        Raises:
            ProcessError: It died or did not answer in time; the message has the end of its log.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        return self.read_answer(timeout_s)

    def read_answer(self, timeout_s: float) -> dict[str, Any]:
        """Wait for one line of the side."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout_s)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            why = "died" if ready else f"gave no answer in {timeout_s:.0f} s"
            raise ProcessError(f"{self.title} {why}:{log_tail(self._log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def rate(self, do: str, **arguments: Any) -> float:
        """Have the side count something for a while and give how many it did a second."""
        facts = self.ask(do, **arguments)
        return float(facts["count"] / facts["elapsed_s"])


@contextlib.contextmanager
def running_side(spec: SideSpec, directory: Path) -> Iterator[Side]:
    """Run a side with its files in `directory` for as long as the block lasts.

    Raises:
        ProcessError: It did not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "worker.log"
    command = [sys.executable, "-m", "benchmarks.workers", spec.worker, json.dumps(spec.arguments)]
    env = {**os.environ, "PYTHONPATH": str(PROJECT_DIR)}
    process = spawn(command, log, cwd=directory, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    side = Side(spec.title, process, log)
    try:
        side.read_answer(ANSWER_TIMEOUT_S)
        yield side
    finally:
        stop_side(process)


def stop_side(process: subprocess.Popen[bytes]) -> None:
    """Close the side's input, which ends it in good order; then make sure."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SIDE_STOP_TIMEOUT_S)
    stop(process)
