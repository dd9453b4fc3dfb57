"""The providers themselves: a test of a saga is worth what its companies are worth."""

from __future__ import annotations

import socket
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from pydantic import JsonValue

from examples.processes import Program, free_ports
from examples.providers.desks import RESERVED_S, Order, ReservationDesk
from examples.providers.faults import Fault, FaultKind
from examples.providers.ledger import Record
from examples.providers.provider import Answer, Provider, Request
from examples.providers.remote_control import RunningProvider, running_provider
from tests.support.http import loopback


def post(provider: Provider, path: str, body: dict[str, JsonValue] | None = None, key: str | None = None) -> Answer:
    answer = provider.answer(Request("POST", path, body or {}, key))
    answer.sent()
    return answer


def order(provider: Provider, operation: str, kind: FaultKind, times: int | None = 1) -> None:
    provider.faults.order(Fault(operation=operation, kind=kind, times=times))


def reserve(provider: Provider, key: str | None = None) -> str:
    answer = post(provider, "/reservations", {"flight": "LH1"}, key)
    assert answer.reply.status == 201
    return str(answer.reply.body["id"])


def test_a_reservation_is_confirmed_or_cancelled() -> None:
    flights = Provider("flights")
    first, second = reserve(flights), reserve(flights)
    assert post(flights, f"/reservations/{first}/confirm").reply.status == 200
    assert post(flights, f"/reservations/{second}/cancel").reply.status == 200
    assert {name: record.state for name, record in flights.records.items()} == {
        first: "confirmed",
        second: "cancelled",
    }


@pytest.mark.parametrize("operation", ["confirm", "cancel"])
def test_confirm_and_cancel_are_idempotent(operation: str) -> None:
    cars = Provider("cars")
    name = reserve(cars)
    answers = [post(cars, f"/reservations/{name}/{operation}") for _ in range(2)]
    assert answers[0].reply == answers[1].reply
    assert answers[0].reply.status == 200


def test_what_was_cancelled_cannot_be_confirmed() -> None:
    cars = Provider("cars")
    name = reserve(cars)
    post(cars, f"/reservations/{name}/cancel")
    assert post(cars, f"/reservations/{name}/confirm").reply.status == 409


def test_what_nobody_confirms_lapses() -> None:
    now_s = 0.0
    desk = ReservationDesk("flight", "sold out", now_s=lambda: now_s)
    records: dict[str, Record] = {}
    first, second = (str(desk.act(Order("reserve", None, None, {}), records).body["id"]) for _ in range(2))
    assert desk.act(Order("confirm", first, None, {}), records).status == 200
    now_s = RESERVED_S + 1
    assert desk.act(Order("confirm", second, None, {}), records).status == 409
    assert [records[first].state, records[second].state] == ["confirmed", "lapsed"]


def test_one_key_is_one_reservation() -> None:
    flights = Provider("flights")
    assert reserve(flights, "k1") == reserve(flights, "k1") != reserve(flights, "k2")
    assert len(flights.records) == 2


def test_one_key_is_one_payment() -> None:
    payments = Provider("payments")
    answers = [post(payments, "/payments", {"amount": "5"}, "k") for _ in range(3)]
    assert {answer.reply.status for answer in answers} == {201}
    assert [record.state for record in payments.records.values()] == ["charged"]


def test_a_payment_without_key_is_refused() -> None:
    assert post(Provider("payments"), "/payments", {"amount": "5"}).reply.status == 400


def test_a_refund_before_the_charge_keeps_the_charge_from_happening() -> None:
    payments = Provider("payments")
    assert post(payments, "/payments/k/refund").reply.body == {"id": "k", "state": "void"}
    assert post(payments, "/payments", {"amount": "5"}, "k").reply.status == 409
    assert payments.records["k"].state == "void"


def test_an_error_does_nothing_and_is_over_after_its_times() -> None:
    flights = Provider("flights")
    order(flights, "reserve", FaultKind.ERROR, times=2)
    statuses = [post(flights, "/reservations", {}, "k").reply.status for _ in range(3)]
    assert statuses == [503, 503, 201]
    assert [entry.status for entry in flights.history] == statuses


def test_a_refusal_is_final_for_its_key() -> None:
    payments = Provider("payments")
    order(payments, "charge", FaultKind.DECLINE)
    statuses = [post(payments, "/payments", {}, key).reply.status for key in ("k1", "k1", "k2")]
    assert statuses == [402, 402, 201]


def test_a_lost_answer_was_acted_on() -> None:
    flights = Provider("flights")
    order(flights, "reserve", FaultKind.LOST_ANSWER)
    lost = post(flights, "/reservations", {}, "k")
    assert lost.lost
    assert len(flights.records) == 1
    assert post(flights, "/reservations", {}, "k").reply == lost.reply
    assert [(entry.fault, entry.status) for entry in flights.history] == [
        (FaultKind.LOST_ANSWER, None),
        (None, 201),
    ]


def test_a_fault_hits_only_its_operation() -> None:
    flights = Provider("flights")
    order(flights, "confirm", FaultKind.ERROR, times=None)
    name = reserve(flights)
    assert post(flights, f"/reservations/{name}/confirm").reply.status == 503
    assert post(flights, f"/reservations/{name}/cancel").reply.status == 200


def test_a_file_outlives_its_provider(tmp_path: Path) -> None:
    file = tmp_path / "payments.json"
    first = Provider("payments", file)
    post(first, "/payments", {"amount": "5"}, "k")
    second = Provider("payments", file)
    assert second.records == first.records
    assert second.history == first.history
    post(second, "/payments", {"amount": "5"}, "k")
    assert len(second.records) == 1


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningProvider]:
    with running_provider("payments", tmp_path_factory.mktemp("payments")) as provider:
        yield provider


def charge(provider: RunningProvider, key: str, timeout_s: float = 5) -> httpx.Response:
    return loopback.post(f"{provider.url}/payments", json={}, headers={"idempotency-key": key}, timeout=timeout_s)


def test_over_http_it_answers(running: RunningProvider) -> None:
    assert charge(running, "plain").json() == {"id": "plain", "state": "charged"}
    assert running.records["plain"].state == "charged"


def test_over_http_an_answer_gets_lost(running: RunningProvider) -> None:
    running.fail("charge", FaultKind.LOST_ANSWER)
    with pytest.raises(httpx.RemoteProtocolError):
        charge(running, "lost")
    assert charge(running, "lost").status_code == 201


def test_over_http_an_answer_is_late(running: RunningProvider) -> None:
    running.fail("charge", FaultKind.SLOW, delay_s=30)
    with pytest.raises(httpx.ReadTimeout):
        charge(running, "late", timeout_s=0.1)
    assert running.records["late"].state == "charged"
    assert running.history[-1].status is None


@pytest.mark.parametrize("sent", [b"", b'{"card": '])
def test_over_http_half_a_request_is_none(running: RunningProvider, sent: bytes) -> None:
    url = httpx.URL(running.url)
    head = b"POST /payments HTTP/1.1\r\ncontent-length: 20\r\nidempotency-key: half\r\n\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(head + sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert "half" not in running.records


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"operation": "charge", "kind": "odd"}'])
def test_over_http_nonsense_is_refused(running: RunningProvider, content: bytes) -> None:
    assert loopback.post(f"{running.url}/faults", content=content).status_code == 400


def test_over_http_unknown_paths_are_404(running: RunningProvider) -> None:
    assert loopback.post(f"{running.url}/reservations").status_code == 404
    assert loopback.get(f"{running.url}/payments").status_code == 404


def test_the_program_says_that_a_port_is_taken(tmp_path: Path, running: RunningProvider) -> None:
    port = running.url.rpartition(":")[2]
    program = Program(["examples.providers", "cars", "--port", port], log=tmp_path / "log")
    with program:
        program.wait_until(lambda: "cannot be used" in program.output, "the error")
    assert f"port {port}" in program.output


def test_the_program_leaves_with_its_parent(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    program = Program(["examples.providers", "cars", "--port", str(port), "--with-parent"], log=tmp_path / "log")
    with program:
        program.wait_until(lambda: "ready" in program.output, "ready")
        program.close_input()
        program.wait_for_end()
