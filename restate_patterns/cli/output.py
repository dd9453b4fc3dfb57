"""What the command prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_PIPE_WIDTH = 1_000
_STATUS_STYLES = {
    "running": "green",
    "ready": "green",
    "completed": "dim",
    "paused": "bold red",
    "backing-off": "yellow",
    "queued": "cyan",
    "scheduled": "cyan",
    "suspended": "blue",
}


def print_json(value: object) -> None:
    """Print JSON, indented."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without lines; ids are never cut."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in ("ID", "STATUS"), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(column, text) for column, text in zip(columns, row, strict=True)))
    _print(table)


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one a line; empty values are left out."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value:
            table.add_row(name, _cell(name.upper(), value))
    _print(table)


def complain(message: str) -> None:
    """Print an error sentence."""
    print(f"restate-patterns: {message}", file=sys.stderr)


def ago(time: object, now_ms: int) -> str:
    """Give an RFC 3339 time of the server as `5m ago` or `in 2h`."""
    if not isinstance(time, str):
        return ""
    moment = datetime.strptime(time[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    seconds = int(now_ms / 1000 - moment.timestamp())
    text = _span(abs(seconds))
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _cell(column: str, text: str) -> str:
    style = _STATUS_STYLES.get(text) if column == "STATUS" else None
    return f"[{style}]{escape(text)}[/]" if style else escape(text)


def _print(table: Table) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
