"""Each program as its page says to start it, with what it prints."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import httpx
import pytest

from examples.processes import Program, free_ports
from examples.providers.__main__ import USUAL_PORTS
from examples.stage import Stage, own_server
from tests.support.examples.carts import Box
from tests.support.examples.trips import PLAN, TRIP, new_trip, steps
from tests.support.http import loopback


def ports_are_free() -> bool:
    for port in USUAL_PORTS.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


usual_ports = pytest.mark.skipif(not ports_are_free(), reason="a usual port of the providers is taken")
READY = [f"{name} ready at http://127.0.0.1:{port}" for name, port in USUAL_PORTS.items()]


@usual_ports
def test_all_providers_on_their_usual_ports(tmp_path: Path) -> None:
    with Program(["examples.providers"], log=tmp_path / "log") as program:
        program.wait_until(lambda: READY[-1] in program.output, "ready")
        assert program.output.splitlines() == READY
        for name, port in USUAL_PORTS.items():
            assert loopback.get(f"http://127.0.0.1:{port}/health").json() == {"name": name}


def is_up(ingress_port: int) -> bool:
    try:
        return loopback.get(f"http://127.0.0.1:{ingress_port}/restate/health").is_success
    except httpx.TransportError:
        return False


@usual_ports
@pytest.mark.parametrize(
    ("module", "services"),
    [
        ("examples.sagas.booking", "BookingWorkflow, CarRentals, Flights, SagaLog, StuckSagas"),
        ("examples.sagas.registration", "Address, Registration, SagaLog, StuckSagas"),
        ("examples.sagas.tickets", "CartObject, CheckoutService, Notifications, TicketObject, UserSession"),
    ],
)
def test_an_example_brings_its_providers(tmp_path: Path, module: str, services: str) -> None:
    ingress, admin = free_ports(2)
    ports = ["--ingress-port", str(ingress), "--admin-port", str(admin)]
    db = tmp_path / "example.db"
    with Program([module, "--db", str(db), *ports], log=tmp_path / "log") as program:
        program.wait_until(lambda: is_up(ingress) and READY[-1] in program.output, "ready")
        if module.endswith("booking"):
            answer = loopback.post(
                f"http://127.0.0.1:{ingress}/BookingWorkflow/{new_trip()}/run", json=TRIP, timeout=30
            )
            assert answer.status_code == 200
        program.send_signal(signal.SIGTERM)
        assert program.wait_for_end() == 0
    where = rf"ingress http://127\.0\.0\.1:{ingress}, admin http://127\.0\.0\.1:{admin}"
    assert set(READY) <= set(program.output.splitlines())
    assert re.search(
        rf"^serving {services} from {re.escape(str(db))}, process \d+: {where}$", program.output, re.MULTILINE
    )
    assert ports_are_free(), "the providers left with the example"


def dev(example: str) -> list[str]:
    return ["restate_patterns.cli", "dev", f"examples.sagas.{example}:app", "--no-reload"]


def test_the_command_line_serves_the_booking(tmp_path: Path) -> None:
    with Stage(dev("booking"), ["flights", "cars", "payments"], tmp_path) as stage:
        mark = stage.mark()
        assert stage.ingress.post(f"/BookingWorkflow/{new_trip()}/run", json=TRIP).status_code == 200
        assert steps(stage.seen_since(mark)) == PLAN


def test_the_command_line_serves_the_tickets(tmp_path: Path) -> None:
    with Stage(dev("tickets"), ["payments", "mail"], tmp_path) as stage:
        box = Box(stage)
        assert box.add("ann", "A1")
        assert box.checkout("ann")
        assert box.paid("ann") == ["40"]


def test_without_its_providers_an_example_says_how_to_start_them(tmp_path: Path) -> None:
    with Stage(own_server("examples.sagas.booking"), [], tmp_path, {"FLIGHTS_URL": "http://127.0.0.1:1"}) as stage:
        answer = stage.ingress.post(f"/BookingWorkflow/{new_trip()}/run", json=TRIP)
    assert answer.status_code == 500
    assert "nothing answers at http://127.0.0.1:1" in answer.json()["message"]
    assert "start it with `python -m examples.providers`" in answer.json()["message"]
