"""Writes the reference page of the command line from its parser: `python -m scripts.cli_reference`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from restate_patterns.cli.command import parser
from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "reference" / "cli.md"

INTRODUCTION = """\
# Command line

`restate-patterns` serves an app while you write it, calls it, and shows what it does, on an embedded server or on
Restate. Written from the command's own parser by `make format`.

The commands that talk to a server find it at `RESTATE_INGRESS_URL` and `RESTATE_ADMIN_URL`, or on loopback at ports
8080 and 9070. `--json` gives what a program wants to read. The exit code says how it ended:

| exit code | |
|---|---|
"""

_GLOBAL = ("-h", "--help")


def render() -> str:
    """Give the whole page."""
    root = parser()
    sections = "".join(_section(name, command) for name, command in _commands("restate-patterns", root))
    return INTRODUCTION + _exit_codes(root) + sections


def _exit_codes(root: argparse.ArgumentParser) -> str:
    lines = [line.split(maxsplit=1) for line in (root.epilog or "").splitlines() if line[:3].strip()]
    return "".join(f"| {code} | {text} |\n" for code, text in lines if code.isdigit())


def _commands(name: str, command: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Give the commands that can be typed, with their full names; an alias is left out."""
    groups = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield name, command
    seen: set[int] = set()
    for group in groups:
        for word, sub in group.choices.items():
            if id(sub) not in seen:
                seen.add(id(sub))
                yield from _commands(f"{name} {word}", sub)


def _section(name: str, command: argparse.ArgumentParser) -> str:
    actions = [action for action in command._actions if action.option_strings[:2] != list(_GLOBAL)]
    rows = "".join(f"| `{_spelling(action)}` | {_help(action, command)} |\n" for action in actions)
    return f"\n## `{name}`\n\n{command.description}\n\n| | |\n|---|---|\n{rows}"


def _spelling(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper().replace("_", "-")
    if not action.option_strings:
        name = action.metavar if isinstance(action.metavar, str) else action.dest
        return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)
    spelled = ", ".join(sorted(action.option_strings, key=len, reverse=True))
    return spelled if action.nargs == 0 else f"{spelled} {metavar}"


def _help(action: argparse.Action, command: argparse.ArgumentParser) -> str:
    text = (action.help or "") % {**vars(action), "prog": command.prog}
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
