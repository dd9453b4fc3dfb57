"""Owns the HTTP load: `wrk` from outside, so that the side that is measured does not pay for its client."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.processes import ProcessError

POST = 'wrk.method = "POST"\n'
WARM_UP_S = 1.0
_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.MULTILINE)
_REFUSED = re.compile(r"^\s*(Non-2xx or 3xx responses: .*|Socket errors: .*)$", re.MULTILINE)


class LoaderMissingError(RuntimeError):
    """The load generator is not installed."""

    def __init__(self) -> None:
        super().__init__("`wrk` is missing: install it with the system's package manager (apt-get install wrk)")


def loader() -> str:
    """Give the path of `wrk`.

    Raises:
        LoaderMissingError: It is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise LoaderMissingError
    return found


def post_rate(url: str, *, connections: int, seconds: float) -> float:
    """POST without a body over so many connections, and give the answers a second, after a warm-up.

    Raises:
        LoaderMissingError: `wrk` is not installed.
        ProcessError: An answer was not a success, or a connection broke: such a rate means nothing.
    """
    _run(url, connections, WARM_UP_S)
    return _run(url, connections, seconds)


def _run(url: str, connections: int, seconds: float) -> float:
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "post.lua"
        script.write_text(POST)
        command = [loader(), "--threads=1", f"--connections={connections}", f"--duration={max(1, round(seconds))}s"]
        command += ["--timeout=30s", f"--script={script}", url]
        output = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False).stdout
    rate, refused = _RATE.search(output), _REFUSED.search(output)
    if rate is None or refused is not None:
        raise ProcessError(f"load on {url}: {refused[1] if refused else output}")
    return float(rate[1])
