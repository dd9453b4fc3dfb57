"""Owns one operating system process of a server: started with its output in a file, ended within a bound.

Knows nothing of what the process does. It cannot outlive this one where the system can see to that (Linux).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio

_POLL_S: Final = 0.02
_LOG_TAIL_LINES: Final = 15
_LOG_TAIL_BYTES: Final = 16 * 1024
_PR_SET_PDEATHSIG: Final = 1
_IS_LINUX: Final = sys.platform.startswith("linux")
_LIBC: Final = ctypes.CDLL(None)


def _die_with_parent() -> None:
    if _IS_LINUX:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what a server would take for settings of its own.

    `RESTATE_...` overrides its configuration file, and a proxy has no business on loopback.
    """
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RESTATE_") and name != "RUST_LOG" and name.lower() not in proxies
    }


class Process:
    """A process; start it from a thread that stays, for it ends with that thread.

    Args:
        command: What to run.
        directory: Where to run it.
        log: Where its output goes; appended to.
    """

    def __init__(self, command: Sequence[str], *, directory: Path, log: Path) -> None:
        self._log = log
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                # Ctrl-C is for us: we stop our processes in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  one call that takes no lock
            )

    @property
    def id(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, the negative number of a signal included, or None while it runs."""
        return self._process.poll()

    def log_tail(self) -> str:
        """The last lines of its output, indented, for an error message."""
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "".join(f"\n    {line}" for line in lines)

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        if self.exit_code is None:
            self._process.kill()
        await self.ended()

    async def stop(self, timeout_s: float) -> None:
        """End it with SIGTERM, or with SIGKILL when that took more than `timeout_s` seconds."""
        if self.exit_code is None:
            self._process.terminate()
            with anyio.move_on_after(timeout_s):
                await self.ended()
        await self.kill()

    async def ended(self) -> int:
        """Wait until it has ended and give its exit code."""
        while (code := self.exit_code) is None:  # noqa: ASYNC110  it belongs to no loop, so none can be told
            await anyio.sleep(_POLL_S)
        return code
