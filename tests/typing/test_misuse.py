"""Every misuse is rejected on its line by mypy and by pyright, and nothing else is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TYPING = ROOT / "tests" / "typing"
FILES = sorted([TYPING / "correct.py", *TYPING.glob("misuse/*.py"), *TYPING.glob("programs/*.py")])
MARKER = re.compile(r"# error(?: \((?P<only>mypy|pyright)\))?: \S")
PATIENCE_S = 110
MISUSES_AT_LEAST = 60

Place = tuple[str, int]


def expected(checker: str) -> set[Place]:
    places: set[Place] = set()
    for file in FILES:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            found = MARKER.search(line)
            if found and found["only"] in (None, checker):
                places.add((str(file.relative_to(ROOT)), number))
    return places


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr or done.stdout
    return done.stdout


def rejected_by_mypy() -> dict[Place, str]:
    rejected: dict[Place, str] = {}
    for line in run("mypy", "--strict", "--no-error-summary", "--output=json", *map(str, FILES)).splitlines():
        error = json.loads(line)
        if error["severity"] == "error":
            rejected[error["file"], error["line"]] = error["message"]
    return rejected


def rejected_by_pyright() -> dict[Place, str]:
    report = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(TYPING)))
    return {
        (str(Path(error["file"]).relative_to(ROOT)), error["range"]["start"]["line"] + 1): error["message"]
        for error in report["generalDiagnostics"]
        if error["severity"] == "error"
    }


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE_S)
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_each_misuse_is_rejected_and_correct_use_is_not(checker: str) -> None:
    rejected = rejected_by_mypy() if checker == "mypy" else rejected_by_pyright()
    wanted = expected(checker)

    assert sorted(wanted - set(rejected)) == [], f"{checker} lets these misuses pass"
    assert {place: rejected[place] for place in sorted(set(rejected) - wanted)} == {}, "and these are no misuses"


def test_there_are_as_many_misuses_as_promised() -> None:
    assert len(expected("mypy") & expected("pyright")) >= MISUSES_AT_LEAST
