"""What is public is documented, and what is documented is public."""

from __future__ import annotations

import inspect
import operator
import re
from collections.abc import Iterator

import pytest

import restate_patterns
import restate_patterns.admin
import restate_patterns.server
import restate_patterns.testing
import restate_patterns.testing.contract
import restate_patterns.testing.fixtures
import restate_patterns.toolkit
from tests.support.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"
DIRECTIVE = re.compile(r"^::: restate_patterns\.(\w+(?:\.\w+)*)$", re.MULTILINE)


def documented() -> list[str]:
    pages = sorted(REFERENCE.rglob("*.md"))
    return [name for page in pages for name in DIRECTIVE.findall(page.read_text(encoding="utf-8"))]


MODULES = (
    restate_patterns.admin,
    restate_patterns.server,
    restate_patterns.testing,
    restate_patterns.testing.contract,
    restate_patterns.testing.fixtures,
    restate_patterns.toolkit,
)
PUBLIC = sorted(
    [name for name in restate_patterns.__all__ if not name.startswith("__")]
    + [f"{module.__name__.removeprefix('restate_patterns.')}.{name}" for module in MODULES for name in module.__all__]
)


def test_every_public_name_is_in_the_reference_once() -> None:
    """Each public name has one place in the reference, and no other name has: a change is a visible diff."""
    assert sorted(documented()) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name: str) -> None:
    """The reference page of a name is never empty."""
    value = operator.attrgetter(name)(restate_patterns)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert (inspect.getdoc(value) or "").strip(), f"{name} has no docstring"


def members(value: object) -> Iterator[tuple[str, object]]:
    """Give a public thing, and what a class has of its own that is public."""
    yield "", value
    if inspect.isclass(value):
        yield from ((name, each) for name, each in vars(value).items() if not name.startswith("_"))


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_say_what_is_returned_in_the_words_of_the_language(name: str) -> None:
    """`Return ...`, as the standard library has it."""
    found = members(operator.attrgetter(name)(restate_patterns))
    said = {f"{name}.{member}": (getattr(each, "__doc__", None) or "").split(" ")[0] for member, each in found}
    assert {member: word for member, word in said.items() if word in {"Give", "Gives", "Tell", "Tells"}} == {}


def test_the_options_of_a_class_are_listed() -> None:
    """They are arguments of `class`, so no docstring of a public name shows them."""
    page = (REFERENCE / "definitions.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert listed == list(inspect.signature(restate_patterns.Service.__init_subclass__).parameters)
