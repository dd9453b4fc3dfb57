"""A real Restate server with two endpoints: the bare restate-sdk's, and this framework's."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.processes import running, wait_for_listener
from benchmarks.sides import SERVER_DIR
from benchmarks.workers.protocol import Commands, Facts
from restate_patterns.admin import AdminClient
from restate_patterns.server import ServerConfig, free_ports, installed, running_server

HANDLERS = ("five", "calls", "noop")


@contextlib.asynccontextmanager
async def side() -> AsyncIterator[Commands]:
    """Serve `urls`: where to send load from outside, by handler; this framework's as `our_...`."""
    here = Path.cwd()
    bare_port, our_port = free_ports(2)
    bare = [sys.executable, "-m", "benchmarks.workers.restate_endpoint", str(bare_port)]
    ours = [sys.executable, "-m", "restate_patterns.cli", "serve", "benchmarks.workers.restate_services:app"]
    ours += ["--backend", "restate", "--bind", f"127.0.0.1:{our_port}"]
    config = ServerConfig(binary=installed(SERVER_DIR), base_dir=here / "server")
    bare_log, our_log = here / "bare.log", here / "ours.log"
    async with running_server(config) as server:
        with running(bare, bare_log) as bare_process, running(ours, our_log) as our_process:
            wait_for_listener(bare_process, bare_port, bare_log)
            wait_for_listener(our_process, our_port, our_log)
            async with AdminClient(server.admin_url) as admin:
                await admin.register(f"http://127.0.0.1:{bare_port}")
                await admin.register(f"http://127.0.0.1:{our_port}")

            async def urls() -> Facts:
                return {
                    "ingress": server.ingress_url,
                    **{name: f"{server.ingress_url}/Bench/{name}" for name in HANDLERS},
                    **{f"our_{name}": f"{server.ingress_url}/OurBench/{name}" for name in HANDLERS},
                    "process_ids": [server.nodes[0].process_id, bare_process.pid, our_process.pid],
                }

            yield {"urls": urls}
