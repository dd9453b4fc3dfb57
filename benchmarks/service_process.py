"""Services on a Restate server as a process of their own, to be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.sides import PROJECT_DIR
from restate_patterns.server import RunningServer, free_ports

WAIT_S = 60.0


class Process(Protocol):
    """What is known of a process, as of a `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class ServiceProcess:
    """`restate-patterns serve ... --backend restate`, on a port that stays the same.

    Args:
        app: `MODULE:APP`.
        server: The server that calls it.
        folder: Where its log goes.
        options: More of the command line.
        environment: Variables on top of ours.
    """

    def __init__(
        self,
        app: str,
        server: RunningServer,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._app = app
        self._server = server
        self._options = options
        self._environment = dict(environment or {})
        self._process: Process | None = None
        (self.port,) = free_ports(1)
        self.log = folder / "services.log"
        self.starts_ns: list[int] = []
        """When each process was started, on the machine's monotonic clock."""

    def start(self, *, register: bool = True) -> None:
        """Start it; returns when it serves, and with `register` when the server knows it."""
        arguments = ["serve", self._app, "--backend", "restate"]
        arguments += ["--bind", f"127.0.0.1:{self.port}", "--ingress-url", self._server.ingress_url]
        arguments += ["--register" if register else "--admin-url", self._server.admin_url, *self._options]
        environment = {**os.environ, **self._environment}
        before = self.printed.count("serving ")
        self.starts_ns.append(time.monotonic_ns())
        with self.log.open("ab") as log:
            self._process = self._begin(arguments, environment, log.fileno())
        deadline = time.monotonic() + WAIT_S
        while self.printed.count("serving ") == before:
            assert self._process.poll() is None, f"it left with {self._process.returncode}:\n{self.printed}"
            assert time.monotonic() < deadline, f"it does not serve:\n{self.printed}"
            time.sleep(0.02)

    def _begin(self, arguments: Sequence[str], environment: Mapping[str, str], log: int) -> Process:
        """Start our command; `log` is the descriptor that it writes to."""
        command = [sys.executable, "-m", "restate_patterns.cli", *arguments]
        return subprocess.Popen(command, cwd=PROJECT_DIR, env=environment, stdout=log, stderr=log)

    @property
    def printed(self) -> str:
        """All that it has printed, over all starts."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def process(self) -> Process:
        """The process of the moment."""
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """Kill it where it is."""
        self.process.kill()
        self.process.wait(WAIT_S)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start(register=False)

    def terminate(self) -> int:
        """Send SIGTERM; gives how it left."""
        self.process.terminate()
        return self.process.wait(WAIT_S)
