"""The demonstration: a trip that is booked, one that is undone, and one that survives kill -9.

    make demo

Every claim is checked against what the companies recorded; if one does not hold, the exit code is 1.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from examples.processes import ProcessError
from examples.providers.faults import FaultKind
from examples.stage import Seen, Stage, own_server

TRIP = {
    "flights": {"flightId": "LH-454", "passengerName": "Ada Lovelace"},
    "car": {"pickupLocation": "Airport", "rentalDate": "2026-12-16"},
    "paymentInfo": {"cardNumber": "4111111111111111", "amount": 1500},
}
FORWARD = ["flights reserve", "cars reserve", "payments charge", "flights confirm", "cars confirm"]


class ClaimError(Exception):
    """Something is not as the demonstration says."""


def main() -> int:
    """Play all three runs and give the exit code."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="restate-patterns-demo-") as folder:
        stage = Stage(own_server("examples.sagas.booking"), ["flights", "cars", "payments"], Path(folder))
        try:
            with stage:
                introduce(stage)
                a_trip_that_is_booked(stage)
                a_trip_that_is_undone(stage)
                a_trip_that_survives(stage)
        except (ClaimError, ProcessError) as error:
            say(f"\nNOT AS CLAIMED: {error}")
            return 1
        except KeyboardInterrupt:
            say("\nStopped; every process is gone.")
            return 130
    say(f"\nAll as claimed, in {time.monotonic() - started:.1f} s. The code: examples/sagas/booking/trip.py")
    return 0


def introduce(stage: Stage) -> None:
    say("A trip is a flight, a car and a payment, at three companies: all of it is booked, or none of it.")
    say("Each company is an HTTP server in a process of its own:")
    for provider in stage.providers.values():
        say(f"    {provider.name:<9} {provider.url}")
    say("The booking service runs in one process, on one SQLite file, with nothing else to install:")
    say(f"    {'booking':<9} {stage.ingress_url}  (process {stage.server_pid}, {stage.db.name})")


def a_trip_that_is_booked(stage: Stage) -> None:
    headline("1. A trip that is booked")
    mark = stage.mark()
    say("    POST /BookingWorkflow/ada/run")
    answer = stage.ingress.post("/BookingWorkflow/ada/run", json=TRIP)
    say(f"    -> {answer.status_code} {answer.text}")
    seen = show_requests(stage, mark)
    claim(answer.status_code == 200, "the trip is booked")
    claim(steps(seen) == FORWARD, "each company was asked once, in order")
    say("You saw: two reservations, one payment, two confirmations.")


def a_trip_that_is_undone(stage: Stage) -> None:
    headline("2. A trip that fails at the payment")
    stage.providers["payments"].fail("charge", FaultKind.DECLINE)
    mark = stage.mark()
    say("    POST /BookingWorkflow/bob/run     (the payment provider will decline the card)")
    answer = stage.ingress.post("/BookingWorkflow/bob/run", json=TRIP)
    say(f"    -> {answer.status_code} {answer.json()['message']}")
    seen = show_requests(stage, mark, at_the_same_time="cancel")
    claim(answer.status_code == 402, "the caller is told that the payment was declined")
    claim(steps(seen)[:3] == FORWARD[:3], "the trip got as far as the payment")
    undone = steps(seen)[3:]
    claim(undone[0] == "payments refund", "the undo began with the newest action")
    claim(sorted(undone[1:]) == ["cars cancel", "flights cancel"], "then both reservations went, at the same time")
    reserved, cancelled = subjects(seen, "reserve", stage), subjects(seen, "cancel", stage)
    claim(reserved == cancelled, "what was reserved is what was cancelled")
    say("You saw: the undo actions, newest first. The refund was registered before the charge, because")
    say("a payment that gets no answer may still have happened; refunding what never happened is harmless.")


def a_trip_that_survives(stage: Stage) -> None:
    headline("3. A trip whose server is killed in the middle")
    payments = stage.providers["payments"]
    payments.fail("charge", FaultKind.SLOW, delay_s=60)
    mark = stage.mark()
    say("    POST /BookingWorkflow/cleo/run/send     (the payment provider takes the money, and dawdles)")
    accepted = stage.ingress.post("/BookingWorkflow/cleo/run/send", json=TRIP)
    say(f"    -> {accepted.status_code} {accepted.text}")
    claim(accepted.status_code == 202, "the trip is accepted")
    stage.wait_for_request("payments", "charge", after=mark["payments"])
    say(f"    kill -9 {stage.server_pid}     (the money has moved, and no answer has arrived)")
    stage.kill_server()
    stage.start_server()
    say(f"    started again on the same file, as process {stage.server_pid}")
    answer = stage.ingress.get("/restate/workflow/BookingWorkflow/cleo/attach")
    say("    GET /restate/workflow/BookingWorkflow/cleo/attach")
    say(f"    -> {answer.status_code} {answer.text}")
    seen = show_requests(stage, mark)
    claim(answer.status_code == 200, "the trip is booked after all")
    expected = [*FORWARD[:3], "payments charge", *FORWARD[3:]]
    claim(steps(seen) == expected, "only the payment, which had no answer yet, was asked for again")
    keys = {each.subject for each in seen if each.operation == "charge"}
    claim(len(keys) == 1, "the second charge used the key of the first")
    claim(payments.records[keys.pop()].state == "charged", "the money moved once")
    say("You saw: the new process knew both reservations from its file and did not repeat them. The charge")
    say("had no recorded answer, so it was sent again with the same key, and the provider charged once.")


def steps(seen: Sequence[Seen]) -> list[str]:
    return [f"{each.provider} {each.operation}" for each in seen]


def subjects(seen: Sequence[Seen], operation: str, stage: Stage) -> set[str]:
    """Give the ids of the reservations that an operation was about; for `reserve`, those it made."""
    if operation != "reserve":
        return {each.subject for each in seen if each.operation == operation}
    keys = {each.subject for each in seen if each.operation == "reserve"}
    companies = [stage.providers["flights"], stage.providers["cars"]]
    return {record.id for each in companies for record in each.records.values() if record.key in keys}


def show_requests(stage: Stage, mark: dict[str, int], at_the_same_time: str = "") -> list[Seen]:
    """Show what arrived, in order; requests that were made at the same time, by company."""
    seen = stage.seen_since(mark)
    together = sorted((each for each in seen if each.operation == at_the_same_time), key=lambda each: each.provider)
    seen = [together.pop(0) if each.operation == at_the_same_time else each for each in seen]
    say("    What the companies saw:")
    for each in seen:
        say(f"        {each}")
    return seen


def claim(holds: bool, what: str) -> None:
    """Say `what` if it holds.

    Raises:
        ClaimError: It does not.
    """
    if not holds:
        raise ClaimError(what)
    say(f"    ok: {what}")


def headline(text: str) -> None:
    say(f"\n{text}\n{'-' * len(text)}")


def say(text: str) -> None:
    print(text, flush=True)


def _leave(number: int, frame: object) -> NoReturn:
    """Unwind on SIGTERM, so that the processes end and the files go."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
