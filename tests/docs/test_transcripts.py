"""Every transcript on the pages runs and shows what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pages import Page, pages
from tests.support.transcripts import commands, terminal

PAGES = [page for page in pages() if any(b.language == "console" for b in page.blocks())]


def test_transcripts_are_found() -> None:
    """A pattern that matches nothing must not look like success."""
    assert {page.name for page in PAGES} >= {"docs/quickstart.md", "docs/guide/operating.md"}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_transcripts_run(page: Page, tmp_path: Path) -> None:
    """Files the page shows are written, its commands typed in order, and their output compared."""
    with terminal(tmp_path) as screen:
        for block in page.blocks():
            if block.title.endswith(".py"):
                (tmp_path / block.title).write_text(block.source, encoding="utf-8")
            elif block.language == "console":
                typed = list(commands(block))
                assert typed, f"{page.name}:{block.line}: no prompt"
                for command in typed:
                    screen.type(page, command)


@pytest.mark.slow
def test_the_quickstart_keeps_its_word(tmp_path: Path) -> None:
    """Killed in the middle: the account is made once, the welcome is sent once."""
    page = next(page for page in PAGES if page.name == "docs/quickstart.md")
    with terminal(tmp_path) as screen:
        for block in page.blocks():
            if block.title.endswith(".py"):
                (tmp_path / block.title).write_text(block.source, encoding="utf-8")
            elif block.language == "console":
                for command in commands(block):
                    screen.type(page, command)
    assert screen.served.count("creating the account of ann") == 1
    assert screen.served.count("sending a welcome to ann@example.com") == 1
