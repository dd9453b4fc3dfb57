"""No file of the package leads back to itself, by whatever imports a reader follows."""

from __future__ import annotations

from tests.support.import_graph import circle_in, sources

TYPE_ONLY = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from restate_patterns.embedded.core import Core\n"


def test_no_circle_of_imports() -> None:
    texts = sources()
    assert len(texts) > 250
    assert circle_in(texts) == []


def test_a_circle_of_imports_is_found_also_where_one_is_for_types_only() -> None:
    texts = sources()
    texts["restate_patterns.embedded.log"] += TYPE_ONLY
    circle = circle_in(texts)
    assert circle[0] == circle[-1]
    assert {"restate_patterns.embedded.log", "restate_patterns.embedded.core"} <= set(circle)
