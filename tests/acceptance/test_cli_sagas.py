"""`restate-patterns sagas` against a real server, both as processes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from restate_patterns.cli import trying_sagas
from restate_patterns.cli.exits import Exit
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.processes import shipping
from tests.support.processes.dev_server import DevServer

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    started = DevServer(
        tmp_path_factory.mktemp("sagas"), f"{shipping.__name__}:app", "--no-reload", "--db", "shipping.db"
    )
    try:
        started.start()
        yield started
    finally:
        started.close()


def order(server: DevServer, goods: str) -> str:
    """Order something and wait until its saga is stuck."""
    saga = server.command("send", "Orders/order", json.dumps(goods)).stdout.strip()
    deadline = time.monotonic() + PATIENCE_S
    while saga not in server.command("sagas", "list").stdout:
        assert time.monotonic() < deadline, "it is not stuck"
    return saga


def result(server: DevServer, saga: str) -> httpx.Response:
    return loopback.get(f"{server.ingress_url}/restate/invocation/{saga}/attach", timeout=PATIENCE_S)


def shown(server: DevServer, saga: str, state: str) -> str:
    """Wait until the record says this, and give how it is shown."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        text = server.command("sagas", "show", saga).stdout
        if re.search(rf"^status +{state}$", text, re.MULTILINE):
            return text
        assert time.monotonic() < deadline, text


def test_what_is_refused_and_tried_again_is_listed(server: DevServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is stuck, which takes hours here; and a saga that is killed is in no list."""
    saga = server.command("send", "Orders/order_patiently", '"slow"').stdout.strip()
    stuck = order(server, "killed")
    deadline = time.monotonic() + PATIENCE_S
    while saga not in (listed := server.command("sagas", "list").stdout):
        assert time.monotonic() < deadline, listed
    assert "not stuck yet, but refused and tried again:" in listed
    assert "the undo Warehouse.take_back" in listed
    assert "refused once, waits until " in listed
    monkeypatch.setattr(trying_sagas, "LIST_LIMIT_MAX", 1)  # a newer one waits too: it is on a page behind the first
    (trying,) = json.loads(server.command("sagas", "list", "--json").stdout)["trying"]
    assert (trying["saga"], trying["number"]) == (saga, 2)
    waiting = server.command("invocations", "list", "--handler", "order_patiently").stdout
    assert "waits for the timer before try 2 of the undo Warehouse.take_back until " in waiting
    assert server.command("invocations", "kill", "--yes", saga, f"{stuck[:5]}...{stuck[-9:]}").code == 0
    listed = server.command("sagas", "list").stdout
    assert saga not in listed
    assert stuck not in listed


def test_a_shortened_id_is_enough(server: DevServer) -> None:
    saga = order(server, "short")
    assert json.loads(server.command("sagas", "show", f"inv_1…{saga[-8:]}", "--json").stdout)["id"] == saga
    assert server.command("sagas", "skip", f"inv_1…{saga[-8:]}", "--reason", "shown", "--by", "ann").code == 0
    assert "skipped by ann: shown" in shown(server, saga, "failed")


def test_what_is_stuck_is_listed_and_shown(server: DevServer) -> None:
    saga = order(server, "a")
    listed = server.command("sagas", "list").stdout
    assert "2 Warehouse.take_back" in listed
    assert "423: the door is shut" in listed
    (stuck,) = [
        each for each in json.loads(server.command("sagas", "list", "--json").stdout)["stuck"] if each["saga"] == saga
    ]
    assert stuck["number"] == 2
    text = shown(server, saga, "stuck")
    assert "402: the card was declined" in text
    assert server.command("sagas", "show", saga, "--mermaid").stdout.startswith("sequenceDiagram\n")


def test_resume(server: DevServer) -> None:
    saga = order(server, "b")
    server.command("call", "Warehouse/b/open")
    done = server.command("sagas", "resume", saga, "--by", "ann")
    assert (done.code, done.stdout) == (0, f"{saga}: step 2, Warehouse.take_back: resumed by ann\n")
    assert result(server, saga).status_code == 402
    assert "resumed by ann" in shown(server, saga, "undone")


def test_skip_needs_a_reason_and_tells_the_caller(server: DevServer) -> None:
    saga = order(server, "c")
    assert server.command("sagas", "skip", saga).code == Exit.USAGE
    assert server.command("sagas", "skip", saga, "--reason", "they may keep it", "--by", "ann").code == 0
    answer = result(server, saga)
    assert answer.status_code == 402
    assert "skipped by ann: they may keep it" in answer.json()["message"]
    assert "they may keep it" in shown(server, saga, "failed")


def test_supply(server: DevServer) -> None:
    saga = order(server, "d")
    assert server.command("sagas", "supply", saga, "no JSON").code == Exit.USAGE
    assert server.command("sagas", "supply", saga, "--step", "2", "--reason", "by hand").code == 0
    answer = result(server, saga)
    assert answer.json()["message"] == "the card was declined"
    assert "by hand" in shown(server, saga, "undone")


def test_mistakes(server: DevServer) -> None:
    nothing = f"inv_1{0:040}"
    assert server.command("sagas", "resume", nothing).code == Exit.NOT_FOUND
    unknown = server.command("sagas", "show", nothing)
    assert unknown.code == Exit.NOT_FOUND
    assert "logged=True" in unknown.stderr
    nobody = server.command("sagas", "list", "--ingress-url", "http://127.0.0.1:1")
    assert nobody.code == Exit.NO_SERVER


def test_an_app_without_a_desk_says_how_to_get_one(tmp_path: Path) -> None:
    other = DevServer(tmp_path, "tests.support.processes.workshop:app", "--no-reload", "--db", "workshop.db")
    try:
        other.start()
        done = other.command("sagas", "list")
        assert done.code == Exit.NOT_FOUND
        assert "*saga_services()" in done.stderr
    finally:
        other.close()
