"""Every Python block on every page runs, prints what the page says, and type-checks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import ROOT, Block, Page, page_module, pages, run_python

PAGES_WITH_PYTHON = [page for page in pages() if any(b.language == "python" for b in page.blocks())]
LANGUAGES = {"", "python", "py", "console", "text", "toml", "json", "mermaid", "sql", "http", "sh"}


def by_name(page: Page) -> str:
    return page.name


def test_blocks_are_found() -> None:
    """A pattern that matches nothing must not look like success."""
    assert {page.name for page in PAGES_WITH_PYTHON} >= {"README.md", "docs/quickstart.md"}
    assert sum(b.language == "python" for page in pages() for b in page.blocks()) >= 35


@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_fences_are_known_and_closed(page: Page) -> None:
    """Each fence names a language that has a rule, and none is left open."""
    blocks = page.blocks()
    assert {block.language for block in blocks} <= LANGUAGES
    assert len(re.findall(r"^ *```", page.text(), re.MULTILINE)) == 2 * len(blocks)


@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_included_code_is_only_included(page: Page) -> None:
    """A `py` block holds nothing but inclusions: what is written out is fenced `python` and runs."""
    for block in page.blocks():
        if block.language == "py":
            stray = [line for line in block.source.splitlines() if not line.startswith("--8<--")]
            assert not stray, f"{page.name}:{block.line}: fence this as `python`"


@pytest.mark.parametrize("page", PAGES_WITH_PYTHON, ids=by_name)
def test_python_blocks_run(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after the other and print what its output blocks and diagrams say."""
    monkeypatch.chdir(tmp_path)
    with page_module(page) as module:
        printed: str | None = None
        for block in page.blocks():
            if block.language == "python":
                printed = run_python(page, block, module)
            elif block.title == "Output" or block.language == "mermaid":
                assert printed is not None, f"{page.name}:{block.line}: output of nothing"
                assert_output(page, block, printed)
                printed = None


def assert_output(page: Page, block: Block, printed: str) -> None:
    """Compare; `...` in the expected text stands for anything."""
    expected = ".*".join(re.escape(part) for part in block.source.strip().split("..."))
    assert re.fullmatch(expected, printed.strip(), re.DOTALL), (
        f"{page.name}:{block.line} says\n{block.source}\nand the block printed\n{printed}"
    )


@pytest.mark.slow
def test_python_blocks_type_check(tmp_path: Path) -> None:
    """What the pages teach passes `mypy --strict`, each page as one module."""
    for page in PAGES_WITH_PYTHON:
        module = tmp_path / (re.sub(r"\W", "_", page.name.removesuffix(".md")) + ".py")
        module.write_text(as_module(page), encoding="utf-8")
    # A page may define `main` in each of its parts.
    options = ["--disable-error-code=no-redef", "--no-error-summary", f"--cache-dir={ROOT / '.mypy_cache'}"]
    command = [sys.executable, "-m", "mypy", *options, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def as_module(page: Page) -> str:
    """Give the page's Python at the lines where it stands on the page."""
    lines: list[str] = []
    for block in page.blocks():
        if block.language == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.source.splitlines()
    return "\n".join(lines) + "\n"
