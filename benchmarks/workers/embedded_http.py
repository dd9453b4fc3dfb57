"""This framework on its embedded engine, served over HTTP by a process of its own, as `app.serve` does."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.processes import running, wait_for_listener
from benchmarks.workers.protocol import Commands, Facts
from restate_patterns.server import free_ports


@contextlib.asynccontextmanager
async def side() -> AsyncIterator[Commands]:
    """Serve `urls`: where to send load from outside."""
    here = Path.cwd()
    ports = free_ports(2)
    log = here / "server.log"
    command = [sys.executable, "-m", "benchmarks.workers.embedded_server", "embedded.db", *map(str, ports)]
    with running(command, log) as process:
        for port in ports:
            wait_for_listener(process, port, log)

        async def urls() -> Facts:
            url = f"http://127.0.0.1:{ports[0]}/Bench"
            return {"five": f"{url}/five", "noop": f"{url}/noop", "process_ids": [process.pid]}

        yield {"urls": urls}
