"""A file moves to a real Restate server: what it had goes on there, once, in order; or nothing moves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from restate_patterns import App, Embedded
from restate_patterns.admin import AdminClient
from restate_patterns.cli.exits import Exit
from restate_patterns.embedded.file_errors import FileMovedError
from restate_patterns.moving.courier import COURIER
from restate_patterns.server import RunningServer
from restate_patterns.text.durations import parse_rfc3339_ms
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.pages import ROOT
from tests.support.processes.depots import Depot, Letters, Route
from tests.support.processes.dev_server import COMMAND, DevServer, Done, clean_environment, run_here
from tests.support.restate.service_process import services_of

pytestmark = [pytest.mark.slow]

APP = "tests.support.processes.depots:app"


@pytest.fixture(scope="module")
def server(restate_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the depots registered and served."""
    with services_of(APP, restate_server, tmp_path_factory.mktemp("depots")):
        yield restate_server


def migrate(file: Path, server: RunningServer, *options: str) -> Done:
    return run_here("migrate", str(file), *where(server), *options)


def where(server: RunningServer) -> tuple[str, ...]:
    return ("--to", server.admin_url, "--ingress-url", server.ingress_url)


def report(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def on_server(server: RunningServer, path: str, body: object = None) -> Any:
    answer = (
        loopback.post(f"{server.ingress_url}/{path}", json=body)
        if body
        else loopback.post(f"{server.ingress_url}/{path}")
    )
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def until_came(server: RunningServer, key: str, wanted: list[str]) -> None:
    """Wait until a depot has had what was to come, and look once more that it is no more."""
    deadline = time.monotonic() + PATIENCE_S
    while len(came := on_server(server, f"Depot/{key}/list")) < len(wanted):
        assert time.monotonic() < deadline, f"{key} got {came}, not {wanted}"
        time.sleep(0.05)
    assert came == wanted


def in_flight(server: RunningServer, prefix: str) -> list[str]:
    return _invocations(server, f"status != 'completed' AND target_service_key LIKE '{prefix}%'")


def arrived(server: RunningServer, prefix: str) -> list[str]:
    """Give what came to the server, also what was due meanwhile: how fast the machine is must not matter."""
    return _invocations(server, f"target_service_key LIKE '{prefix}%'")


def _invocations(server: RunningServer, where: str) -> list[str]:
    sql = f"SELECT target FROM sys_invocation WHERE {where}"
    answer = loopback.post(f"{server.admin_url}/query", json={"query": sql}, headers={"accept": "application/json"})
    return [row["target"] for row in answer.json()["rows"]]


async def fill(file: Path, prefix: str, *, delay: timedelta, keys: int = 30) -> None:
    """Make a file with state, a line of sends that have not begun, delayed sends, and results."""
    depot = Depot()
    async with App([depot, Route(), Letters()]).start(Embedded(file)) as client:
        for number in range(keys):
            await client.object_client(Depot, f"{prefix}{number}").own(f"owner {number}")
        first = client.object_client(Depot, f"{prefix}0")
        await first.put("begun")
        await first.plan(delay // timedelta(milliseconds=1))
        depot.broken = True
        for number in range(5):
            await first.put.send(f"queued {number}")
        await first.put.with_options(idempotency_key=f"{prefix}-once").send("keyed")
        stamp = {"x-stamp": "rot & grün"}  # no ingress takes it
        letters = client.service_client(Letters)
        await letters.post.with_options(headers=stamp).send_after(delay, f"{prefix}1")
        await client.workflow_client(Route, f"{prefix}r").run.send_after(delay)


CAME = [
    *("begun", "queued 0", "queued 1", "queued 2", "queued 3", "queued 4", "keyed"),
    *("put 0", "stored 0", "put 1", "stored 1", "put 2", "stored 2"),
]


def test_a_file_moves(server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "depots.db"
    asyncio.run(fill(file, "move", delay=timedelta(seconds=6)))

    done = migrate(file, server, "--yes", "--json")

    assert done.code == 0, done.stderr
    moved = report(done)
    assert moved["state"] == {"keys": 30, "values": 31}
    assert len(moved["sends"]) == 14
    assert moved["stays"]["results"] == 32
    dues = {each["new_id"]: parse_rfc3339_ms(each["due"]) for each in moved["sends"] if each["due"]}
    assert len(dues) == 8
    starts = asyncio.run(starts_of(server, list(dues)))
    for invocation_id, due_ms in dues.items():
        assert due_ms <= starts[invocation_id] < due_ms + 2_000
    until_came(server, "move0", CAME)
    until_came(server, "move1", ["letter rot & grün"])
    assert asyncio.run(state_of(server, "Depot", "move7")) == {"owner": b'"owner 7"'}
    on_server(server, "Route/mover/tell", "home")
    answer = loopback.get(f"{server.ingress_url}/restate/workflow/Route/mover/attach")
    assert answer.json() == "home"
    # The idempotency key of a client is known there.
    again = loopback.post(
        f"{server.ingress_url}/Depot/move0/put/send", json="keyed", headers={"idempotency-key": "move-once"}
    )
    assert again.json()["status"] == "PreviouslyAccepted"
    assert in_flight(server, "move") == []


async def starts_of(server: RunningServer, ids: list[str]) -> dict[str, int]:
    async with AdminClient(server.admin_url) as admin:
        views = [(await admin.describe_invocation(each)).view for each in ids]
    return {view.id: view.scheduled_ms or 0 for view in views}


async def state_of(server: RunningServer, service: str, key: str) -> dict[str, bytes]:
    async with AdminClient(server.admin_url) as admin:
        return dict(await admin.get_state(service, key))


def test_a_moved_file_stays_as_it_is(server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "depots.db"
    asyncio.run(fill(file, "stay", delay=timedelta(seconds=1), keys=1))
    assert migrate(file, server, "--yes").code == 0

    with pytest.raises(FileMovedError, match=r"has moved to the Restate server at .*migrate .* --undo"):
        asyncio.run(start(file))
    served = run_here("serve", APP, "--db", str(file))
    assert served.code == Exit.CANNOT_START
    assert "has moved" in served.stderr
    before = digest(file)
    again = migrate(file, server)  # nothing to ask about
    assert again.code == 0
    assert "nothing is left to do" in again.stdout
    elsewhere = run_here("migrate", str(file), "--to", "http://127.0.0.1:1")
    assert elsewhere.code == Exit.REFUSED
    assert "began to move to" in elsewhere.stderr
    assert digest(file) == before

    assert run_here("migrate", str(file), "--undo").code == Exit.USAGE
    undone = run_here("migrate", str(file), "--undo", "--yes")
    assert undone.code == 0
    asyncio.run(start(file))
    assert run_here("migrate", str(file), "--undo", "--yes").code == Exit.NOT_FOUND


async def start(file: Path) -> None:
    async with App([Depot(broken=True), Route(), Letters()]).start(Embedded(file)):
        pass


def test_a_dry_run_changes_nothing(server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "depots.db"
    asyncio.run(fill(file, "dry", delay=timedelta(hours=1)))
    before, names = digest(file), {each.name for each in tmp_path.iterdir()}

    done = migrate(file, server, "--dry-run")

    assert done.code == 0
    assert "30 keys with 31 values" in done.stdout
    assert "6 sends not yet begun" in done.stdout
    assert "8 delayed sends, the first due in 59m" in done.stdout
    assert "nothing was changed" in done.stdout
    unasked = migrate(file, server)
    assert unasked.code == Exit.USAGE
    assert "give --yes where nobody can answer" in unasked.stderr
    assert digest(file) == before
    assert {each.name for each in tmp_path.iterdir()} == names
    assert asyncio.run(state_of(server, "Depot", "dry0")) == {}
    assert in_flight(server, "dry") == []


def test_a_file_in_use_is_refused(server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "depots.db"

    async def use() -> Done:
        async with App([Depot()]).start(Embedded(file)):
            return await asyncio.to_thread(migrate, file, server, "--yes")

    done = asyncio.run(use())
    assert done.code == Exit.CANNOT_START
    assert "is in use by process" in done.stderr
    assert migrate(tmp_path / "none.db", server).code == Exit.CANNOT_START
    assert not (tmp_path / "none.db.lock").exists()


async def fill_with_trouble(file: Path, prefix: str) -> None:
    """Make a file with one of each that cannot be carried, and a bit that can."""
    depot = Depot()
    async with App([depot, Route(), Letters()]).start(Embedded(file)) as client:
        await client.object_client(Depot, f"{prefix}well").own("me")
        await client.object_client(Depot, f"{prefix}other").own("me")
        await client.object_client(Depot, f"{prefix}big").own("x" * (2 * 1024 * 1024))
        await client.object_client(Depot, f"{prefix}held").hold.send()
        await client.workflow_client(Route, f"{prefix}early").tell("soon")
        await client.workflow_client(Route, f"{prefix}early").run.send_after(timedelta(hours=1))
        await client.workflow_client(Route, f"{prefix}on").run.send()
        await client.workflow_client(Route, f"{prefix}taken").run.send_after(timedelta(hours=1))
        depot.broken = True
        await client.object_client(Depot, f"{prefix}held").put.send("behind")
        await client.object_client(Depot, f"{prefix}a").fetch.send(f"{prefix}b")
        await client.object_client(Depot, f"{prefix}well").put.send("well")
        keyed = client.object_client(Depot, f"{prefix}well").put.with_options(idempotency_key="ü")
        await keyed.send("with a key of letters")


TROUBLE = {
    "begun": {"Depot/{}held/hold", "Route/{}on/run", "Depot/{}a/fetch"},
    "awaited": {"Depot/{}b/put"},
    "promise": {"Route/{}early/word"},
    "key": {"Route/{}early/run"},
    "already-there": {"Route/{}taken/run"},
    "state-differs": {"Depot/{}other"},
    "state-size": {"Depot/{}big"},
    "idempotency-key": {"Depot/{}well/put"},
}


def test_what_cannot_be_carried_stops_all(server: RunningServer, tmp_path: Path) -> None:
    file, prefix = tmp_path / "depots.db", "sad"
    asyncio.run(fill_with_trouble(file, prefix))
    on_server(server, f"Route/{prefix}taken/run/send")
    on_server(server, f"Depot/{prefix}other/own", "somebody")
    before = digest(file)

    done = migrate(file, server, "--yes", "--json")

    assert done.code == Exit.REFUSED
    refused = report(done)["refused"]
    found: dict[str, set[str]] = {}
    for each in refused:
        found.setdefault(each["why"], set()).add(each["subject"])
        assert each["remedy"]
    assert found == {why: {each.format(prefix) for each in subjects} for why, subjects in TROUBLE.items()}
    assert f"{len(refused)} things cannot be carried, so nothing was written" in done.stderr
    assert digest(file) == before
    assert asyncio.run(state_of(server, "Depot", f"{prefix}well")) == {}
    table = migrate(file, server, "--yes")
    assert table.code == Exit.REFUSED
    assert f"Route/{prefix}early/word" in table.stdout

    left = migrate(file, server, "--yes", "--leave-behind")
    assert left.code == 0, left.stderr
    until_came(server, f"{prefix}well", ["well"])
    until_came(server, f"{prefix}held", ["behind"])
    assert asyncio.run(state_of(server, "Depot", f"{prefix}other")) == {"owner": b'"somebody"'}


def test_a_promise_goes_through_a_handler_of_its_workflow(server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "depots.db"

    async def promised() -> None:
        async with App([Depot(), Route(), Letters()]).start(Embedded(file)) as client:
            await client.workflow_client(Route, "told").tell("soon")
            await client.workflow_client(Route, "told").run.send_after(timedelta(seconds=2))

    asyncio.run(promised())
    assert migrate(file, server, "--yes").code == Exit.REFUSED
    on_server(server, "Route/told/tell", "soon")
    assert migrate(file, server, "--yes").code == 0
    assert loopback.get(f"{server.ingress_url}/restate/workflow/Route/told/attach").json() == "soon"


def test_services_that_are_not_there_are_named(restate_server: RunningServer, tmp_path: Path) -> None:
    from tests.support.processes.workshop import Counter

    file = tmp_path / "counters.db"

    async def count() -> None:
        async with App([Counter()]).start(Embedded(file)) as client:
            await client.object_client(Counter, "k").add(1)

    asyncio.run(count())
    done = migrate(file, restate_server, "--yes")
    assert done.code == Exit.REFUSED
    assert "the server has no service Counter" in done.stdout


def test_killed_in_the_middle_it_goes_on(server: RunningServer, tmp_path: Path) -> None:
    """`kill -9` of the real command, wherever it is when it has said something, until it gets through."""
    file = tmp_path / "depots.db"
    asyncio.run(fill(file, "kill", delay=timedelta(seconds=5), keys=1_500))
    command = [*COMMAND, "migrate", str(file), *where(server), "--yes"]
    for said in ("keys compared: 1500", "keys carried: 1000", "keys carried: 500"):
        with subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if said in line:
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == -signal.SIGKILL
    with pytest.raises(FileMovedError, match="is on its way to"):
        asyncio.run(start(file))
    done = migrate(file, server, "--yes")
    assert done.code == 0, done.stderr
    until_came(server, "kill0", CAME)
    until_came(server, "kill1", ["letter rot & grün"])
    assert asyncio.run(state_of(server, "Depot", "kill1499")) == {"owner": b'"owner 1499"'}


def test_killed_while_the_server_calls_back(server: RunningServer, tmp_path: Path) -> None:
    """What the courier was told and has not done waits for it; then it goes away."""
    file = tmp_path / "depots.db"
    keys = [f"call{number}" for number in range(60)]
    asyncio.run(plan_in(file, keys))
    command = [*COMMAND, "migrate", str(file), *where(server), "--yes"]
    for count in (20, 60):
        with subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stderr=subprocess.DEVNULL) as process:
            while len(arrived(server, "call")) < count:
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    assert asyncio.run(services_there(server)) == {"Depot", "Route", "Letters", COURIER}
    done = migrate(file, server, "--yes")
    assert done.code == 0, done.stderr
    assert asyncio.run(services_there(server)) == {"Depot", "Route", "Letters"}
    for key in keys:
        until_came(server, key, ["put 0", "stored 0", "put 1", "stored 1", "put 2", "stored 2"])


async def plan_in(file: Path, keys: list[str]) -> None:
    async with App([Depot(), Route(), Letters()]).start(Embedded(file)) as client:
        for key in keys:
            await client.object_client(Depot, key).plan(30_000)


async def services_there(server: RunningServer) -> set[str]:
    async with AdminClient(server.admin_url) as admin:
        return {each.name for each in await admin.list_services()} & {"Depot", "Route", "Letters", COURIER}


def test_an_ingress_of_another_server_is_noticed(
    server: RunningServer, suspending_restate_server: RunningServer, tmp_path: Path
) -> None:
    file, other = tmp_path / "depots.db", suspending_restate_server

    async def send_one() -> None:
        async with App([Depot(), Route(), Letters()]).start(Embedded(file)) as client:
            await client.object_client(Depot, "lost").put.send_after(timedelta(hours=1), "x")

    asyncio.run(send_one())
    with services_of(APP, other, tmp_path):
        done = run_here("migrate", str(file), "--to", server.admin_url, "--ingress-url", other.ingress_url, "--yes")
    assert done.code == Exit.REFUSED
    assert "they are of different servers" in done.stderr


def test_the_target_must_be_a_restate_server(tmp_path: Path) -> None:
    file = tmp_path / "depots.db"
    asyncio.run(fill(file, "x", delay=timedelta(hours=1), keys=1))
    assert run_here("migrate", str(file), "--to", "http://127.0.0.1:1").code == Exit.NO_SERVER
    assert run_here("migrate", str(file)).code == Exit.USAGE
    embedded = DevServer(tmp_path, APP, "--no-reload", "--db", "other.db")
    try:
        embedded.start()
        done = run_here("migrate", str(file), "--to", embedded.admin_url)
    finally:
        embedded.close()
    assert done.code == Exit.REFUSED
    assert "is an embedded server" in done.stderr
