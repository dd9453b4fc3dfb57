"""A real Restate server with the workshop registered, for tests marked `restate`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.restate_server import RestateServer, ServerMissingError, running_server

from benchmarks.processes import free_ports, running, wait_for_listener
from tests.support.pages import ROOT
from tests.support.workshops import Workshop

ENDPOINT = (sys.executable, "-m", "tests.support.sdk_workshop")


@contextlib.contextmanager
def restate_server(folder: Path) -> Iterator[RestateServer]:
    """Run a server of its own, with its data in `folder`, while the block lasts."""
    try:
        with running_server(folder) as server:
            yield server
    except ServerMissingError as error:
        pytest.skip(str(error))


@contextlib.contextmanager
def sdk_endpoint(folder: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """Serve the workshop of `sdk_workshop` while the block lasts; gives its URL."""
    for package in ("restate", "hypercorn"):
        pytest.importorskip(package)
    (chosen,) = free_ports(1) if port is None else (port,)
    log = folder / f"endpoint-{chosen}.log"
    with running([*ENDPOINT, str(chosen), *options], log, cwd=ROOT) as process:
        wait_for_listener(process, chosen, log)
        yield f"http://127.0.0.1:{chosen}"
        # It does not leave on SIGTERM while an invocation is open.
        process.kill()


@contextlib.contextmanager
def restate_workshop(folder: Path) -> Iterator[Workshop]:
    """Run a server with the workshop registered while the block lasts."""
    with restate_server(folder) as server, sdk_endpoint(folder) as endpoint:
        server.register(endpoint)
        yield Workshop("restate", server.ingress_url, server.admin_url)
