"""Runs curl lines exactly as a page prints them, against a server on another port than the page's."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

_STATUS = "\n%{http_code}"


@dataclass(frozen=True)
class CurlAnswer:
    """What curl printed: the body, and the status of the (last) answer."""

    status: int
    body: str
    exit_code: int


def run_line(line: str, *, ingress_port: int) -> CurlAnswer:
    """Hand `line` to a shell, with `localhost:8080` leading to `ingress_port`.

    The line itself is not touched: the shell's `curl` is one that connects elsewhere.
    """
    script = (
        f"curl() {{ command curl --silent --show-error --noproxy '*' --max-time 30 "
        f'--write-out "$CURL_STATUS" --connect-to localhost:8080:127.0.0.1:{ingress_port} "$@"; }}\n{line}\n'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "CURL_STATUS": _STATUS},
    )
    body, _, status = done.stdout.rpartition("\n")
    return CurlAnswer(int(status or "0"), body, done.returncode)
