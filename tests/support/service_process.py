"""Services on a Restate server as a process of their own, to be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restate_patterns.server import RunningServer, free_ports
from tests.support.pages import ROOT

WAIT_S = 60.0


class ServiceProcess:
    """`restate-patterns serve ... --backend restate`, on a port that stays the same.

    Args:
        app: `MODULE:APP`.
        server: The server that calls it.
        folder: Where its log goes.
        options: More of the command line.
    """

    def __init__(self, app: str, server: RunningServer, folder: Path, *options: str) -> None:
        self._app = app
        self._server = server
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        (self.port,) = free_ports(1)
        self.log = folder / "services.log"

    def start(self, *, register: bool = True) -> None:
        """Start it; returns when it serves, and with `register` when the server knows it."""
        command = [sys.executable, "-m", "restate_patterns.cli", "serve", self._app, "--backend", "restate"]
        command += ["--bind", f"127.0.0.1:{self.port}", "--ingress-url", self._server.ingress_url]
        command += ["--register" if register else "--admin-url", self._server.admin_url, *self._options]
        before = self.printed.count("serving ")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + WAIT_S
        while self.printed.count("serving ") == before:
            assert self._process.poll() is None, f"it left with {self._process.returncode}:\n{self.printed}"
            assert time.monotonic() < deadline, f"it does not serve:\n{self.printed}"
            time.sleep(0.02)

    @property
    def printed(self) -> str:
        """All that it has printed, over all starts."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def process(self) -> subprocess.Popen[bytes]:
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
        os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(WAIT_S)


@contextmanager
def services_of(app: str, server: RunningServer, folder: Path, *options: str) -> Iterator[ServiceProcess]:
    """Serve an app while the block lasts."""
    services = ServiceProcess(app, server, folder, *options)
    services.start()
    try:
        yield services
    finally:
        services.kill()
