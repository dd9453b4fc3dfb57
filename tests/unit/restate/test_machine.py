"""What the SDK refuses is told apart: code that changed, a server that is too old, a connection that says nonsense."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from restate_patterns.errors import Failure, JournalMismatch
from restate_patterns.restate.machine import Machine, MachineBroken, RunDue, ServerTooOld

_START, _INPUT, _GET_STATE, _NOTHING_KNOWN = 0x0000, 0x0400, 0x0402, 0x03FF
_FIELD_BYTES, _FIELD_NUMBER = 2, 0


def message(kind: int, *fields: bytes) -> bytes:
    """A message of the service protocol. https://github.com/restatedev/service-protocol"""
    body = b"".join(fields)
    return struct.pack(">HHI", kind, 0, len(body)) + body


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3 | _FIELD_NUMBER, value])
    return bytes([number << 3 | _FIELD_BYTES, len(value)]) + value


def begun(*journal: bytes, version: int = 6) -> Machine:
    """A machine whose attempt has begun, with its input and then these entries in the journal."""
    entries = [message(_INPUT, field(14, b"")), *journal]
    machine = Machine([("content-type", f"application/vnd.restate.invocation.v{version}")])
    machine.feed(message(_START, field(1, b"\1" * 16), field(2, b"inv_1"), field(3, len(entries)), field(5, 1)))
    for entry in entries:
        machine.feed(entry)
    assert machine.is_ready()
    assert machine.start().invocation_id == "inv_1"
    return machine


@pytest.mark.parametrize(
    "ask",
    [
        lambda machine: machine.sleep(1000, "nap"),
        lambda machine: machine.run("charge"),
        lambda machine: machine.get_state("another"),
        lambda machine: machine.end(b"1", None),
    ],
)
def test_code_that_asks_for_something_else_is_a_mismatch(ask: Callable[[Machine], object]) -> None:
    machine = begun(message(_GET_STATE, field(1, b"total"), field(11, 1)))
    with pytest.raises(JournalMismatch, match=r"The handler's code changed"):
        ask(machine)


def test_what_the_servers_protocol_has_no_words_for_is_no_mismatch() -> None:
    machine = begun(version=5)
    with pytest.raises(ServerTooOld, match=r"'terminal error metadata' is not supported.*Update it"):
        machine.end(None, Failure(402, "declined", {"reason": "empty"}))


@pytest.mark.parametrize("nonsense", [message(_INPUT, field(14, b"")), message(_NOTHING_KNOWN)])
def test_nonsense_from_the_server_is_no_mismatch(nonsense: bytes) -> None:
    machine = begun()
    timer = machine.sleep(1000, "nap")
    machine.feed(nonsense)
    with pytest.raises(MachineBroken):
        machine.progress([timer])
    with pytest.raises(MachineBroken):
        machine.run("what comes after it")


def test_the_result_of_a_step_that_has_no_words_is_told_at_the_next_wait() -> None:
    machine = begun(version=5)
    step = machine.run("charge")
    assert machine.progress([step.notice]) == RunDue(step.notice)
    machine.propose(step.notice, None, Failure(402, "declined", {"reason": "empty"}))
    with pytest.raises(ServerTooOld):
        machine.progress([step.notice])
