"""The peer restate-sdk on a real Restate server: starts both, registers one with the other."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from benchmarks.processes import running, wait_for_listener
from benchmarks.sides import SERVER_DIR
from benchmarks.workers.protocol import Commands, Facts
from restate_patterns.server import ServerConfig, free_ports, installed, running_server


@contextlib.asynccontextmanager
async def side() -> AsyncIterator[Commands]:
    """Serve `urls`: where to send load from outside."""
    here = Path.cwd()
    (port,) = free_ports(1)
    endpoint = [sys.executable, "-m", "benchmarks.workers.restate_endpoint", str(port)]
    log = here / "endpoint.log"
    config = ServerConfig(binary=installed(SERVER_DIR), base_dir=here / "server")
    async with running_server(config) as server:
        with running(endpoint, log) as process:
            wait_for_listener(process, port, log)
            async with httpx.AsyncClient(trust_env=False) as client:
                registered = await client.post(
                    f"{server.admin_url}/deployments", json={"uri": f"http://127.0.0.1:{port}"}
                )
                registered.raise_for_status()

            async def urls() -> Facts:
                return {
                    "five": f"{server.ingress_url}/Bench/five",
                    "noop": f"{server.ingress_url}/Bench/noop",
                    "process_ids": [server.nodes[0].process_id, process.pid],
                }

            yield {"urls": urls}
