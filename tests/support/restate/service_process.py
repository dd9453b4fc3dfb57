"""Services on a Restate server as a process of their own, for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.service_process import ServiceProcess
from restate_patterns.server import RunningServer

__all__ = ["ServiceProcess", "services_of"]


@contextmanager
def services_of(app: str, server: RunningServer, folder: Path, *options: str) -> Iterator[ServiceProcess]:
    """Serve an app while the block lasts."""
    services = ServiceProcess(app, server, folder, *options)
    services.start()
    try:
        yield services
    finally:
        services.kill()
