"""The peer restate-sdk on a real Restate server: starts both, registers one with the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.processes import ProcessError, free_ports, log_tail, refuse_taken, running
from benchmarks.restate_server import running_server
from benchmarks.workers.protocol import Commands, Facts

START_TIMEOUT_S = 20.0


async def wait_for_port(port: int, log: Path) -> None:
    """Wait until somebody listens on a port."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        await asyncio.sleep(0.05)
    raise ProcessError(f"the endpoint does not listen on port {port}:{log_tail(log)}")


@contextlib.asynccontextmanager
async def side() -> AsyncIterator[Commands]:
    """Serve `urls`: where to send load from outside."""
    here = Path.cwd()
    (port,) = free_ports(1)
    refuse_taken(port)
    endpoint = [sys.executable, "-m", "benchmarks.workers.restate_endpoint", str(port)]
    log = here / "endpoint.log"
    with running_server(here) as server, running(endpoint, log) as process:
        await wait_for_port(port, log)
        await asyncio.to_thread(server.register, f"http://127.0.0.1:{port}")
        if process.poll() is not None:
            raise ProcessError(f"the endpoint left:{log_tail(log)}")

        async def urls() -> Facts:
            return {
                "five": f"{server.ingress_url}/Bench/five",
                "noop": f"{server.ingress_url}/Bench/noop",
                "process_ids": [server.process_id, process.pid],
            }

        yield {"urls": urls}
