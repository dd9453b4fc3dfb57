"""Each numbered rule of deterministic execution has a test that names it."""

from __future__ import annotations

import re

from tests.support.pages import ROOT

RULE = re.compile(r"^(\d+)\. \*\*", re.MULTILINE)
NAMED = re.compile(r"def test_rule_(\d+)_|\brules? ((?:\d+(?:, | and )?)+)", re.IGNORECASE)


def written() -> list[int]:
    page = (ROOT / "docs" / "design" / "execution.md").read_text(encoding="utf-8")
    return [int(number) for number in RULE.findall(page)]


def named_in_tests() -> set[int]:
    numbers: set[int] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path.parent.name != "docs":
            for match in NAMED.finditer(path.read_text(encoding="utf-8")):
                numbers |= {int(number) for number in re.findall(r"\d+", match[0])}
    return numbers


def test_the_rules_are_numbered_without_gaps() -> None:
    """Tests name the rules by number, so the numbers stay."""
    assert written() == list(range(1, 29))


def test_every_rule_is_named_by_a_test() -> None:
    """A rule that no test names is an opinion."""
    assert sorted(set(written()) - named_in_tests()) == []
