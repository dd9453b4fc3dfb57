"""The command on standard streams that are closed, full, or read by nobody: a process, as only that has them."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from restate_patterns.cli.exits import Exit
from tests.support.bounds import PATIENCE_S
from tests.support.pages import ROOT
from tests.support.processes.dev_server import COMMAND, clean_environment

pytestmark = [pytest.mark.slow]

OPENED_LATER = "import os, sys; from restate_patterns.cli import main; main(['call', 'A/b', '-', '--header', 'x']); "
OPENED_LATER += "number = os.open(os.devnull, os.O_RDONLY); print('into', number, file=sys.stderr)"


def run(command: str, *, unbuffered: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command of the shell, of which `$CLI` is ours."""
    environment = {**clean_environment(), "CLI": shlex.join(COMMAND)}
    if not unbuffered:
        environment.pop("PYTHONUNBUFFERED")
    return subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_closed_streams() -> None:
    """Nothing can be said, and the exit code still says how it ended."""
    assert run("$CLI call A/b - --header x <&- >&- 2>&-").returncode == Exit.USAGE


def test_what_is_opened_later_does_not_take_their_place() -> None:
    """What is printed would else go into a file or a socket of ours."""
    said = run(f"{shlex.quote(COMMAND[0])} -c {shlex.quote(OPENED_LATER)} <&- >&-").stderr
    assert "must be written as 'name: value'" in said
    assert int(said.split("into ")[1]) > 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full")  # noqa: PTH110 - a device
@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_full_disk(unbuffered: bool) -> None:
    """A script that keeps the output must not take an empty file for it."""
    done = run("$CLI --help > /dev/full", unbuffered=unbuffered)
    assert done.returncode == Exit.OUTPUT_LOST
    assert done.stderr == "restate-patterns: what it has to say cannot be written: No space left on device\n"


def test_a_reader_that_has_gone() -> None:
    """As `| head` leaves it: no complaint."""
    done = run("(sleep 0.1; $CLI --help; echo $? >&2) | true")
    assert done.stderr == "0\n"
