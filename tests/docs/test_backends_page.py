"""The page of what backends guarantee is what the contract and the backends say."""

from __future__ import annotations

from restate_patterns.testing.contract import ALL
from scripts.backends_page import PAGE, render


def test_the_page_is_up_to_date() -> None:
    """Each guarantee and each difference is on the page; `make format` writes it."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_guarantee_is_there() -> None:
    """A page that lists nothing must not look like success."""
    lines = render().splitlines()
    assert [each.name for each in ALL if f"- {each.sentence} `{each.title}`" not in lines] == []
