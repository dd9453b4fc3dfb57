"""The reference page of the command line is what the parser says."""

from __future__ import annotations

from scripts.cli_reference import PAGE, render


def test_the_page_is_up_to_date() -> None:
    """Each command, argument and option is on the page; `make format` writes it."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_argument_has_help() -> None:
    """No row of the page is empty, and there are rows."""
    rows = [line for line in render().splitlines() if line.startswith("| `")]
    assert len(rows) >= 60
    assert [row for row in rows if row.endswith("|  |")] == []
