"""Rows of a table as a terminal has room for them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size

from restate_patterns.cli.ids import shortened

GAP: Final = 2
"""Blanks between two columns."""

ONE_LINE: Final = ("NOTE", "ERROR", "DETAIL")
"""Columns of what others wrote: a line of it is enough, all of it is in the JSON and in `describe`."""
_NOTE_MIN: Final = 20
_CUT: Final = "…"


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[list[str]]:
    """Return the rows with ids and notes as short as they must be.

    Args:
        columns: The names of the columns; the last one gets what the others leave.
        rows: The cells.
        width: How wide the terminal is; None for a program, which gets whole ids and lines.
    """
    fit = [
        [_first_line(cell) if column in ONE_LINE else cell for column, cell in zip(columns, row, strict=True)]
        for row in rows
    ]
    if width is None or not fit:
        return fit
    note = columns[-1] in ONE_LINE
    wanted = min(_widest(columns[-1], (row[-1] for row in fit)), _NOTE_MIN) if note else 0
    if "ID" in columns and _taken(columns, fit, note) + wanted > width:
        place = columns.index("ID")
        short = shortened(row[place] for row in fit)
        for row in fit:
            row[place] = short.get(row[place], row[place])
    if note:
        room = max(width - _taken(columns, fit, note), _NOTE_MIN)
        for row in fit:
            row[-1] = _cut(row[-1], room)
    return fit


def _taken(columns: Sequence[str], rows: Sequence[Sequence[str]], note: bool) -> int:
    """Return how wide the columns are, those before a note with the blanks behind them."""
    count = len(columns) - 1 if note else len(columns)
    widths = sum(_widest(columns[place], (row[place] for row in rows)) for place in range(count))
    return widths + GAP * (len(columns) - 1)


def _widest(column: str, cells: Iterable[str]) -> int:
    return max(cell_len(column), max(map(cell_len, cells), default=0))


def _first_line(text: str) -> str:
    line, more, _ = text.partition("\n")
    return f"{line}{_CUT}" if more else line


def _cut(text: str, room: int) -> str:
    return text if cell_len(text) <= room else set_cell_size(text, room - 1).rstrip() + _CUT
