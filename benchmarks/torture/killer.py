"""Starts the server, waits for it or not, and kills it at a random moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.processes import ProcessError, log_tail, refuse_taken, spawn, stop
from benchmarks.torture.effects import BOOT_VARIABLE, FILE_VARIABLE

START_TIMEOUT_S = 30.0
POLL_S = 0.02
EARLY_SHARE = 0.2
"""How many of the kills hit a server that is still starting or recovering."""
EARLY_MAX_S = 1.0
LIFE_S = (0.02, 0.6)
"""How long a server that is up lives before it is killed."""


@dataclass(slots=True)
class Server:
    """The server of one file, started again after each kill."""

    directory: Path
    ingress_port: int
    admin_port: int
    project_dir: Path
    boot: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def effects_file(self) -> Path:
        """Where steps leave their effects."""
        return self.directory / "effects.jsonl"

    @property
    def log(self) -> Path:
        """What all processes of the server printed."""
        return self.directory / "server.log"

    def start(self) -> None:
        """Start one more process."""
        refuse_taken(self.ingress_port, self.admin_port)
        arguments = [str(self.directory / "torture.db"), str(self.ingress_port), str(self.admin_port)]
        env = {
            **os.environ,
            "PYTHONPATH": str(self.project_dir),
            BOOT_VARIABLE: str(self.boot),
            FILE_VARIABLE: str(self.effects_file),
        }
        self.boot += 1
        command = [sys.executable, "-m", "benchmarks.torture.server", *arguments]
        self.process = spawn(command, self.log, cwd=self.directory, env=env)

    async def until_ready(self) -> float:
        """Wait until it answers and say how many seconds that took.

        Raises:
            ProcessError: It left, or did not answer in time.
        """
        start = time.monotonic()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.ingress_port}") as client:
            while time.monotonic() - start < START_TIMEOUT_S:
                self.check_alive()
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/restate/health")).is_success:
                        return time.monotonic() - start
                await asyncio.sleep(POLL_S)
        raise ProcessError(f"the server gave no answer in {START_TIMEOUT_S:.0f} s:{log_tail(self.log)}")

    def check_alive(self) -> None:
        """Make sure that the server did not leave by itself.

        Raises:
            ProcessError: It did.
        """
        code = None if self.process is None else self.process.poll()
        if code is not None:
            raise ProcessError(f"the server left by itself with {code}:{log_tail(self.log)}")

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Stop it in good order."""
        if self.process is not None:
            stop(self.process)

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
