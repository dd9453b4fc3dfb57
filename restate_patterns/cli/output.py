"""What the command prints: tables for people, JSON for programs. Whatever others wrote stays in its line and cell."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restate_patterns.text.printable import printable, printable_json, printable_lines

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
    print(json_text(value, indent=2))


def json_text(value: object, *, indent: int | None = None) -> str:
    """Give JSON that may be printed."""
    return printable_json(json.dumps(value, indent=indent, ensure_ascii=False))


def say(line: str, file: TextIO | None = None) -> None:
    """Print one line; to standard output unless told otherwise."""
    print(printable(line), file=file, flush=file is not None)


def print_output(output: bytes) -> None:
    """Print what a handler gave: to a program the bytes, to a person their text."""
    if sys.stdout.isatty():
        print(printable_lines(output.decode(errors="backslashreplace").removesuffix("\n")))
    else:
        sys.stdout.buffer.write(output if output.endswith(b"\n") else output + b"\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without lines; ids are never cut."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in ("ID", "STATUS"), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(column, text) for column, text in zip(columns, row, strict=True)))
    _print(table)


def print_fields(fields: Sequence[tuple[str, str | Sequence[str]]]) -> None:
    """Print names and values, one a line; empty values are left out, and several are below each other."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value:
            table.add_row(name, _cell(name.upper(), *([value] if isinstance(value, str) else value)))
    _print(table)


def complain(message: str, output: str = "") -> None:
    """Print an error sentence, and below it what a program said."""
    say(f"restate-patterns: {message}", sys.stderr)
    if output:
        print(printable_lines(output), file=sys.stderr)


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


def _cell(column: str, *lines: str) -> Text:
    style = _STATUS_STYLES.get(lines[0], "") if column == "STATUS" else ""
    return Text("\n".join(map(printable, lines)), style)


def _print(table: Table) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))
