"""Writes the page of what can travel: `python -m scripts.values_page`."""

from __future__ import annotations

from itertools import groupby

from tests.support.pages import ROOT
from tests.support.values.travellers import TRAVELLERS, Traveller

PAGE = ROOT / "docs" / "guide" / "values.md"
MARK = "<!-- What follows is written by the tests: make format -->\n"
TYPES = """
### The types in the tables

```py
--8<-- "tests/support/values/travellers.py:types"
```
"""


def render() -> str:
    """Give the whole page: what a person wrote, and the tables."""
    written, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return f"{written}{MARK}{_tables()}{TYPES}"


def _tables() -> str:
    parts = [f"\n### {subject}\n\n{_table(list(rows))}" for subject, rows in groupby(TRAVELLERS, lambda t: t.subject)]
    return "".join(parts)


def _table(rows: list[Traveller]) -> str:
    lines = [f"| {_code(row.type_text)} | {_code(row.value_text)} | {_outcome(row)} |" for row in rows]
    return "\n".join(["| declared as | given | what happens |", "|---|---|---|", *lines, ""])


def _outcome(row: Traveller) -> str:
    kind, _, _ = row.outcome().partition(": ")
    return {"": "comes back", "type": "the type is refused", "value": "refused"}[kind]


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
