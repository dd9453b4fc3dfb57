"""Starting programs of the examples as processes of their own, and never leaving one behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
_STOP_S = 10.0


class ProcessError(Exception):
    """A program did not do what was expected of it; the message has the end of its output."""


class Program:
    """A Python module that runs as a process, from `with` to the end of its block.

    Its output goes to a file. Its standard input stays open as long as this process lives, so that
    programs that watch it leave with us even when we are killed.

    Args:
        arguments: What follows `python -m`.
        log: Where its output goes; appended to.
        environment: Variables on top of ours.
    """

    def __init__(self, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._arguments = arguments
        self._log = log
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._running.pid

    @property
    def output(self) -> str:
        """All that it has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProcessError(f"{self._arguments[0]} is not running")
        return self._process

    def start(self) -> None:
        """Start it, or start it again after `kill` or `stop`."""
        if self._process is not None:
            raise ProcessError(f"{self._arguments[0]} is running already")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", *self._arguments],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for us: we stop our programs in order.
                start_new_session=True,
            )

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        process = self._running
        process.send_signal(signal.SIGKILL)
        self._reap(process)

    def stop(self) -> None:
        """End it with SIGTERM, or with SIGKILL when it does not listen; if it runs at all."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._reap(process)

    def close_input(self) -> None:
        """Close its standard input, as if this process were gone."""
        if (stdin := self._running.stdin) is not None:
            stdin.close()

    def wait_for_end(self, timeout_s: float = 15.0) -> int:
        """Wait until it ends by itself and give its exit code.

        Raises:
            ProcessError: `timeout_s` seconds were not enough.
        """
        try:
            return self._running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self._arguments[0]} still runs\n{self._tail()}") from None

    def wait_until(self, ready: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
        """Wait until `ready()` is true.

        Raises:
            ProcessError: The program ended first, or `timeout_s` seconds were not enough.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            code = self._running.poll()
            # Asked once more: it may have become ready and ended between the two questions.
            if code is not None and not ready():
                raise ProcessError(f"{self._arguments[0]} ended with {code}\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{what}: not within {timeout_s:g} s\n{self._tail()}")
            time.sleep(0.02)

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._process = None

    def _tail(self) -> str:
        return "\n".join(self.output.splitlines()[-30:])


def leave_with_parent() -> None:
    """Stop this program when whoever started it is gone, however that one ended.

    A `Program` keeps our standard input open as long as it lives, so the end of the input is the news.
    """

    def watch() -> None:
        # Past Python's buffer, whose lock this thread would hold when the interpreter ends: that is fatal.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def free_ports(count: int) -> list[int]:
    """Give ports of the loopback interface that nobody listens on right now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
