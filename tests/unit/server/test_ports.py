"""Ports: a taken one is noticed however it is held, and none is given out twice."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from restate_patterns.server import PortTakenError, free_ports, refuse_taken
from restate_patterns.server.ports import is_taken
from tests.support.pages import ROOT

ASK = "from restate_patterns.server import free_ports; print(*free_ports(50)); input()"


@pytest.fixture(params=["plain", "shared", "every address"])
def held_port(request: pytest.FixtureRequest) -> Iterator[int]:
    with socket.socket() as listener:
        if request.param == "shared":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0" if request.param == "every address" else "127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_refused_by_name(held_port: int) -> None:
    """The sentence has the port, what it was for, how to see who holds it, and what else to do."""
    with pytest.raises(PortTakenError) as raised:
        refuse_taken(held_port, "ingress", "choose another with --ingress-port")
    assert str(raised.value) == (
        f"the ingress port {held_port} on 127.0.0.1 is taken: "
        "stop what listens there (`ss -ltnp`), or choose another with --ingress-port"
    )


def test_a_port_that_was_left_is_free(held_port: int) -> None:
    """Nobody listens any more: no wait for what the system remembers of old connections."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)) as listener:
        with socket.create_connection(("127.0.0.1", port)):
            listener.accept()[0].close()
        assert is_taken(port)
    assert not is_taken(port)
    assert is_taken(held_port)


def test_processes_at_the_same_time_get_different_ports() -> None:
    """Also before any of them listens."""
    asking = [
        subprocess.Popen([sys.executable, "-c", ASK], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    given = free_ports(50)
    try:
        for process in asking:
            assert process.stdout is not None
            given += [int(port) for port in process.stdout.readline().split()]
    finally:
        for process in asking:
            process.communicate(b"\n", timeout=30)
    assert len(given) == 200
    assert len(set(given)) == 200
