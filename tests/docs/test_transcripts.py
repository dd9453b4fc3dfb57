"""Every transcript on the pages runs and shows what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pages import Page, pages
from tests.support.transcripts import Terminal, commands, terminal

SLEEPS = "asyncio.sleep(60)"
"""The quickstart has things done while a handler sleeps: a minute for people, for a test as long as commands take."""
PAGES = [page for page in pages() if any(b.language == "console" for b in page.blocks())]


def test_transcripts_are_found() -> None:
    """A pattern that matches nothing must not look like success."""
    assert {page.name for page in PAGES} >= {"docs/quickstart.md", "docs/guide/operating.md"}


def type_all(page: Page, screen: Terminal) -> None:
    """Write the files the page shows, type its commands in order, and compare their output."""
    for block in page.blocks():
        if block.title.endswith(".py"):
            source = block.source.replace(SLEEPS, f"asyncio.sleep({10 * screen.slowness:.0f})")
            (screen.folder / block.title).write_text(source, encoding="utf-8")
        elif block.language == "console":
            typed = list(commands(block))
            assert typed, f"{page.name}:{block.line}: no prompt"
            for command in typed:
                screen.type(page, command)
                if command.typed.endswith("/Signup/ann/run/send -X POST"):
                    # The page tells people to kill the server "while it sleeps": so it must have got there.
                    screen.until_listed("sleep")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_transcripts_run(page: Page, tmp_path: Path) -> None:
    """The commands of the page work one after the other and show what the page shows."""
    with terminal(tmp_path) as screen:
        type_all(page, screen)
    if page.name == "docs/quickstart.md":
        # Killed in the middle: the account is made once, the welcome is sent once.
        assert screen.served.count("creating the account of ann") == 1
        assert screen.served.count("sending a welcome to ann@example.com") == 1
