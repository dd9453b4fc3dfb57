"""Owns the processes of the benchmarks: what is started is stopped.

Knows nothing of what the processes do.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

STOP_TIMEOUT_S = 10.0
"""How long a process may take to leave after SIGTERM before it is killed."""

START_TIMEOUT_S = 20.0
"""How long a process may take to listen."""

POLL_S = 0.05

LOG_TAIL_LINES = 15
"""How much of a process's log an error shows."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ProcessError(RuntimeError):
    """A process that a benchmark needs did not start, or died."""


def die_with_parent() -> None:
    """Have this process killed when its parent ends, where the system can do that (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def log_tail(log: Path) -> str:
    """Give the last lines of a log, indented, for an error message."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "".join(f"\n    {line}" for line in lines)


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that cannot outlive this one; what it prints goes to `log`."""
    with log.open("ab") as sink:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=sink if stdout is None else stdout,
            stderr=sink,
            preexec_fn=die_with_parent,  # noqa: PLW1509  no threads are running here
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process: politely, then by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, *, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for as long as the block lasts."""
    process = spawn(command, log, cwd=cwd)
    try:
        yield process
    finally:
        stop(process)


def wait_for_listener(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a process listens on its port.

    Raises:
        ProcessError: It left, or does not listen in time; the message has the end of its log.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ProcessError(f"the process for port {port} left with {process.returncode}:{log_tail(log)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(POLL_S)
    raise ProcessError(f"nobody listens on port {port} after {START_TIMEOUT_S:.0f} s:{log_tail(log)}")
