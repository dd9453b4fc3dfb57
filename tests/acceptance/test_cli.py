"""The command line against a real server, both as processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from restate_patterns.cli.exits import Exit
from tests.support.dev_server import DevServer, run_here, run_process

pytestmark = [pytest.mark.slow]

APP = "tests.support.workshop:app"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    started = DevServer(tmp_path_factory.mktemp("cli"), APP, "--no-reload", "--db", "workshop.db")
    try:
        started.start()
        yield started
    finally:
        started.close()


def rows(table: str) -> list[list[str]]:
    """Split a table into cells; columns are two or more blanks apart."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()]


def test_call(server: DevServer) -> None:
    done = server.command_process("call", "Counter/call/add", "3")
    assert (done.code, done.stdout, done.stderr) == (0, "3\n", "")
    slashed = server.command_process("call", "Counter/a%2Fb/add", "-", stdin="4")
    assert slashed.stdout == "4\n"
    assert server.command("call", "Counter/a%2Fb/get").stdout == "4\n"
    assert server.command("call", "Shop/nothing").stdout == ""


def test_call_with_headers_and_key(server: DevServer) -> None:
    arguments = ("call", "Shop/trace", '"x"', "--header", "X-Trace: t1", "--idempotency-key", "once")
    first, again = server.command(*arguments), server.command(*arguments[:4], "X-Trace: t2", *arguments[5:])
    assert json.loads(first.stdout)["x-trace"] == "t1"
    assert again.stdout == first.stdout


def test_call_that_fails(server: DevServer) -> None:
    done = server.command("call", "Shop/buy", '"tea"')
    assert (done.code, done.stdout) == (Exit.FAILED, "")
    assert done.stderr == "restate-patterns: failed with 410: We have no more of it.\n"
    as_json = server.command("call", "Shop/buy", '"tea"', "--json")
    assert json.loads(as_json.stdout)["error"]["metadata"]["item"] == '"tea"'


def test_call_times_out(server: DevServer) -> None:
    done = server.command("call", "Shop/nap", "3600", "--timeout", "50ms")
    assert done.code == Exit.FAILED
    assert "took over 0.05 s; the invocation goes on" in done.stderr


def test_life_of_an_invocation(server: DevServer) -> None:
    sent = server.command("send", "Counter/life/hold")
    holder = sent.stdout.strip()
    assert (sent.code, holder[:4]) == (0, "inv_")
    queued = json.loads(server.command("send", "Counter/life/add", "1", "--json").stdout)["invocationId"]
    server.until_status(queued, "queued")

    listed = server.command_process("invocations", "list", "--key", "life")
    header, newest, oldest = rows(listed.stdout)
    assert header == ["ID", "TARGET", "STATUS", "CREATED", "NOTE"]
    assert newest[:3] == [queued, "Counter/life/add", "queued"]
    assert oldest[:3] == [holder, "Counter/life/hold", "running"]
    assert f"held by Counter/life/hold ({holder})" in newest[4]

    described = server.command("invocations", "describe", holder)
    assert "Counter/life/hold" in described.stdout
    assert "sleep" in described.stdout

    refused = server.command("invocations", "kill", holder)
    assert refused.code == Exit.USAGE
    assert "give --yes" in refused.stderr
    assert server.command("invocations", "kill", holder, "--yes").stdout == f"{holder}: killed\n"
    server.until_status(queued, "completed")
    too_late = server.command("invocations", "cancel", holder)
    assert too_late.code == Exit.REFUSED
    assert "is already completed" in too_late.stderr
    completed = server.command("invocations", "list", "--key", "life", "--all", "--json")
    assert [each["status"] for each in json.loads(completed.stdout)["invocations"]] == ["completed"] * 2
    assert "no invocations in flight" in server.command("invocations", "list", "--key", "life").stdout

    restarted = server.command("invocations", "restart", queued).stdout
    assert restarted.startswith(f"{queued}: restarted as inv_")
    assert server.command("invocations", "purge", queued, holder).code == 0
    gone = server.command_process("invocations", "describe", holder)
    assert gone.code == Exit.NOT_FOUND


def test_cancel_and_paused(server: DevServer) -> None:
    napping = server.command("send", "Shop/nap", "3600").stdout.strip()
    assert server.command("invocations", "cancel", napping).stdout == f"{napping}: cancelling\n"
    failure = server.until_status(napping, "completed")["failure"]
    assert failure == {"code": 409, "message": "cancelled"}
    broken = server.command("send", "Shop/broken").stdout.strip()
    server.until_status(broken, "paused")
    listed = server.command("invocations", "list", "--status", "paused", "--handler", "broken").stdout
    assert "no route to the bank" in listed
    assert server.command("invocations", "resume", broken).stdout == f"{broken}: resumed\n"
    assert server.command("invocations", "kill", "-y", broken).code == 0


def test_delayed_send(server: DevServer) -> None:
    sent = server.command("send", "Shop/nothing", "--delay", "1h").stdout.strip()
    listed = server.command("invocations", "list", "--status", "scheduled").stdout
    assert sent in listed
    assert "due in 59m" in listed or "due in 60m" in listed
    assert server.command("invocations", "cancel", sent).code == 0
    assert server.command("invocations", "describe", sent).code == Exit.NOT_FOUND


def test_state(server: DevServer) -> None:
    server.command("call", "Counter/state/add", "3")
    assert rows(server.command("kv", "get", "Counter", "state").stdout) == [["NAME", "VALUE"], ["count", "3"]]
    assert server.command("kv", "set", "Counter", "state", "count", "40").code == 0
    assert server.command("call", "Counter/state/add", "2").stdout == "42\n"
    assert server.command("kv", "get", "Counter", "state", "count").stdout == "42\n"
    assert json.loads(server.command("kv", "get", "Counter", "state", "--json").stdout) == {"count": 42}
    missing = server.command("kv", "get", "Counter", "state", "color")
    assert missing.code == Exit.NOT_FOUND
    assert "it has count" in missing.stderr
    assert server.command("kv", "clear", "Counter", "state").stdout == "Counter/state has no state\n"
    assert server.command("call", "Counter/state/get").stdout == "0\n"


def test_services(server: DevServer) -> None:
    listed = rows(server.command("services", "list").stdout)
    assert ["Counter", "VirtualObject", "add, get, hold"] in listed
    described = server.command("services", "describe", "Counter").stdout
    assert "Add to the count." in described
    document = json.loads(server.command("services", "openapi", "Counter").stdout)
    assert "/Counter/{key}/add" in document["paths"]
    unknown = server.command("services", "describe", "Nobody")
    assert unknown.code == Exit.NOT_FOUND
    assert "this app has Approval, Bell, Counter, Shop" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("call", "Counter/k/add", "x"), Exit.USAGE, "the body is not JSON"),
        (("call", "Counter", "1"), Exit.USAGE, "must be Service/handler or Object/key/handler"),
        (("call", "Counter/k/add", "@/no/file"), Exit.USAGE, "cannot read the body from /no/file"),
        (("call", "Counter/k/add", "1", "--header", "x"), Exit.USAGE, "'name: value'"),
        (("call", "Counter/k/nope", "1"), Exit.FAILED, "the handler 'nope' was not found"),
        (("call", "Shop/secret"), Exit.FAILED, "the invoked service is not public"),
        (("send", "Shop/nothing", "--delay", "10"), Exit.USAGE, "'10' is not a duration"),
        (("kv", "set", "Counter", "k", "count", "x"), Exit.USAGE, "the value is not JSON"),
        (("kv", "get", "Shop", "k"), Exit.REFUSED, "only virtual objects and workflows have state"),
        (("invocations", "cancel", "garbage"), Exit.REFUSED, "bad invocation id 'garbage'"),
        (("invocations", "list", "--status", "hungry"), Exit.REFUSED, "status=hungry must be of"),
    ],
)
def test_mistakes(server: DevServer, arguments: tuple[str, ...], code: Exit, sentence: str) -> None:
    done = server.command(*arguments)
    assert (done.code, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert done.stderr.startswith("restate-patterns: ")
    assert "Traceback" not in done.stderr


def test_wrong_urls(server: DevServer) -> None:
    nobody = run_here("services", "list", "--admin-url", "http://127.0.0.1:9")
    assert nobody.code == Exit.NO_SERVER
    assert "no server answers at http://127.0.0.1:9" in nobody.stderr
    ingress = run_here("services", "list", "--admin-url", server.ingress_url)
    assert ingress.code == Exit.NO_SERVER
    assert "is an ingress" in ingress.stderr
    admin = run_here("call", "Counter/k/get", "--ingress-url", server.admin_url)
    assert admin.code == Exit.NO_SERVER
    assert run_here("call", "Counter/k/get", "--ingress-url", "localhost").code == Exit.USAGE


def test_second_server_on_the_same_file_or_port(server: DevServer, tmp_path: Path) -> None:
    port = str(httpx.URL(server.ingress_url).port)
    ports = ("--ingress-port", port, "--admin-port", "0", "--no-reload")
    same_port = run_process("dev", APP, "--db", str(tmp_path / "other.db"), *ports)
    assert same_port.code == Exit.CANNOT_START
    assert f"the ingress port {port} on 127.0.0.1 is taken" in same_port.stderr
    same_file = run_process("dev", APP, "--db", str(server.folder / "workshop.db"), *ports)
    assert same_file.code == Exit.CANNOT_START
    assert str(server.process.pid) in same_file.stderr


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        ("workshop", "must be MODULE:APP"),
        ("no_such_module:app", "there is no module 'no_such_module' here"),
        ("tests.support.workshop:nope", "it has the App app"),
        ("tests.support.workshop:not_an_app", "is int, not an App"),
    ],
)
def test_wrong_app(app: str, sentence: str) -> None:
    done = run_process("dev", app)
    assert done.code == Exit.USAGE
    assert sentence in done.stderr


def test_exit_codes_are_documented() -> None:
    text = run_process("--help").stdout
    for code in Exit:
        assert f"  {code.value}  " in text
