"""Every curl line of the tutorials, byte for byte, against the examples.

The lines are in `curl_lines/`, copied from Restate's tour (TypeScript), its ticket reservation
example and its Java pattern examples. One of them is misprinted: the tour once has no space before
`-H` after `expireTicket`; it is kept as printed, and must fail as it does there.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from examples.stage import Stage
from restate_patterns.admin import AdminClient
from tests.support.http.curl import run_line

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

FOLDER = Path(__file__).parent / "curl_lines"
MISPRINT = "expireTicket-H"


def lines(page: str) -> list[str]:
    return [line.strip() for line in (FOLDER / f"{page}.txt").read_text().split("\n\n")]


def test_the_tour(tickets: Stage) -> None:
    answers = [
        run_line(line, ingress_port=tickets.ingress_port)
        for line in lines("tour-of-restate-typescript")
        if MISPRINT not in line
    ]
    add, checkout, sent, expire, add_a, add_b, add_c, checkout_again = answers
    assert (add.status, add.body) == (200, "true")
    assert (checkout.status, checkout.body) == (200, "true")
    assert sent.status == 202
    assert json.loads(sent.body)["invocationId"].startswith("inv_")
    assert (expire.status, expire.body) == (200, "")
    assert (add_a.body, add_b.body, add_c.body) == ("true", "false", "true"), "seat2B is sold"
    assert (checkout_again.status, checkout_again.body) == (200, "true")


def test_the_misprinted_line(tickets: Stage) -> None:
    (misprinted,) = (line for line in lines("tour-of-restate-typescript") if MISPRINT in line)
    answer = run_line(misprinted, ingress_port=tickets.ingress_port)
    assert answer.exit_code != 0
    assert "handler 'expireTicket-H' was not found" in answer.body
    mended = run_line(misprinted.replace("expireTicket-H", "expireTicket -H"), ingress_port=tickets.ingress_port)
    assert (mended.status, mended.body, mended.exit_code) == (200, "", 0)


def test_the_older_ticket_reservation(tickets: Stage) -> None:
    add, checkout = lines("ticket-reservation-readme")
    first, second, paid = (run_line(line, ingress_port=tickets.ingress_port) for line in (add, add, checkout))
    assert (first.status, first.body) == (200, "true")
    assert (second.status, second.body) == (200, "false"), "a seat cannot be reserved twice"
    assert (paid.status, paid.body) == (200, "true")


def test_the_java_saga(booking: Stage) -> None:
    (line,) = lines("java-patterns-readme")
    answer = run_line(line, ingress_port=booking.ingress_port)
    assert answer.status == 200, answer.body
    assert set(json.loads(answer.body)) == {"flightId", "carId", "paymentId"}


def test_the_java_payments(payments: Stage) -> None:
    make, cancel = (run_line(line, ingress_port=payments.ingress_port) for line in lines("java-patterns-payments"))
    assert (make.status, cancel.status) == (200, 200), (make.body, cancel.body)
    assert "paid 100 cents" in make.body
    assert "100 cents are back" in cancel.body

    async def kept() -> Mapping[str, bytes]:
        async with AdminClient(payments.admin_url) as admin:
            return await admin.get_state("PaymentProcessor", "some-string-id")

    state = {name: json.loads(value) for name, value in asyncio.run(kept()).items()}
    assert state["status"] == "CANCELLED"
    assert state["payment"] == {"accountId": "abc", "amountCents": 100}


def test_the_java_machines(machines: Stage) -> None:
    """The second block is pasted as a whole: five requests at the same time, for two machines."""
    alone, together = lines("java-patterns-machines")
    answer = run_line(alone, ingress_port=machines.ingress_port)
    assert (answer.status, json.loads(answer.body)) == (200, "my-machine is running")
    printed = run_line(together, ingress_port=machines.ingress_port)
    assert printed.body.count("\n200") + (printed.status == 200) == 5, printed.body
    for machine, count in ("a", 2), ("b", 3):
        assert len(machines.ingress.post(f"/MachineOperator/{machine}/history").json()) == count
