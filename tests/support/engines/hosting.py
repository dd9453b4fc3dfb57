"""Backends to host an app on in this process: the embedded engine, and a real Restate server."""

from __future__ import annotations

from pathlib import Path

import pytest

from restate_patterns import Embedded, Restate
from restate_patterns.engine.backend import Backend
from restate_patterns.server import RunningServer, free_ports

EMBEDDED, RESTATE, SUSPENDING = "embedded", "restate", "suspending"
BACKENDS = [EMBEDDED, RESTATE, SUSPENDING]
_FIXTURES = {RESTATE: "restate_server", SUSPENDING: "suspending_restate_server"}


def backend_of(request: pytest.FixtureRequest, name: str, folder: Path) -> Backend:
    """Give a backend that can be started again and finds everything as it was."""
    if name == EMBEDDED:
        return Embedded(folder / "app.db")
    server: RunningServer = request.getfixturevalue(_FIXTURES[name])
    (port,) = free_ports(1)
    return Restate(ingress_url=server.ingress_url, admin_url=server.admin_url, bind=f"127.0.0.1:{port}")
