"""Starts the server, waits for it or not, and kills it at a random moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.processes import ProcessError, log_tail, spawn, stop
from benchmarks.torture.effects import FILE_VARIABLE, Line, append
from benchmarks.torture.journal import durable_steps
from restate_patterns.server import refuse_taken

FILE_NAME = "torture.db"
START_TIMEOUT_S = 30.0
POLL_S = 0.01
EARLY_SHARE = 0.2
"""How many of the kills hit a server that is still starting or recovering."""
EARLY_MAX_S = 0.3
LIFE_S = (0.02, 0.6)
"""How long a server that is up lives before it is killed."""


@dataclass(slots=True)
class Server:
    """The server of one file, started again after each kill."""

    directory: Path
    ingress_port: int
    admin_port: int
    parent: subprocess.Popen[bytes]
    boot: int = 0
    process_id: int = 0
    durable: set[tuple[str, str]] = field(default_factory=set)

    @property
    def effects_file(self) -> Path:
        """Where steps leave their effects."""
        return self.directory / "effects.jsonl"

    def start(self) -> None:
        """Start one more process."""
        for port in (self.ingress_port, self.admin_port):
            refuse_taken(port)
        self.process_id = int(self._ask(f"start {self.boot}"))
        self.boot += 1

    async def until_ready(self) -> float:
        """Wait until it answers and say how many seconds that took.

        Raises:
            ProcessError: It left, or did not answer in time.
        """
        start = time.monotonic()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.ingress_port}", verify=False) as client:
            while time.monotonic() - start < START_TIMEOUT_S:
                self.check_alive()
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/restate/health")).is_success:
                        return time.monotonic() - start
                await asyncio.sleep(POLL_S)
        raise ProcessError(f"the server gave no answer in {START_TIMEOUT_S:.0f} s:{self._log_tail()}")

    def check_alive(self) -> None:
        """Make sure that the server did not leave by itself.

        Raises:
            ProcessError: It did.
        """
        if ended := self._ask("poll"):
            raise ProcessError(f"the server left by itself, {ended}:{self._log_tail()}")

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        os.kill(self.process_id, signal.SIGKILL)
        self._ask("wait")

    def terminate(self) -> str:
        """Stop it in good order, and say how it ended."""
        os.kill(self.process_id, signal.SIGTERM)
        return self._ask("wait")

    async def live_and_die(self, dice: random.Random) -> None:
        """Start it, let it live for a random time, and kill it."""
        self.start()
        if dice.random() < EARLY_SHARE:
            await asyncio.sleep(dice.uniform(0, EARLY_MAX_S))
        else:
            await self.until_ready()
            await asyncio.sleep(dice.uniform(*LIFE_S))
        self.check_alive()
        self.kill()
        self._note_durable_steps()

    def _note_durable_steps(self) -> None:
        """Write down which steps must not run again, before anything can run."""
        found = durable_steps(self.directory / FILE_NAME)
        for operation, step in sorted(found - self.durable):
            append(self.effects_file, Line("durable", operation, step), durable=False)
        self.durable |= found

    def _ask(self, command: str) -> str:
        if self.parent.stdin is None or self.parent.stdout is None:
            raise ProcessError("the parent of the servers was started without pipes")
        self.parent.stdin.write(command.encode() + b"\n")
        self.parent.stdin.flush()
        answer = self.parent.stdout.readline()
        if not answer:
            raise ProcessError(f"the parent of the servers died:{self._log_tail()}")
        return answer.decode().strip()

    def _log_tail(self) -> str:
        return log_tail(self.directory / "server.log")


@contextlib.contextmanager
def a_server(directory: Path, ports: tuple[int, int], project_dir: Path) -> Iterator[Server]:
    """Give a server that is not started; whatever runs at the end is killed."""
    env = {**os.environ, "PYTHONPATH": str(project_dir), FILE_VARIABLE: str(directory / "effects.jsonl")}
    file = str(directory / FILE_NAME)
    command = [sys.executable, "-m", "benchmarks.torture.server", file, *map(str, ports)]
    pipe = subprocess.PIPE
    parent = spawn(command, directory / "server.log", cwd=directory, env=env, stdin=pipe, stdout=pipe)
    try:
        yield Server(directory, *ports, parent)
    finally:
        stop(parent)
