"""Reads the code blocks of Markdown pages, and runs the Python ones of a page in one namespace.

The rule of the pages: a `python` block runs here, a `py` block is included from a file of `examples/`
that runs as an example, a `console` block is a transcript that runs, and a `text` block titled
`Output`, or a `mermaid` block, right after a `python` block is what that block prints.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<ticks>`{3,})(?P<language>[\w+-]*)(?P<info>[^\n`]*)\n"
    r"(?P<body>.*?)"
    r"^(?P=indent)(?P=ticks)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is where its first line of code stands on the page, from 1."""

    language: str
    title: str
    source: str
    line: int


@dataclass(frozen=True, slots=True)
class Page:
    """A Markdown file; `name` is its path in the checkout."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self) -> list[Block]:
        return list(_blocks(self.text()))


def pages() -> list[Page]:
    """Give every page people read: the README, the contribution guide and the site."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path) for path in files]


def _blocks(text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["info"])
        yield Block(
            language=match["language"],
            title=title[1] if title else "",
            source=textwrap.dedent(match["body"]),
            line=text.count("\n", 0, match.start("body")) + 1,
        )


@contextlib.contextmanager
def page_module(page: Page) -> Iterator[ModuleType]:
    """Give a module for the blocks of a page; types named in annotations are looked up in it."""
    name = "page_" + re.sub(r"\W", "_", page.name)
    module = ModuleType(name)
    module.__file__ = str(page.path)
    sys.modules[name] = module
    try:
        yield module
    finally:
        del sys.modules[name]


def run_python(page: Page, block: Block, module: ModuleType) -> str:
    """Execute a block in the page's module and give what it printed; tracebacks show the page."""
    # The line offset makes tracebacks point at the page; the blank lines make `inspect` agree.
    source = "\n" * (block.line - 1) + block.source
    filename = f"{page.path}:block-at-{block.line}"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)
    return printed.getvalue()
