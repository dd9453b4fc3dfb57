"""Prints results as a table, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.results import Result, number

WIDTH = 132
_VERDICTS = {True: "met", False: "MISSED", None: ""}


def print_table(machine: Machine, results: Sequence[Result], missing: Mapping[str, str]) -> None:
    """Print one line per row: the medians of both sides with their ranges, and the ratio pair by pair."""
    console = Console(highlight=False, width=WIDTH)
    for line in machine.lines():
        console.print(line)
    table = Table("row", "unit", "ours", "peer", "ratio or value", "goal", "", box=None, pad_edge=False)
    for result in results:
        peer = "" if result.peer is None else result.peer.text()
        goal = "" if result.goal is None else f"{result.better} {number(result.goal)}"
        verdict = _VERDICTS[result.met]
        table.add_row(result.name, result.unit, result.ours.text(), peer, result.value.text(), goal, verdict)
    console.print()
    console.print(table)
    console.print()
    for result in results:
        console.print(f"{result.name}: {'; '.join([result.what, *result.notes])}", style="dim")
    for name, reason in missing.items():
        console.print(f"{name}: not measured: {reason}")


def print_json(machine: Machine, results: Sequence[Result], missing: Mapping[str, str]) -> None:
    """Print everything, all samples included, as one JSON object."""
    report = {
        "machine": asdict(machine),
        "rows": [result.as_json() for result in results],
        "not_measured": dict(missing),
    }
    print(json.dumps(report, indent=2))
