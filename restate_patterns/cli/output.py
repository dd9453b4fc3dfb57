"""What the command prints: tables for people, JSON for programs. Whatever others wrote stays in its line and cell."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restate_patterns.cli import streams
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.fitting import GAP, ONE_LINE, fitted
from restate_patterns.text.printable import printable, printable_json, printable_lines

_PIPE_WIDTH = 1_000
_UNBROKEN = ("ID", "STATUS", "CREATED", "SINCE", *ONE_LINE)
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
    streams.write(f"{json_text(value, indent=2)}\n")


def json_text(value: object, *, indent: int | None = None) -> str:
    """Give JSON that may be printed."""
    return printable_json(json.dumps(value, indent=indent, ensure_ascii=False))


def say(line: str = "") -> None:
    """Print one line."""
    streams.write(f"{printable(line)}\n")


def say_lines(text: str) -> None:
    """Print text that has lines."""
    streams.write(f"{printable_lines(text)}\n")


def tell(line: str) -> None:
    """Print one line about what goes on, to standard error."""
    streams.tell(f"{printable(line)}\n")


def tell_lines(text: str) -> None:
    """Print text about what goes on that has lines."""
    streams.tell(f"{printable_lines(text)}\n")


def print_output(output: bytes) -> None:
    """Print what a handler gave: to a program the bytes, to a person their text."""
    if sys.stdout.isatty():
        say_lines(output.decode(errors="backslashreplace").removesuffix("\n"))
    else:
        streams.write_bytes(output if output.endswith(b"\n") else output + b"\n")


def need_a_person(why: str) -> None:
    """Check that somebody can answer.

    Args:
        why: Why somebody is asked.

    Raises:
        CommandError: Nobody can.
    """
    if not sys.stdin.isatty():
        raise CommandError(Exit.USAGE, f"{why}, so it asks first; give --yes where nobody can answer")


def confirmed(question: str) -> bool:
    """Ask a person, and return whether the answer is yes; an input that ends is a no."""
    streams.write(f"{question} [y/N] ")
    streams.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without lines; at a terminal that has no room for them, ids are shortened and notes are cut."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in _UNBROKEN, overflow="fold")
    for row in fitted(columns, rows, _console().width if sys.stdout.isatty() else None):
        table.add_row(*(_cell(column, text) for column, text in zip(columns, row, strict=True)))
    _print(table)


def clear_screen() -> None:
    """Begin at the top of an empty terminal; for a program there is none."""
    if sys.stdout.isatty():
        streams.write("\x1b[2J\x1b[H")


def print_fields(fields: Sequence[tuple[str, str | Sequence[str]]]) -> None:
    """Print names and values, one a line; empty values are left out, and several are below each other."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value:
            table.add_row(name, _cell(name.upper(), *([value] if isinstance(value, str) else value)))
    _print(table)


def complain(message: str, output: str = "") -> None:
    """Print an error sentence, and below it what a program said."""
    streams.tell(f"restate-patterns: {printable(message)}\n")
    if output:
        tell_lines(output)


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
    console = _console()
    with console.capture() as captured:
        console.print(table)
    streams.write("".join(f"{line.rstrip()}\n" for line in captured.get().rstrip("\n").split("\n")))


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
