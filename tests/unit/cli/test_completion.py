"""What a shell completes is what the parser knows."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from restate_patterns.cli.command import main

CASES: dict[str, tuple[Sequence[str], str, list[str]]] = {
    "a command": ([], "inv", ["invocations", "inv"]),
    "a verb": (["invocations"], "l", ["list"]),
    "a verb of an alias": (["inv"], "ki", ["kill"]),
    "an option": (["inv", "list"], "--f", ["--failed"]),
    "a choice of an option": (["serve", "shop:app", "--backend"], "", ["embedded", "restate"]),
    "a word that only looks like a command": (["call", "list"], "--time", ["--timeout"]),
    "a choice": (["completion"], "z", ["zsh"]),
    "a file": (["migrate"], "shop.", []),
}


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """The script of each shell."""
    found: dict[str, str] = {}
    for shell in ("bash", "zsh", "fish"):
        with pytest.MonkeyPatch.context() as patch:
            printed: list[str] = []
            patch.setattr("restate_patterns.cli.completion.say_lines", printed.append)
            assert main(["completion", shell]) == 0
        (found[shell],) = printed
    return found


@pytest.mark.parametrize("case", CASES)
def test_bash(scripts: dict[str, str], case: str) -> None:
    """Bash itself runs the script."""
    before, typed, fitting = CASES[case]
    words = " ".join(f"'{word}'" for word in ["restate-patterns", *before, typed])
    asked = (
        f"COMP_WORDS=({words}); COMP_CWORD={len(before) + 1}; _restate_patterns; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", f"{scripts['bash']}\n{asked}"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.split() == fitting


def test_the_others_know_the_same(scripts: dict[str, str]) -> None:
    """Zsh runs the script of bash; fish has a line for each verb, option and choice."""
    assert scripts["zsh"].endswith(scripts["bash"])
    assert scripts["zsh"].startswith("#compdef restate-patterns\n")
    lines = scripts["fish"].splitlines()
    seen = "'__fish_seen_subcommand_from invocations; and __fish_seen_subcommand_from list'"
    assert f"complete -c restate-patterns -n {seen} -l failed" in lines
    assert any(line.endswith("-l backend -x -a 'embedded restate'") for line in lines)
