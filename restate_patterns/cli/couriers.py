"""Serves the courier of a move in this process, on the Restate backend."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from restate_patterns.app import App
from restate_patterns.backends.restate import Restate
from restate_patterns.moving.courier import Courier
from restate_patterns.moving.destination import Destination
from restate_patterns.moving.mover import StartCourier
from restate_patterns.server import free_ports


def courier_of(destination: Destination, *, at: str | None, token: str | None) -> StartCourier:
    """Give what serves a courier.

    Args:
        destination: The server.
        at: `HOST:PORT` where the server can call back. Default: a free port on loopback.
        token: For the server.
    """

    @asynccontextmanager
    async def start(courier: Courier, before: str | None) -> AsyncGenerator[str]:
        # What a broken-off move has begun waits for the courier where it was.
        bind = before or at or f"127.0.0.1:{free_ports(1)[0]}"
        backend = Restate(
            ingress_url=destination.ingress_url, admin_url=destination.admin_url, bind=bind, force=True, token=token
        )
        async with App([courier]).start(backend):
            yield bind

    return start
