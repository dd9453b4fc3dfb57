"""Keys, errors, states and names of others at the command line: they stay in their row, at a terminal and in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.pages import ROOT
from tests.support.processes.dev_server import DevServer, clean_environment

pytestmark = [pytest.mark.slow]

HOSTILE = (
    "k\ninv_forged  Thing/k  completed\r\x1b[2J\x1b]0;t\x07\x7f\x9b2J\x85\u202e\u2066\u2028[red]x[/red] :smile: \\"
)
_EACH = "import json, sys; from restate_patterns.cli import main; [main(each) for each in json.loads(sys.argv[1])]"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    started = DevServer(
        tmp_path_factory.mktemp("odd"), "tests.support.http.odd_services:app", "--no-reload", "--db", "o.db"
    )
    try:
        started.start()
        _fill(started)
        yield started
    finally:
        started.close()


def _fill(server: DevServer) -> None:
    """Leave hostile text wherever a caller can."""
    key, headers = quote(HOSTILE, safe=""), {b"idempotency-key": "[red]\u202e".encode()}
    with loopback.client() as client:
        for handler in ("put", "burn", "refuse", "refuse/send", "burn/send?delay=1h"):
            url = f"{server.ingress_url}/Thing/{key}/{handler}"
            url = url if "/send" in url or handler != "burn" else f"{url}/send"
            assert client.post(url, json=HOSTILE, headers=headers).status_code in (200, 202, 410)
        state = {HOSTILE: HOSTILE, "n": [HOSTILE], "plain": 1}
        url = f"{server.admin_url}/embedded/services/Thing/state/{key}"
        assert client.patch(url, json=state).status_code == 200
        listed = client.get(f"{server.admin_url}/embedded/invocations").json()["invocations"]
        (burning,) = [each["id"] for each in listed if each["handler"] == "burn" and each["status"] != "scheduled"]
    server.until_status(burning, "backing-off")


def _at_a_terminal(server: DevServer, *commands: tuple[str, ...]) -> str:
    """Run commands with a terminal as their output; gives what is written there, but for their own colours."""
    ours, theirs = pty.openpty()
    environment = {"RESTATE_ADMIN_URL": server.admin_url, "RESTATE_INGRESS_URL": server.ingress_url, "COLUMNS": "4000"}
    process = subprocess.Popen(
        [sys.executable, "-c", _EACH, json.dumps(commands)],
        cwd=ROOT,
        env={**clean_environment(), **environment, "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    parts: list[bytes] = []
    try:
        while part := os.read(ours, 65_536):
            parts.append(part)
    except OSError:  # how a terminal ends
        pass
    finally:
        os.close(ours)
        process.wait(PATIENCE_S)
    return COLOURS.sub("", b"".join(parts).decode().replace("\r\n", "\n"))


def _commands(server: DevServer) -> Iterator[tuple[str, ...]]:
    key = quote(HOSTILE, safe="")
    listed = json.loads(server.command("invocations", "list", "--all", "--json").stdout)["invocations"]
    yield ("invocations", "list", "--all")
    for each in listed:
        yield ("invocations", "describe", each["id"])
        yield ("invocations", "describe", each["id"], "--json")
    yield ("invocations", "list", "--all", "--json")
    yield ("kv", "get", "Thing", HOSTILE)
    yield ("kv", "get", "Thing", HOSTILE, "n")
    yield ("kv", "get", "Thing", HOSTILE, "nothing")
    yield ("kv", "get", "Thing", HOSTILE, "--json")
    yield ("kv", "get", "Thing", HOSTILE + "x")
    yield ("kv", "get", HOSTILE, "k")
    yield ("call", f"Thing/{key}/refuse", json.dumps(HOSTILE))
    yield ("call", f"Thing/{key}/refuse", json.dumps(HOSTILE), "--json")
    yield ("call", f"{key}/refuse")
    yield ("call", f"Thing/{key}/see")
    yield ("invocations", "cancel", HOSTILE, HOSTILE)
    yield ("services", "describe", HOSTILE)


def _check(printed: str, arguments: tuple[str, ...]) -> None:
    assert printed.strip(), arguments
    assert all(each.isprintable() or each == "\n" for each in printed), (arguments, printed)
    assert not [line for line in printed.split("\n") if line.lstrip().startswith("inv_forged")], (arguments, printed)


def test_nothing_hostile_reaches_a_pipe_or_a_terminal(server: DevServer) -> None:
    for arguments in _commands(server):
        done = server.command(*arguments)
        if arguments[:2] != (
            "call",
            f"Thing/{quote(HOSTILE, safe='')}/see",
        ):  # to a program a handler's bytes as they are
            _check(done.stdout + done.stderr, arguments)
        if "--json" in arguments and done.stdout:
            json.loads(done.stdout)
    _check(_at_a_terminal(server, *_commands(server)), ("at a terminal",))


def test_markup_is_text(server: DevServer) -> None:
    for printed in (
        server.command("invocations", "list", "--all").stdout,
        server.command("kv", "get", "Thing", HOSTILE).stdout,
        _at_a_terminal(server, ("invocations", "list", "--all")),
    ):
        assert "[red]x[/red] :smile: \\" in printed


def test_json_is_what_was_given(server: DevServer) -> None:
    found = json.loads(server.command("kv", "get", "Thing", HOSTILE, "--json").stdout)
    assert found[HOSTILE] == HOSTILE
    assert json.loads(server.command("kv", "get", "Thing", HOSTILE, "n").stdout) == [HOSTILE]


def test_the_log_has_no_line_of_anybody_else(server: DevServer) -> None:
    assert "k\\ninv_forged" in server.printed
    assert all(each.isprintable() or each == "\n" for each in server.printed)
    assert not [line for line in server.printed.split("\n") if line.lstrip().startswith("inv_forged")]
