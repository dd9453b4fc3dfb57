"""The command line against real servers of both kinds: the same verbs, outcomes and JSON."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from restate_patterns.cli.exits import Exit
from restate_patterns.cli.ids import shortened
from tests.support.bounds import PATIENCE_S
from tests.support.pages import ROOT
from tests.support.processes.dev_server import COMMAND, DevServer, clean_environment, run_here
from tests.support.processes.workshops import Workshop

pytestmark = [pytest.mark.slow]

APP = "tests.support.processes.workshop:app"
INVOCATION = [
    "id",
    "target",
    "service",
    "handler",
    "key",
    "status",
    "created_at",
    "modified_at",
    "scheduled_at",
    "completed_at",
    "attempt_count",
    "last_failure",
    "next_retry_at",
    "waits_for",
    "idempotency_key",
    "invoked_by",
    "failure",
]
HANDLER = [
    "name",
    "ty",
    "public",
    "documentation",
    "input_description",
    "output_description",
    "input_json_schema",
    "output_json_schema",
    "retention_s",
]


def rows(table: str) -> list[list[str]]:
    """Split a table into cells; columns are two or more blanks apart."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()]


def test_call(workshop: Workshop) -> None:
    done = workshop.command("call", "Counter/call/add", "3")
    assert (done.code, done.stdout, done.stderr) == (0, "3\n", "")
    slashed = workshop.command_process("call", "Counter/a%2Fb/add", "-", stdin="4")
    assert slashed.stdout == "4\n"
    assert workshop.command("call", "Counter/a%2Fb/get").stdout == "4\n"
    assert workshop.command("call", "Shop/nothing").stdout == ""


def test_call_with_headers_and_key(workshop: Workshop) -> None:
    arguments = ("call", "Shop/trace", '"x"', "--header", "X-Trace: t1", "--idempotency-key", "once")
    first, again = workshop.command(*arguments), workshop.command(*arguments[:4], "X-Trace: t2", *arguments[5:])
    assert json.loads(first.stdout)["x-trace"] == "t1"
    assert again.stdout == first.stdout


def test_call_that_fails(workshop: Workshop) -> None:
    done = workshop.command("call", "Shop/buy", '"tea"')
    assert (done.code, done.stdout) == (Exit.FAILED, "")
    assert done.stderr == "restate-patterns: failed with 410: We have no more of it.\n"
    as_json = workshop.command("call", "Shop/buy", '"tea"', "--json")
    assert json.loads(as_json.stdout)["error"]["metadata"]["item"] == '"tea"'


def test_call_times_out(workshop: Workshop) -> None:
    done = workshop.command("call", "Shop/nap", "3600", "--timeout", "50ms")
    assert done.code == Exit.NOT_ENDED
    assert "took over 0.05 s; the invocation goes on; see it with" in done.stderr
    listing = done.stderr.partition("see it with restate-patterns ")[2].split()
    assert "Shop/nap" in workshop.command(*listing).stdout


def test_life_of_an_invocation(workshop: Workshop) -> None:
    sent = workshop.command("send", "Counter/life/hold")
    holder = sent.stdout.strip()
    assert (sent.code, holder[:4]) == (0, "inv_")
    queued = json.loads(workshop.command("send", "Counter/life/add", "1", "--json").stdout)["invocationId"]
    workshop.until_status(queued, "queued")

    listed = workshop.command("invocations", "list", "--key", "life")
    header, newest, oldest = rows(listed.stdout)
    assert header == ["ID", "TARGET", "STATUS", "CREATED", "NOTE"]
    assert newest[:3] == [queued, "Counter/life/add", "queued"]
    assert oldest[:3] == [holder, "Counter/life/hold", "running"]
    assert f"held by Counter/life/hold ({holder})" in newest[4]

    described = workshop.command("invocations", "describe", holder)
    assert "Counter/life/hold" in described.stdout
    assert "sleep" in described.stdout

    refused = workshop.command("invocations", "kill", holder)
    assert refused.code == Exit.USAGE
    assert "give --yes" in refused.stderr
    assert workshop.command("invocations", "kill", holder, "--yes").stdout == f"{holder}: killed\n"
    workshop.until_status(queued, "completed")
    too_late = workshop.command("invocations", "cancel", holder)
    assert too_late.code == Exit.REFUSED
    assert "is already completed" in too_late.stderr
    completed = workshop.command("invocations", "list", "--key", "life", "--all", "--json")
    assert [each["status"] for each in json.loads(completed.stdout)["invocations"]] == ["completed"] * 2
    assert "no invocations in flight" in workshop.command("invocations", "list", "--key", "life").stdout

    restarted = workshop.command("invocations", "restart", queued).stdout
    assert restarted.startswith(f"{queued}: restarted as inv_")
    assert workshop.command("invocations", "purge", queued, holder).code == 0
    gone = workshop.command("invocations", "describe", holder)
    assert gone.code == Exit.NOT_FOUND


def parsed(workshop: Workshop, *arguments: str) -> Mapping[str, Any]:
    """Run a command with `--json` and read what it printed."""
    done = workshop.command(*arguments, "--json")
    assert done.code == 0, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def test_json_has_one_shape(workshop: Workshop) -> None:
    """A script that reads it works on both kinds of server."""
    sent = parsed(workshop, "send", "Counter/shape/hold")["invocationId"]
    workshop.until_status(sent, "running")
    listed = parsed(workshop, "invocations", "list", "--key", "shape", "--limit", "1")
    assert list(listed) == ["invocations", "next"]
    assert listed["next"] == sent
    assert list(listed["invocations"][0]) == INVOCATION
    described = parsed(workshop, "invocations", "describe", sent)
    assert list(described) == ["invocation", "journal"]
    assert list(described["invocation"]) == INVOCATION
    assert described["invocation"]["key"] == "shape"
    for entry in described["journal"]:
        assert list(entry) == ["position", "kind", "name", "completed", "detail"]
    assert parsed(workshop, "invocations", "kill", "--yes", sent) == {"invocations": [{"id": sent}]}
    workshop.until_status(sent, "completed")
    restarted = parsed(workshop, "invocations", "restart", sent)["invocations"][0]
    assert list(restarted) == ["id", "new_invocation_id"]
    assert parsed(workshop, "invocations", "kill", "-y", restarted["new_invocation_id"])

    service = parsed(workshop, "services", "describe", "Counter")
    assert list(service) == ["name", "ty", "handlers", "deployment_id", "revision", "public", "documentation"]
    assert service in parsed(workshop, "services", "list")["services"]
    for handler in service["handlers"]:
        assert list(handler) == HANDLER
    deployment = parsed(workshop, "deployments", "list")["deployments"][0]
    assert deployment["id"] == service["deployment_id"]
    assert {"name": "Counter", "revision": service["revision"]} in deployment["services"]


def test_kill_asks(workshop: Workshop) -> None:
    """It names the invocation and what it waits for, and a no kills nothing."""
    holder = workshop.command("send", "Counter/asked/hold").stdout.strip()
    workshop.until_status(holder, "running")
    text, code = answered(workshop, "n", "invocations", "kill", holder)
    assert code == Exit.USAGE
    assert "nothing was killed" in text
    assert f"{holder}: Counter/asked/hold, running" in text
    assert "waits for the timer" in text
    assert ("goes on" if workshop.kind == "embedded" else "called or sent is killed too") in text
    text, code = answered(workshop, "y", "invocations", "kill", holder)
    assert code == 0
    assert f"{holder}: killed" in text


def test_kill_names_what_goes_down(restate: Workshop) -> None:
    parent = restate.command("send", "Family/parent", '"asked"').stdout.strip()
    restate.until_status(parent, "running")
    text = ""
    deadline = time.monotonic() + PATIENCE_S
    while text.count("  kills ") < 5:
        assert time.monotonic() < deadline, text
        text, _ = answered(restate, "n", "invocations", "kill", parent)
    for target in ("Family/middle", "Counter/asked-sent/hold", "Counter/asked-later/hold", "Counter/asked-grand-sent"):
        assert f"  kills {target}" in text
    assert restate.command("invocations", "kill", "--yes", parent).code == 0


def answered(workshop: Workshop, answer: str, *arguments: str) -> tuple[str, int]:
    """Run the command at a terminal, answer its question, and give what it printed and its exit code."""
    ours, theirs = pty.openpty()
    environment = {**clean_environment(), "RESTATE_ADMIN_URL": workshop.admin_url}
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.stdout, done.returncode


def test_cancel_and_paused(workshop: Workshop) -> None:
    napping = workshop.command("send", "Shop/nap", "3600").stdout.strip()
    assert workshop.command("invocations", "cancel", napping).stdout == f"{napping}: cancelling\n"
    failure = workshop.until_status(napping, "completed")["failure"]
    assert failure == {"code": 409, "message": "cancelled"}
    broken = workshop.command("send", "Shop/broken").stdout.strip()
    workshop.until_status(broken, "paused")
    listed = workshop.command("invocations", "list", "--status", "paused", "--handler", "broken").stdout
    assert "no route to the bank" in listed
    assert workshop.command("invocations", "resume", broken).stdout == f"{broken}: resumed\n"
    assert workshop.command("invocations", "kill", "-y", broken).code == 0


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_call_that_pauses_has_not_ended(workshop: Workshop) -> None:
    paused = workshop.command("call", "Shop/broken")
    assert paused.code == Exit.NOT_ENDED
    assert "no route to the bank" in paused.stderr
    for each in parsed(workshop, "invocations", "list", "--status", "paused")["invocations"]:
        assert workshop.command("invocations", "kill", "-y", each["id"]).code == 0


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_step_that_waits_for_its_next_try(workshop: Workshop) -> None:
    """A listing and `describe` say how often it failed, with what, and when it is tried again."""
    sent = workshop.command("send", "Shop/dial").stdout.strip()
    said = "the step dial, which failed once, last with OSError: engaged; next try in 59m"
    deadline = time.monotonic() + PATIENCE_S
    while said not in (listed := workshop.command("invocations", "list", "--handler", "dial").stdout):
        assert time.monotonic() < deadline, listed
    assert said in workshop.command("invocations", "describe", sent).stdout
    assert workshop.command("invocations", "kill", "-y", sent).code == 0


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_what_is_waited_for_comes_before_its_bound(workshop: Workshop) -> None:
    sent = workshop.command("send", "Shop/wait_at_most", "3600").stdout.strip()
    said = "waits for an awakeable"
    deadline = time.monotonic() + PATIENCE_S
    while said not in (listed := workshop.command("invocations", "list", "--handler", "wait_at_most").stdout):
        assert time.monotonic() < deadline, listed
    assert workshop.command("invocations", "kill", "-y", sent).code == 0


def test_delayed_send(workshop: Workshop) -> None:
    sent = workshop.command("send", "Shop/nothing", "--delay", "1h").stdout.strip()
    listed = workshop.command("invocations", "list", "--status", "scheduled").stdout
    assert sent in listed
    assert "due in 59m" in listed or "due in 60m" in listed
    assert workshop.command("invocations", "cancel", sent).code == 0
    assert workshop.command("invocations", "describe", sent).code == Exit.NOT_FOUND


def test_ids_can_be_shortened(workshop: Workshop) -> None:
    """As a table shows them at a narrow terminal, or their beginning, if no other has the same."""
    sent = [workshop.command("send", "Shop/nap", "3600").stdout.strip() for _ in range(2)]
    for shown in shortened(sent).values():
        assert len(shown) < 24
        described = workshop.command("invocations", "describe", shown, "--json")
        assert json.loads(described.stdout)["invocation"]["id"] in sent
    several = workshop.command("invocations", "cancel", "inv_1")
    assert several.code == Exit.USAGE
    assert "several invocations have an id like inv_1: inv_1" in several.stderr
    short = [shortened(sent)[sent[0]], sent[1][:-2]]
    killed = workshop.command("invocations", "kill", "--yes", *short).stdout
    assert killed == "".join(f"{each}: killed\n" for each in sent)


def test_failed_ones(workshop: Workshop) -> None:
    workshop.command("call", "Shop/buy", '"rice"')
    workshop.command("call", "Shop/nothing")
    listed = parsed(workshop, "invocations", "list", "--failed")["invocations"]
    assert {each["handler"] for each in listed} >= {"buy"}
    assert all(each["failure"] for each in listed)


def test_restart_says_what_was_done(workshop: Workshop) -> None:
    """A repeat has other idempotency keys: whoever restarts it must know what is done once more."""
    ringing = workshop.command("send", "Shop/ring").stdout.strip()
    deadline = time.monotonic() + PATIENCE_S
    while workshop.command("call", "Bell/door/known").stdout in ("", "null\n"):
        assert time.monotonic() < deadline
    assert workshop.command("invocations", "kill", "--yes", ringing).code == 0
    workshop.until_status(ringing, "completed")
    refused = workshop.command("invocations", "restart", ringing)
    assert refused.code == Exit.USAGE
    assert "a restart does again what was done, so it asks first; give --yes" in refused.stderr
    text, code = answered(workshop, "n", "invocations", "restart", ringing)
    assert code == Exit.USAGE
    assert "call of Bell/door/remember" in text
    assert "nothing was restarted" in text
    again = workshop.command("invocations", "restart", "--yes", ringing).stdout
    assert again.startswith(f"{ringing}: restarted as inv_")
    workshop.command("invocations", "kill", "--yes", again.rpartition(" ")[2].strip())


def test_watching_ends_with_ctrl_c(workshop: Workshop) -> None:
    """It lists again and again, and Ctrl-C is how it ends: no error."""
    environment = {**clean_environment(), "RESTATE_ADMIN_URL": workshop.admin_url}
    command = [*COMMAND, "invocations", "list", "--watch", "0.05", "--service", "Nobody"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        assert done.stdout is not None
        assert [done.stdout.readline() for _ in range(3)] == [
            "no invocations in flight; --all shows completed ones too\n"
        ] * 3
        done.send_signal(signal.SIGINT)
        _, complaint = done.communicate(timeout=PATIENCE_S)
    assert (done.returncode, complaint) == (0, "")


def test_state(workshop: Workshop) -> None:
    workshop.command("call", "Counter/state/add", "3")
    assert rows(workshop.command("kv", "get", "Counter", "state").stdout) == [["NAME", "VALUE"], ["count", "3"]]
    assert workshop.command("kv", "set", "Counter", "state", "count", "40").code == 0
    assert workshop.command("call", "Counter/state/add", "2").stdout == "42\n"
    assert workshop.command("kv", "get", "Counter", "state", "count").stdout == "42\n"
    assert json.loads(workshop.command("kv", "get", "Counter", "state", "--json").stdout) == {"count": 42}
    missing = workshop.command("kv", "get", "Counter", "state", "color")
    assert missing.code == Exit.NOT_FOUND
    assert "it has count" in missing.stderr
    assert workshop.command("kv", "clear", "Counter", "state").stdout == "Counter/state has no state\n"
    assert workshop.command("call", "Counter/state/get").stdout == "0\n"


def test_services(workshop: Workshop) -> None:
    listed = rows(workshop.command("services", "list").stdout)
    assert ["Counter", "VirtualObject", "add, get, hold"] in listed
    described = workshop.command("services", "describe", "Counter").stdout
    assert "Add to the count." in described
    document = json.loads(workshop.command("services", "openapi", "Counter").stdout)
    assert any(path.endswith("/Counter/{key}/add") for path in document["paths"])
    unknown = workshop.command("services", "describe", "Nobody")
    assert unknown.code == Exit.NOT_FOUND
    assert (
        "this app has Approval, Bell, Counter, Shop" if workshop.kind == "embedded" else "'Nobody'"
    ) in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("call", "Counter/k/add", "x"), Exit.USAGE, "the body is not JSON"),
        (("call", "Counter", "1"), Exit.USAGE, "must be Service/handler or Object/key/handler"),
        (("call", "Counter/k/add", "@/no/file"), Exit.USAGE, "cannot read the body from /no/file"),
        (("call", "Counter/k/add", "1", "--header", "x"), Exit.USAGE, "'name: value'"),
        (("call", "Counter/k/nope", "1"), Exit.NOT_FOUND, "the handler 'nope' was not found"),
        (("send", "Counter/k/adn", "1"), Exit.NOT_FOUND, "; did you mean add?"),
        (("call", "Contre/k/add", "1"), Exit.NOT_FOUND, "; did you mean Counter?"),
        (("call", "Shop/secret"), Exit.REFUSED, "the invoked service is not public"),
        (("send", "Shop/nothing", "--delay", "10"), Exit.USAGE, "'10' is not a duration"),
        (("kv", "set", "Counter", "k", "count", "x"), Exit.USAGE, "the value is not JSON"),
        (("kv", "get", "Shop", "k"), Exit.REFUSED, "only virtual objects and workflows have state"),
        (("invocations", "cancel", "garbage"), Exit.REFUSED, "bad invocation id 'garbage'"),
        (("invocations", "list", "--status", "hungry"), Exit.USAGE, "status=hungry must be of"),
        (("invocations", "list", "--status", "pausd"), Exit.USAGE, "; did you mean paused?"),
        (("invocations", "list", "--watch", "--json"), Exit.USAGE, "leave --json out"),
        (("invocations", "describe", "inv_1zz"), Exit.NOT_FOUND, "there is no invocation whose id is inv_1zz"),
    ],
)
def test_mistakes(workshop: Workshop, arguments: tuple[str, ...], code: Exit, sentence: str) -> None:
    done = workshop.command(*arguments)
    assert (done.code, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert done.stderr.startswith("restate-patterns: ")
    assert "Traceback" not in done.stderr


def test_wrong_urls(workshop: Workshop) -> None:
    nobody = run_here("services", "list", "--admin-url", "http://127.0.0.1:9")
    assert nobody.code == Exit.NO_SERVER
    assert "no server answers at http://127.0.0.1:9" in nobody.stderr
    ingress = run_here("services", "list", "--admin-url", workshop.ingress_url)
    assert ingress.code == Exit.NO_SERVER
    assert "is an ingress" in ingress.stderr
    admin = run_here("call", "Counter/k/get", "--ingress-url", workshop.admin_url)
    assert admin.code == Exit.NO_SERVER
    assert run_here("call", "Counter/k/get", "--ingress-url", "localhost").code == Exit.USAGE


def test_second_server_on_the_same_file_or_port(tmp_path: Path) -> None:
    server = DevServer(tmp_path, APP, "--no-reload", "--db", "workshop.db")
    try:
        server.start()
        port = server.ingress_url.rpartition(":")[2]
        ports = ("--ingress-port", port, "--admin-port", "0", "--no-reload")
        same_port = run_here("dev", APP, "--db", str(tmp_path / "other.db"), *ports)
        assert same_port.code == Exit.CANNOT_START
        assert f"the ingress port {port} on 127.0.0.1 is taken" in same_port.stderr
        same_file = run_here("dev", APP, "--db", str(tmp_path / "workshop.db"), *ports)
        assert same_file.code == Exit.CANNOT_START
        assert str(server.process.pid) in same_file.stderr
    finally:
        server.close()


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        ("workshop", "must be MODULE:APP"),
        ("no_such_module:app", "there is no module 'no_such_module' here"),
        ("tests.support.processes.workshop:nope", "it has the App app"),
        ("tests.support.processes.workshop:not_an_app", "is int, not an App"),
    ],
)
def test_wrong_app(app: str, sentence: str) -> None:
    done = run_here("dev", app)
    assert done.code == Exit.USAGE
    assert sentence in done.stderr


def test_exit_codes_are_documented() -> None:
    text = run_here("--help").stdout
    for code in Exit:
        assert f"  {code.value}  " in text


def test_tokens_come_from_the_environment(tmp_path: Path) -> None:
    tokens = {"RESTATE_INGRESS_TOKEN": "for-calls", "RESTATE_ADMIN_TOKEN": "for-operators"}
    options = ("--no-reload", "--db", "w.db", "--host", "127.0.0.2", "--admin-host", "0.0.0.0")
    server = DevServer(tmp_path, APP, *options, secrets=tokens)
    try:
        server.start()
        assert server.ingress_url.startswith("http://127.0.0.2:")
        urls = {"RESTATE_INGRESS_URL": server.ingress_url, "RESTATE_ADMIN_URL": server.admin_url}
        called, listed = ("call", "Counter/k/add", "1"), ("services", "list")
        assert run_here(*called, environment={**urls, **tokens}).stdout == "1\n"
        assert "Counter" in run_here(*listed, environment={**urls, **tokens}).stdout
        for arguments in (called, listed):
            refused = run_here(*arguments, environment=urls)
            assert refused.code == Exit.NO_SERVER
            assert "the token is missing or not accepted" in refused.stderr
        calling = {**urls, "RESTATE_TOKEN": "for-calls"}
        assert run_here(*called, environment=calling).stdout == "2\n"
        assert run_here(*listed, environment=calling).code == Exit.NO_SERVER
        assert "for-" not in server.printed
        shown = Path(f"/proc/{server.process.pid}/cmdline")
        assert not shown.exists() or b"for-" not in shown.read_bytes()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--admin-host", "0.0.0.0"), "give a token (RESTATE_ADMIN_TOKEN"),
        (("--allow-origin", "shop.example.com"), "must be scheme, host and port"),
        (("--allow-host", "shop.example.com:80"), "without a port"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "dev"])
def test_a_server_open_to_others_is_refused(
    tmp_path: Path, command: str, options: tuple[str, ...], sentence: str
) -> None:
    done = run_here(command, APP, "--db", str(tmp_path / "w.db"), "--ingress-port", "0", "--admin-port", "0", *options)
    assert done.code == Exit.USAGE
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
