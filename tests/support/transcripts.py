"""Runs the `console` blocks of a page: what people would type, with what they would see.

Lines that begin with `$ ` are typed; the lines after one are its output, in which `...` stands for
anything. `restate-patterns dev` serves in the background on free ports until the page ends or the page
starts it again: then the first one is killed, as the page tells people to do.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.pages import ROOT, Block, Page

READY_S = 60.0
QUIET_COMMAND_S = 1.2


@dataclass(frozen=True, slots=True)
class Command:
    """One line that is typed, and what it prints; `line` is its place on the page."""

    typed: str
    expected: str
    line: int


def commands(block: Block) -> Iterator[Command]:
    """Split a transcript at its prompts."""
    typed, line = "", 0
    expected: list[str] = []
    for number, text in enumerate(block.source.splitlines(), block.line):
        if text.startswith("$ "):
            if typed:
                yield Command(typed, "\n".join(expected), line)
            typed, line, expected = text[2:], number, []
        else:
            expected.append(text)
    if typed:
        yield Command(typed, "\n".join(expected), line)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Terminal:
    """A folder in which commands are typed, and the server that one of them started."""

    folder: Path
    ingress_port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    _server: subprocess.Popen[bytes] | None = None

    @functools.cached_property
    def slowness(self) -> float:
        """How many times longer a command takes here than on a quiet machine; at least 1."""
        since_s = time.monotonic()
        self._run("restate-patterns --help")
        return max(1.0, (time.monotonic() - since_s) / QUIET_COMMAND_S)

    @property
    def served(self) -> str:
        """All that the servers have printed."""
        log = self._log
        return log.read_text(encoding="utf-8") if log.exists() else ""

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def environment(self) -> dict[str, str]:
        """Give the environment in which our command is on PATH and finds the server."""
        scripts = str(Path(sys.executable).parent)
        return {
            **os.environ,
            "PATH": scripts + os.pathsep + os.environ.get("PATH", ""),
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "RESTATE_ADMIN_URL": f"http://127.0.0.1:{self.admin_port}",
            "RESTATE_INGRESS_URL": f"http://127.0.0.1:{self.ingress_port}",
            "COLUMNS": "200",
        }

    def type(self, page: Page, command: Command) -> None:
        """Run one command and compare what it prints."""
        if re.match(r"restate-patterns dev\b", command.typed):
            self.serve(command.typed)
            return
        done = self._run(command.typed)
        where = f"{page.name}:{command.line}: {command.typed}"
        assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"
        pattern = ".*".join(re.escape(part) for part in command.expected.strip().split("..."))
        assert re.fullmatch(pattern, done.stdout.strip(), re.DOTALL), f"{where}\n{done.stdout}{done.stderr}"

    def until_listed(self, seen: str) -> None:
        """Look at the server's invocations until something is said of one; faster than any command starts."""
        deadline = time.monotonic() + PATIENCE_S
        url = f"http://127.0.0.1:{self.admin_port}/embedded/invocations"
        while seen not in (listed := loopback.get(url).text):
            assert time.monotonic() < deadline, f"{seen} was never listed:\n{listed}"
            time.sleep(0.05)

    def _run(self, typed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            typed.replace(":8080", f":{self.ingress_port}").replace(":9070", f":{self.admin_port}"),
            shell=True,
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def serve(self, typed: str) -> None:
        """Start a server; one that runs already is killed first."""
        self.stop(signal.SIGKILL)
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [*typed.split(), f"--ingress-port={self.ingress_port}", f"--admin-port={self.admin_port}"],
                cwd=self.folder,
                env=self.environment(),
                executable=str(Path(sys.executable).parent / "restate-patterns"),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready(self._server)

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert server.poll() is None, f"the server ended:\n{self.served}"
            with contextlib.suppress(httpx.TransportError):
                if loopback.get(f"http://127.0.0.1:{self.ingress_port}/restate/health").is_success:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the server was not ready in {READY_S} s:\n{self.served}")

    def stop(self, how: signal.Signals) -> None:
        """End the server, the processes that it started included."""
        if self._server is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, how)
        self._server.wait(PATIENCE_S)
        self._server = None


@contextlib.contextmanager
def terminal(folder: Path) -> Iterator[Terminal]:
    """Give a terminal in a folder; nothing it started is left at the end."""
    screen = Terminal(folder)
    try:
        yield screen
        screen.stop(signal.SIGTERM)
    finally:
        screen.stop(signal.SIGKILL)
