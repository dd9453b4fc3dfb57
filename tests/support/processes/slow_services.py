"""Handlers whose steps take their time and leave a line in a file, so that a test knows when to strike.

Served as a process: `restate-patterns serve tests.support.processes.slow_services:app`; the file is the variable
`SLOW_LINES`.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from restate_patterns import App, Context, Service, handler
from tests.support.bounds import PATIENCE_S

FILE_VARIABLE = "SLOW_LINES"
LONG_S = 600.0
"""A step takes so long that only `Lines.let_go` ends it."""


class SlowSteps(Service):
    """Steps that can be watched."""

    @handler
    async def work(self, ctx: Context, seconds: float) -> list[str]:
        """Run three steps; the middle one takes so many seconds."""
        durations = {"before": 0.0, "slow": seconds, "after": 0.0}
        return [await ctx.run(name, step, name, duration) for name, duration in durations.items()]

    @handler
    async def nap(self, ctx: Context, seconds: float) -> list[str]:
        """Run a step, sleep, run another."""
        first = await ctx.run("lie down", step, "lie down", 0.0)
        await asyncio.sleep(seconds)
        return [first, await ctx.run("get up", step, "get up", 0.0)]


async def step(name: str, seconds: float) -> str:
    """Take so many seconds, or until it is let go; gives the name."""
    _leave(f"{name} begins")
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s and not _go(Path(os.environ[FILE_VARIABLE])).exists():
        await asyncio.sleep(0.02)
    _leave(f"{name} ends")
    return name


def _leave(line: str) -> None:
    descriptor = os.open(os.environ[FILE_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line} in {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)


def _go(lines: Path) -> Path:
    return lines.with_suffix(".go")


class Lines:
    """The file as the test reads it.

    Args:
        file: Where it is.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def environment(self) -> dict[str, str]:
        """What the process of the services needs to know."""
        return {FILE_VARIABLE: str(self._file)}

    def of(self, line: str) -> list[int]:
        """Give the ids of the processes that left this line, in order."""
        text = self._file.read_text() if self._file.exists() else ""
        found = [each.rpartition(" in ") for each in text.splitlines()]
        return [int(process_id) for what, _, process_id in found if what == line]

    def let_go(self) -> None:
        """Let all steps end, now and later."""
        _go(self._file).touch()

    def wait_for(self, line: str, count: int = 1) -> None:
        """Wait until a line was left so many times."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.of(line)) < count:
            assert time.monotonic() < deadline, f"never {line!r}"
            time.sleep(0.01)


app = App([SlowSteps()])
