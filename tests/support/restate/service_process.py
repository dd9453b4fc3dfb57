"""Services on a Restate server as a process of their own, for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

from benchmarks.service_process import Process
from benchmarks.service_process import ServiceProcess as ColdServiceProcess
from restate_patterns.server import RunningServer
from tests.support.pages import ROOT
from tests.support.processes.warm import WarmProcess


class ServiceProcess(ColdServiceProcess):
    """One that begins warm."""

    @override
    def _begin(self, arguments: Sequence[str], environment: Mapping[str, str], log: int) -> Process:
        return WarmProcess(arguments, cwd=ROOT, env=environment, stdout=log, stderr=log)


@contextmanager
def services_of(app: str, server: RunningServer, folder: Path, *options: str) -> Iterator[ServiceProcess]:
    """Serve an app while the block lasts."""
    services = ServiceProcess(app, server, folder, *options)
    services.start()
    try:
        yield services
    finally:
        services.kill()
