"""`serve` leaves within ten seconds of a signal, whatever its steps do; and what it forked keeps nothing of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from restate_patterns.limits import SHUTDOWN_GRACE_S
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.processes.dev_server import COMMAND, clean_environment

pytestmark = [pytest.mark.slow]

SLACK_S = 3.0
"""What a busy machine may take for a Python that ends."""

PROGRAM = """
import asyncio, multiprocessing, os, pathlib, sys, threading, time

from restate_patterns import App, Context, Service, handler


def mark(name):
    with open(name, "a") as file:
        file.write("x")


def block(seconds: float) -> str:
    mark("begun")
    time.sleep(seconds)
    mark("ended")
    return "done"


async def ignore(seconds: float) -> str:
    mark("begun")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            pass
    mark("ended")
    return "done"


async def borrow(seconds: float) -> str:
    mark("begun")
    return await asyncio.to_thread(block, seconds)


def sleep(seconds: float) -> None:
    pathlib.Path("child").write_text(str(os.getpid()))
    mark("begun")
    time.sleep(seconds)


def fork(seconds: float) -> str:
    process = multiprocessing.get_context("fork").Process(target=sleep, args=(seconds,))
    process.start()
    process.join()
    return "done"


class Acts(Service):
    @handler
    async def act(self, ctx: Context, what: str) -> str:
        how, seconds = what.split()
        return await ctx.run("act", globals()[how], float(seconds))


app = App([Acts()])
"""


class Served:
    """`restate-patterns serve` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "program.py").write_text(PROGRAM)
        self.ports = ["0", "0"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        ports = ("--ingress-port", self.ports[0], "--admin-port", self.ports[1])
        with log.open("wb") as written:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "program:app", *ports],
                cwd=self.folder,
                env=clean_environment(),
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE_S
        while not (found := re.search(r"ingress http://127.0.0.1:(\d+), admin http://127.0.0.1:(\d+)", self.printed)):
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert f"serving Acts from program.db, process {self.process.pid}: " in self.printed
        self.ports = [found[1], found[2]]

    @property
    def printed(self) -> str:
        return (self.folder / "log").read_text()

    def send(self, how: str, seconds: float) -> str:
        """Send, and wait until the action has begun; gives the invocation id."""
        url = f"http://127.0.0.1:{self.ports[0]}/Acts/act/send"
        sent = loopback.post(url, json=f"{how} {seconds}", timeout=PATIENCE_S).raise_for_status().json()
        deadline = time.monotonic() + PATIENCE_S
        while not self.count("begun"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return str(sent["invocationId"])

    def output(self, invocation_id: str) -> object:
        url = f"http://127.0.0.1:{self.ports[0]}/restate/invocation/{invocation_id}/attach"
        return loopback.get(url, timeout=PATIENCE_S).raise_for_status().json()

    def count(self, name: str) -> int:
        path = self.folder / name
        return len(path.read_text()) if path.exists() else 0

    def leave(self, *signals: signal.Signals) -> float:
        """Send signals, a second apart, and give how long the process takes from the first to its end."""
        assert self.process is not None
        began = time.monotonic()
        for number in signals:
            self.process.send_signal(number)
            if number is not signals[-1]:
                time.sleep(1)
        assert self.process.wait(PATIENCE_S) == 0, self.printed
        return time.monotonic() - began

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "child").read_text()), signal.SIGKILL)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("how", ["block", "ignore", "borrow"])
def test_an_action_that_goes_on_does_not_keep_the_process(served: Served, how: str) -> None:
    served.send(how, 300)
    assert served.leave(signal.SIGTERM) < SHUTDOWN_GRACE_S + SLACK_S
    assert "Traceback" not in served.printed
    assert "destroyed" not in served.printed


@pytest.mark.parametrize("how", ["block", "ignore"])
def test_an_action_that_ends_in_time_is_recorded_and_never_done_again(served: Served, how: str) -> None:
    invocation_id = served.send(how, 4)
    assert served.leave(signal.SIGTERM) < SHUTDOWN_GRACE_S + SLACK_S
    assert served.count("ended") == 1
    served.start()
    assert served.output(invocation_id) == "done"
    assert served.count("begun") == 1


def test_a_second_signal_leaves_at_once(served: Served) -> None:
    served.send("block", 300)
    assert served.leave(signal.SIGTERM, signal.SIGINT) < 2 + SLACK_S
    assert "Traceback" not in served.printed


def test_a_process_that_waits_for_nothing_leaves_at_once(served: Served) -> None:
    assert served.leave(signal.SIGINT) < SLACK_S


def test_the_child_of_a_step_keeps_neither_the_file_nor_the_ports_of_a_server_that_was_killed(served: Served) -> None:
    invocation_id = served.send("fork", 60)
    assert served.process is not None
    served.process.kill()
    served.process.wait(PATIENCE_S)
    os.kill(int((served.folder / "child").read_text()), 0)
    served.start()
    listed = loopback.get(f"http://127.0.0.1:{served.ports[1]}/embedded/invocations", timeout=PATIENCE_S).json()
    assert [each["id"] for each in listed["invocations"]] == [invocation_id]


def test_a_server_whose_file_is_replaced_ends_with_a_sentence(served: Served) -> None:
    assert served.process is not None
    (served.folder / "program.db").rename(served.folder / "elsewhere.db")
    assert served.process.wait(PATIENCE_S) == 74
    assert "was moved or removed" in served.printed
    assert "Traceback" not in served.printed
