"""The files of the package and what each imports of the others, imports for type checking included.

`python -m tests.support.import_graph` prints a circle, if there is one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from tests.support.pages import ROOT

PACKAGE = "restate_patterns"


def sources() -> dict[str, str]:
    """Give the text of each module of the package."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def imports_of(text: str, modules: Mapping[str, object]) -> Iterator[str]:
    """Give the modules that a file imports, wherever in the file it does; the project has no relative imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from sorted(names & modules.keys())
            if node.module in modules and not names <= modules.keys():
                yield node.module


def circle_in(texts: Mapping[str, str]) -> list[str]:
    """Give modules of which each imports the next, the last being the first again; none where no circle is."""
    graph = {name: set(imports_of(text, texts)) - {name} for name, text in texts.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle[::-1]
    return []


if __name__ == "__main__":
    found = circle_in(sources())
    print(" -> ".join(found) or f"0 circles in {len(sources())} files")
    sys.exit(bool(found))
