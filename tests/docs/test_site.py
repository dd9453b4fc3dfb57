"""The site has every page in its navigation, and the project's papers agree with each other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import yaml

from tests.support.pages import ROOT, Page, pages


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, whose tags name Python functions."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def navigation(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        value = entry if isinstance(entry, str) else next(iter(entry.values()))
        if isinstance(value, str):
            yield value
        else:
            yield from navigation(value)


def test_every_page_is_in_the_navigation() -> None:
    """A page nobody can reach is a page nobody keeps."""
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=_Loader)
    listed = list(navigation(config["nav"]))
    written = sorted(p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md"))
    assert sorted(listed) == written


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_each_page_has_one_title(page: Page) -> None:
    """One first-level heading, on the first line."""
    prose = re.sub(r"^( *)```.*?^\1```", "", page.text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^# .+", prose, re.MULTILINE)
    assert len(titles) == 1
    assert page.text().startswith(titles[0])


def test_the_changelog_names_the_version_of_the_package() -> None:
    """The newest entry is what `pip` installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == project["version"]
    assert newest[1] == version("restate-patterns")


def test_make_targets_in_the_pages_exist() -> None:
    """Each `make x` a page tells people to type is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {t for page in pages() for t in re.findall(r"`?make ([a-z-]+)`", page.text())}
    assert {"demo", "test"} <= named
    assert named <= targets
