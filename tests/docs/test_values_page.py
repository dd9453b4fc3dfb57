"""The tables of what can travel are what the code does with each value."""

from __future__ import annotations

from scripts.values_page import MARK, PAGE, render
from tests.support.values.travellers import TRAVELLERS


def test_the_page_is_up_to_date() -> None:
    """`make format` writes it."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_case_is_there() -> None:
    """A page that lists nothing must not look like success."""
    assert render().count("| comes back |") > 50
    assert render().count("refused |") > 50
    assert len(TRAVELLERS) == render().partition(MARK)[2].count("\n| `")
