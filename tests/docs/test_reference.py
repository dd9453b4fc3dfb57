"""What is public is documented, and what is documented is public."""

from __future__ import annotations

import inspect
import re

import pytest

import restate_patterns
from tests.support.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"
DIRECTIVE = re.compile(r"^::: restate_patterns\.(\w+(?:\.\w+)*)$", re.MULTILINE)


def documented() -> list[str]:
    pages = sorted(REFERENCE.rglob("*.md"))
    return [name for page in pages for name in DIRECTIVE.findall(page.read_text(encoding="utf-8"))]


def test_every_public_name_is_in_the_reference_once() -> None:
    """Each name of `restate_patterns.__all__` has one place in the reference, and no other name has."""
    public = [name for name in restate_patterns.__all__ if not name.startswith("__")]
    assert sorted(name for name in documented() if "." not in name) == sorted(public)


@pytest.mark.parametrize("name", sorted(restate_patterns.__all__))
def test_every_public_name_has_a_docstring(name: str) -> None:
    """The reference page of a name is never empty."""
    value = getattr(restate_patterns, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert (inspect.getdoc(value) or "").strip(), f"{name} has no docstring"
