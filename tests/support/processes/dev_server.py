"""`restate-patterns dev` as a real process, and the command as one."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from benchmarks.service_process import Process
from restate_patterns.cli import main
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.pages import ROOT
from tests.support.processes.warm import WarmProcess

COMMAND = (sys.executable, "-m", "restate_patterns.cli")


class DevServer:
    """Serves an app in a folder of its own, on free ports that stay the same over restarts.

    Args:
        folder: Where it runs.
        app: The app, as for the command.
        options: More options of the command.
        descriptors: How many files the process may open; None leaves that as it is.
        secrets: Environment variables that it gets.
    """

    def __init__(
        self,
        folder: Path,
        app: str,
        *options: str,
        descriptors: int | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._descriptors = descriptors
        self._secrets = secrets or {}
        self._arguments = (app, *options)
        self._ports: tuple[str, str] = ("0", "0")
        self._process: Process | None = None
        self.log = folder / "server.log"
        self.ingress_url = self.admin_url = ""

    def start(self) -> None:
        """Start it; returns when requests are answered."""
        ports = ("--ingress-port", self._ports[0], "--admin-port", self._ports[1])
        before = self.printed.count("ingress http")
        with self.log.open("ab") as log:
            self._process = self._begin(["dev", *self._arguments, *ports], log.fileno())
        if self._descriptors is not None:
            resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (self._descriptors, self._descriptors))
        self.until_printed("ingress http", before + 1)
        line = next(line for line in reversed(self.printed.splitlines()) if line.startswith("ingress http"))
        self.ingress_url, self.admin_url = line.removeprefix("ingress ").split(", admin ")
        self._ports = (self.ingress_url.rpartition(":")[2], self.admin_url.rpartition(":")[2])

    def _begin(self, arguments: Sequence[str], log: int) -> Process:
        """Start it; what is to start itself again when its code changes begins from nothing, as that does."""
        environment = {**clean_environment(), **self._secrets}
        if "--no-reload" in arguments:
            return WarmProcess(arguments, cwd=self.folder, env=environment, stdout=log, stderr=log)
        command = [*COMMAND, *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    @property
    def printed(self) -> str:
        """All that it has printed, over all starts."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def process(self) -> Process:
        """The process of the moment."""
        assert self._process is not None
        return self._process

    def until_printed(self, text: str, count: int = 1) -> None:
        """Wait until it has printed `text` so many times."""
        deadline = time.monotonic() + PATIENCE_S
        while self.printed.count(text) < count:
            assert self.process.poll() is None, f"the server ended:\n{self.printed}"
            assert time.monotonic() < deadline, f"never printed {text!r}:\n{self.printed}"
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def command(self, *arguments: str) -> Done:
        """Run the command against this server, in this process."""
        return run_here(*arguments, environment=self._environment)

    @property
    def _environment(self) -> Mapping[str, str]:
        return {"RESTATE_ADMIN_URL": self.admin_url, "RESTATE_INGRESS_URL": self.ingress_url}

    def until_status(self, invocation_id: str, status: str) -> Mapping[str, object]:
        """Wait until an invocation has a status; gives what the admin API says of it."""
        deadline = time.monotonic() + PATIENCE_S
        with loopback.client() as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = client.get(f"{self.admin_url}/embedded/invocations/{invocation_id}").json()
                    found: Mapping[str, object] = answer["invocation"]
                    if found["status"] == status:
                        return found
                    assert time.monotonic() < deadline, f"{invocation_id} never was {status}: {found}"
                time.sleep(0.02)


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


def run_here(*arguments: str, environment: Mapping[str, str] | None = None) -> Done:
    """Run the command in this process; starting a process for each would take most of the time."""
    stdout, stderr = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        patch.setattr("sys.stdin", io.StringIO())
        try:
            code = main(arguments)
        except SystemExit as left:
            code = int(left.code or 0)
    stdout.seek(0)
    return Done(code, stdout.read(), stderr.getvalue())


def run_process(*arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Done:
    """Run the command as a process, to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**clean_environment(), **(environment or {})},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def clean_environment() -> dict[str, str]:
    """Give an environment in which the checkout is found and nothing else is set."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RESTATE_")}
    return {**clean, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
