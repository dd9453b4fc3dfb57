"""Writes the reference page of what backends guarantee: `python -m scripts.backends_page`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from restate_patterns.testing.contract import ALL, Host
from restate_patterns.testing.contract.catalogue import SUBJECTS
from tests.support.engines.contract_hosts import HOSTS
from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "reference" / "backends.md"

INTRODUCTION = """\
# What backends guarantee

Every guarantee that a user can observe is checked on every backend, by one suite that anybody may run on another one:
[Writing a backend](../guide/backends.md). This page is written from the suite and from what the backends declare, by
`make format`.
"""

DIFFERENCES = """
## Differences

Where a backend cannot give a guarantee it says so, with the reason. The suite then expects the guarantee to fail, so
that no line here outlives its reason.
"""


def render() -> str:
    """Give the whole page."""
    hosts = [make(Path("unused")) for make in HOSTS.values()]
    subjects = "".join(_subject(subject) for subject in SUBJECTS)
    return f"{INTRODUCTION}{DIFFERENCES}{_differences(hosts)}\n## The guarantees\n\nThere are {len(ALL)}.\n{subjects}"


def _differences(hosts: Iterable[Host]) -> str:
    sentences = {each.name: each.sentence for each in ALL}
    without = "".join(f"- {host.name}: none\n" for host in hosts if not host.differences)
    rows = "".join(
        f"| {host.name} | {_cell(sentences[name])} (`{name}`) | {_cell(reason)} |\n"
        for host in hosts
        for name, reason in sorted(host.differences.items())
    )
    table = f"\n| backend | guarantee it does not give | reason |\n|---|---|---|\n{rows}" if rows else ""
    return f"\n{without}{table}"


def _subject(subject: ModuleType) -> str:
    name = subject.__name__.rpartition(".")[2]
    title, _, about = inspect.cleandoc(subject.__doc__ or "").partition("\n")[0].partition(": ")
    sentences = "".join(f"- {each.sentence} `{each.title}`\n" for each in ALL if each.subject == name)
    return f"\n### {title}\n\n{about[:1].upper()}{about[1:]} (`{name}`)\n\n{sentences}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
