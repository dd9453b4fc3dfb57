"""Reads the tree as a reviewer would: a rule of style that no test checks is an opinion.

The idea is TigerBeetle's `tidy.zig`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import ROOT

FOLDERS = ["restate_patterns", "examples", "tests", "benchmarks", "docs", "scripts", ".ci"]
TEXT = {".py", ".pyi", ".md", ".toml", ".yml", ".txt", ".css", ""}

FILE_LINES = 400
TEST_FILE_LINES = 500  # a list of cases is read one case at a time
FUNCTION_LINES = 60
LONGER: dict[str, str] = {
    "restate_patterns/seam.py": "the one boundary of the project, meant to be read from its top to its end",
}
"""Files and functions (`path:name`) that may be longer, each with the reason."""

HIDDEN_IMPORTS: dict[str, str] = {}
"""Files that import from the package inside a function, each with the reason."""


def files() -> Iterator[Path]:
    yield from (p for p in ROOT.iterdir() if p.is_file() and p.suffix in TEXT and p.name != ".git")
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


PYTHON = sorted(name_of(path) for path in files() if path.suffix == ".py")
PACKAGE = [name for name in PYTHON if name.startswith("restate_patterns/")]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def too_long() -> dict[str, int]:
    """Give every file and function over its limit, with its length in lines."""
    found: dict[str, int] = {}
    for name in PYTHON:
        text = read(name)
        limit = TEST_FILE_LINES if name.startswith("tests/") else FILE_LINES
        if text.count("\n") > limit:
            found[name] = text.count("\n")
        for function in functions(ast.parse(text)):
            if body_lines(function) > FUNCTION_LINES:
                found[f"{name}:{function.name}"] = body_lines(function)
    return found


def test_the_tree_is_read() -> None:
    """The rules below look at something."""
    assert len(PACKAGE) >= 20
    assert "tests/docs/test_tidy.py" in PYTHON


def test_files_and_functions_are_short() -> None:
    """Look for the noun that is missing, or say why not in `LONGER`."""
    assert {name: lines for name, lines in too_long().items() if name not in LONGER} == {}


def test_no_exception_outlives_its_reason() -> None:
    """An exception that is no longer needed goes."""
    assert set(LONGER) <= set(too_long())
    assert set(HIDDEN_IMPORTS) <= {name for name in PACKAGE if hidden_imports(name)}


def hidden_imports(name: str) -> list[int]:
    return [
        node.lineno
        for function in functions(ast.parse(read(name)))
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("restate_patterns")
    ]


def test_imports_are_not_hidden_in_functions() -> None:
    """A cycle hidden in a function is still a cycle."""
    found = {name: hidden_imports(name) for name in PACKAGE if name not in HIDDEN_IMPORTS}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_every_test_file_is_collected_or_a_helper() -> None:
    """A file that discovery skips, and that nothing imports, tests nothing."""
    tests = [name for name in PYTHON if name.startswith("tests/") and not name.startswith("tests/typing/")]
    known = ("__init__.py", "__main__.py", "conftest.py")
    helpers = [n for n in tests if Path(n).name not in known and not Path(n).name.startswith("test_")]
    imported = {module for name in tests for module in imports(ast.parse(read(name)))}
    modules = {name: name.removesuffix(".py").replace("/", ".") for name in helpers}
    assert [name for name, module in modules.items() if module not in imported] == []


def imports(tree: ast.AST) -> Iterator[str]:
    """Give the modules that a module imports, what it imports from them, and modules it names to run them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_module_is_a_drawer() -> None:
    """A module has a noun."""
    drawers = {"common", "helper", "helpers", "misc", "util", "utils"}
    assert [name for name in PACKAGE if drawers & set(Path(name).with_suffix("").parts)] == []


MARKERS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|Us" + r"ers|home/\w+)/")
TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
BARE_IGNORES = re.compile(r"#\s*(?:type|pyright):\s*ignore(?:\[[^\]]*\])?\s*$|#\s*noqa(?::\s*[A-Z0-9, ]+)?\s*$")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (MARKERS, "finish it, or say in the issue what is left"),
        (MACHINE_PATHS, "a path of one machine"),
        (TRAILING, "space at the end of a line"),
    ],
    ids=["markers", "machine-paths", "trailing-space"],
)
def test_text_is_clean(pattern: re.Pattern[str], why: str) -> None:
    """No line of the tree matches."""
    found = [
        f"{name_of(path)}:{text.count(chr(10), 0, match.start()) + 1}: {why}"
        for path in files()
        for text in [path.read_text(encoding="utf-8")]
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_ignores_carry_a_reason() -> None:
    """Each check that is switched off in the package says why, after its code."""
    found = [
        f"{name}:{number}"
        for name in PACKAGE
        for number, line in enumerate(read(name).splitlines(), 1)
        if BARE_IGNORES.search(line)
    ]
    assert found == []
