"""A real Restate server with the bare SDK's workshop registered, for tests marked `restate`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import running, wait_for_listener
from restate_patterns.admin import AdminClient
from restate_patterns.server import RunningServer, ServerConfig, free_ports, install
from tests.support.pages import ROOT
from tests.support.processes.workshops import Workshop
from tests.support.restate.servers import INSTALL_DIRECTORY, served

ENDPOINT = (sys.executable, "-m", "tests.support.restate.sdk_workshop")


@contextlib.contextmanager
def own_server() -> Iterator[RunningServer]:
    """Run a server with nothing registered while the block lasts."""
    with served(ServerConfig(binary=install(INSTALL_DIRECTORY))) as server:
        yield server


@contextlib.contextmanager
def sdk_endpoint(folder: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """Serve the workshop of `sdk_workshop` while the block lasts; gives its URL."""
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
    with own_server() as server, sdk_endpoint(folder) as endpoint:
        asyncio.run(_register(endpoint, server))
        yield Workshop("restate", server.ingress_url, server.admin_url)


async def _register(endpoint: str, server: RunningServer) -> None:
    async with AdminClient(server.admin_url) as admin:
        await admin.register(endpoint)
