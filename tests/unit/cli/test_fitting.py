"""Tables at a terminal: ids are shortened and notes are cut where there is no room, and never for a program."""

from __future__ import annotations

import pytest

from restate_patterns.cli.fitting import GAP, fitted
from restate_patterns.cli.ids import shortened

COLUMNS = ("ID", "TARGET", "STATUS", "CREATED", "NOTE")
IDS = [f"inv_1{number:016x}00000001{number * 7919:016x}" for number in range(1, 4)]
NOTE = "RuntimeError: no route to the bank; next try in 3s\nTraceback (most recent call last):\n  File ..."
ROWS = [(each, "CartObject/Mary/expireTicket", "backing-off", "12m ago", NOTE) for each in IDS]


def width_of(rows: list[list[str]]) -> int:
    return sum(max(len(row[place]) for row in rows) + GAP for place in range(len(COLUMNS))) - GAP


def test_80_columns() -> None:
    """Each row is one line where it can be, and the note keeps enough to be read."""
    fit = fitted(COLUMNS, ROWS, 80)
    assert [row[0] for row in fit] == ["inv_1…00001eef", "inv_1…00003dde", "inv_1…00005ccd"]
    assert all(row[1:4] == list(ROWS[0][1:4]) for row in fit)
    assert {row[-1] for row in fit} == {"RuntimeError: no ro…"}


@pytest.mark.parametrize("width", [110, 140, 200])
def test_wider_ones(width: int) -> None:
    """What there is room for is shown."""
    fit = fitted(COLUMNS, ROWS, width)
    assert width_of(fit) <= width
    assert (fit[0][0] in IDS) == (width > 118)
    assert fit[0][-1].endswith("…")


def test_a_program_gets_whole_ids_and_a_line() -> None:
    """Also where the reason has many lines."""
    fit = fitted(COLUMNS, ROWS, None)
    assert [row[0] for row in fit] == IDS
    assert {row[-1] for row in fit} == {"RuntimeError: no route to the bank; next try in 3s…"}


def test_shortened_ids_stay_different() -> None:
    """As much is shown as tells them apart; what is no invocation's stays whole."""
    alike = [f"inv_1{'0' * 20}{end}{'5' * 12}" for end in "ab"]
    assert [shortened(alike)[each] for each in alike] == [f"inv_1…{end}{'5' * 12}" for end in "ab"]
    assert shortened(["dp_11111111111111111111111111111111"]) == {}
    rows = [("dp_11111111111111111111111111111111", "http://127.0.0.1:9080", "", "", "")]
    assert fitted(COLUMNS, rows, 40)[0][0] == rows[0][0]


def test_wide_characters_count_twice() -> None:
    """A terminal gives them two cells."""
    fit = fitted(("TARGET", "NOTE"), [("x", "漢" * 40)], 40)
    assert fit[0][1] == "漢" * 15 + "…" or len(fit[0][1]) <= 17
