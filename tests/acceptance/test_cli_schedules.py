"""`restate-patterns schedules` against a real server, both as processes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from restate_patterns.cli.exits import Exit
from tests.support.bounds import PATIENCE_S
from tests.support.pages import ROOT
from tests.support.processes import clockwork
from tests.support.processes.dev_server import DevServer

pytestmark = [pytest.mark.slow]

APP = f"{clockwork.__name__}:app"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    started = DevServer(tmp_path_factory.mktemp("schedules"), APP, "--no-reload", "--db", "clockwork.db")
    try:
        started.start()
        yield started
    finally:
        started.close()


def shown(server: DevServer, name: str, what: str) -> str:
    """Wait until a schedule is shown so, and give all that is shown."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        text = server.command("schedules", "show", name).stdout
        if re.search(what, text):
            return text
        assert time.monotonic() < deadline, text


def test_they_are_listed_and_shown(server: DevServer) -> None:
    listed = server.command("schedules", "list").stdout
    assert re.search(r"^nightly +30 2 1 1 \* \(Europe/Berlin\) +Clockwork/strike +in \d+d", listed, re.MULTILINE)
    assert re.search(r"^jams +every 3650d +Clockwork/jam +in \d+d", listed, re.MULTILINE)
    records = json.loads(server.command("schedules", "list", "--json").stdout)
    assert [record["name"] for record in records] == ["jams", "nightly"]
    text, _, _ = server.command("schedules", "show", "nightly").stdout.partition("\n\n")  # what it ran for follows
    assert len(re.findall(r"\d{4}-01-01 02:30:00\+01:00", text)) == 3, "the next three ticks, in its zone"
    one = json.loads(server.command("schedules", "show", "nightly", "--json").stdout)
    # What another test had it run may go on.
    assert (one.keys(), one["declaration"]) == (records[1].keys(), records[1]["declaration"])


def test_a_trigger_runs_it_and_its_end_is_shown(server: DevServer) -> None:
    done = server.command("schedules", "trigger", "nightly")
    assert done.code == 0
    found = re.fullmatch(r"nightly: running: (inv_\w+)\n", done.stdout)
    assert found is not None
    assert found[1] in shown(server, "nightly", r"triggered +succeeded")
    run = json.loads(server.command("schedules", "trigger", "jams", "--json").stdout)
    assert run["why"] == "triggered"
    assert "409: a wheel is broken" in shown(server, "jams", r"triggered +failed")


def test_paused_and_resumed(server: DevServer) -> None:
    done = server.command("schedules", "pause", "jams", "--note", "it jams")
    assert (done.code, done.stdout) == (0, "jams is paused\n")
    assert re.search(r"^paused +since .*: it jams$", server.command("schedules", "show", "jams").stdout, re.MULTILINE)
    assert re.search(r"^jams .* paused", server.command("schedules", "list").stdout, re.MULTILINE)
    assert server.command("schedules", "resume", "jams").stdout == "jams goes on\n"
    assert json.loads(server.command("schedules", "pause", "jams", "--json").stdout)["paused_at"]
    assert json.loads(server.command("schedules", "resume", "jams", "--json").stdout)["paused_at"] is None


def test_backfilled(server: DevServer) -> None:
    """Days and times are those of its time zone, unless they say another."""
    done = server.command("schedules", "backfill", "nightly", "2020-01-01", "2022-06-01T00:00+00:00")
    assert (done.code, done.stdout) == (0, "nightly: 3 ticks to run for\n")
    shown(server, "nightly", r"2022-01-01 02:30:00\+01:00 +backfilled +succeeded")
    done = server.command("schedules", "backfill", "nightly", "2020-01-01T02:30", "2020-01-01T02:30", "--json")
    assert json.loads(done.stdout) == {"ticks": 1}
    wrong = server.command("schedules", "backfill", "nightly", "yesterday", "2022-06-01")
    assert (wrong.code, "'yesterday' is no time" in wrong.stderr) == (Exit.USAGE, True)


def test_removed_and_declared_again(server: DevServer) -> None:
    assert server.command("schedules", "remove", "jams").stdout == "jams is removed\n"
    for verb in ("show", "pause", "resume", "trigger", "remove"):
        gone = server.command("schedules", verb, "jams")
        assert (gone.code, "there is no schedule 'jams'" in gone.stderr) == (Exit.NOT_FOUND, True), verb
    declared = server.command("schedules", "declare", APP, "--app-dir", str(ROOT))
    assert (declared.code, declared.stdout) == (0, "nightly is declared so already\njams is declared\n")
    again = server.command("schedules", "declare", APP, "--app-dir", str(ROOT), "--json")
    assert [each["changed"] for each in json.loads(again.stdout)] == [False, False]
    none = server.command("schedules", "declare", f"{clockwork.__name__}:none", "--app-dir", str(ROOT))
    assert "has no schedules: write `App([..., Schedule(...)])`" in none.stdout


def test_they_are_there_after_a_restart(server: DevServer) -> None:
    server.command("schedules", "pause", "nightly", "--note", "over night")
    server.close()
    server.start()
    assert "over night" in server.command("schedules", "show", "nightly").stdout
    assert server.command("schedules", "resume", "nightly").code == 0
    assert "Schedules" not in server.command("services", "list").stdout
    assert "Schedules" in server.command("services", "list", "--internal").stdout


def test_an_app_without_schedules_says_what_to_write(server: DevServer) -> None:
    nobody = server.command("schedules", "list", "--ingress-url", "http://127.0.0.1:9")
    assert nobody.code == Exit.NO_SERVER
