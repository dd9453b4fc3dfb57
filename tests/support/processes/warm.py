"""Our command as a process that begins warm: forked from one that has its modules, whose loading is most of a start.

It has a process id, streams, a folder and an environment of its own, and is killed like any other. Tests of the start
itself begin with `COMMAND` instead.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import reduction
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from restate_patterns.cli import main

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["restate_patterns.cli.command", "restate_patterns.backends.restate"])


class WarmProcess:
    """What `subprocess.Popen` is for a process from nothing, as far as tests need it.

    Args:
        arguments: The command line, after the name of the command.
        cwd: Where it runs; modules are found there, as with `python -m`.
        env: All its variables.
        stdout: The descriptor that it prints to.
        stderr: The descriptor of its complaints. There is nothing for it to read.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
    ) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            streams = [_Descriptor(nothing), _Descriptor(stdout), _Descriptor(stderr)]
            self._process = _CONTEXT.Process(
                target=_run, args=([*arguments], str(cwd), dict(env), streams), daemon=True
            )
            self._process.start()
        finally:
            os.close(nothing)

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended: its exit code, or the signal below zero; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Say how it ended; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, up to `timeout` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("restate-patterns", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int, /) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)


class _Descriptor:
    """A file descriptor that travels to the process."""

    def __init__(self, number: int) -> None:
        self.number = number

    @override
    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _received, (reduction.DupFd(self.number),)


def _received(sent: Any) -> int:
    number: int = sent.detach()
    return number


def _run(arguments: list[str], cwd: str, env: dict[str, str], streams: list[int]) -> None:
    """Become what `python -m restate_patterns.cli` would be there."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "rb", closefd=False)))
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "wb", closefd=False), write_through=True) for number in (1, 2)
    )
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    paths = [cwd, *env.get("PYTHONPATH", "").split(os.pathsep)]
    sys.path[:] = [*dict.fromkeys(path for path in paths if path), *sys.path]
    sys.argv = ["restate-patterns", *arguments]
    sys.exit(main(arguments))
