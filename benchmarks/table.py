"""Prints results as a table, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.results import Result, number

_VERDICTS = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}


def print_table(machine: Machine, results: Sequence[Result], missing: Mapping[str, str]) -> None:
    """Print one line per row: the medians of both sides, and the ratio with its range."""
    console = Console(highlight=False)
    for line in machine.lines():
        console.print(line)
    table = Table("row", "what", "ours", "peer", "ratio or value", "goal", "")
    for result in results:
        peer = "" if result.peer is None else f"{result.peer.text()} {result.unit}\n{result.peer_title}"
        goal = "" if result.goal is None else f"{result.better} {number(result.goal)}"
        ours, value = f"{result.ours.text()} {result.unit}", result.value.text()
        table.add_row(result.name, result.what, ours, peer, value, goal, _VERDICTS[result.met])
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"{result.name}: {note}")
    for name, reason in missing.items():
        console.print(f"{name}: not measured: {reason}", style="yellow")


def print_json(machine: Machine, results: Sequence[Result], missing: Mapping[str, str]) -> None:
    """Print everything, all samples included, as one JSON object."""
    report = {
        "machine": asdict(machine),
        "rows": [result.as_json() for result in results],
        "not_measured": dict(missing),
    }
    print(json.dumps(report, indent=2))
