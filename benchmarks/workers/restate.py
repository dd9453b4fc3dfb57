"""The peer restate-sdk on a real Restate server: starts both, registers one with the other."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.processes import free_ports, refuse_taken, running, wait_for_listener
from benchmarks.restate_server import running_server
from benchmarks.workers.protocol import Commands, Facts


@contextlib.asynccontextmanager
async def side() -> AsyncIterator[Commands]:
    """Serve `urls`: where to send load from outside."""
    here = Path.cwd()
    (port,) = free_ports(1)
    refuse_taken(port)
    endpoint = [sys.executable, "-m", "benchmarks.workers.restate_endpoint", str(port)]
    log = here / "endpoint.log"
    with running_server(here) as server, running(endpoint, log) as process:
        wait_for_listener(process, port, log)
        server.register(f"http://127.0.0.1:{port}")

        async def urls() -> Facts:
            return {
                "five": f"{server.ingress_url}/Bench/five",
                "noop": f"{server.ingress_url}/Bench/noop",
                "process_ids": [server.process_id, process.pid],
            }

        yield {"urls": urls}
