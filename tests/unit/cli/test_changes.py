"""Which edits start `dev` again."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from restate_patterns.cli.changes import SourceWatch, loaded_folders


def write(path: Path, text: str, *, seconds: int = 0) -> None:
    """Write a file, its time `seconds` after what it was or is."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    at_s = path.stat().st_mtime + seconds
    os.utime(path, (at_s, at_s))


def load(monkeypatch: pytest.MonkeyPatch, name: str, file: Path) -> None:
    module = types.ModuleType(name)
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, name, module)


def test_nothing_changed(tmp_path: Path) -> None:
    write(tmp_path / "program.py", "1")
    watch = SourceWatch(tmp_path)
    assert watch.look() is None
    assert watch.look() is None


def test_an_edit_a_new_file_and_a_removal(tmp_path: Path) -> None:
    program, helper = tmp_path / "program.py", tmp_path / "helper.py"
    write(program, "1")
    watch = SourceWatch(tmp_path)
    write(program, "2", seconds=1)
    assert watch.look() == program
    assert watch.look() is None
    write(helper, "1")
    assert watch.look() == helper
    helper.unlink()
    assert watch.look() == helper


def test_a_file_put_back_in_time_is_a_change(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    write(program, "1")
    watch = SourceWatch(tmp_path)
    write(program, "2", seconds=-3600)
    assert watch.look() == program


def test_other_files_are_no_change(tmp_path: Path) -> None:
    watch = SourceWatch(tmp_path)
    write(tmp_path / "program.db", "1")
    write(tmp_path / "notes.txt", "1")
    assert watch.look() is None


def test_folders_of_loaded_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package" / "module.py"
    write(package, "1", seconds=-3600)
    watch = SourceWatch(tmp_path)
    assert watch.look() is None
    load(monkeypatch, "package.module", package)
    assert watch.look() is None
    write(package, "2")
    assert watch.look() == package


def test_an_edit_while_loading_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package" / "module.py"
    watch = SourceWatch(tmp_path)
    write(package, "1", seconds=1)
    load(monkeypatch, "package.module", package)
    assert watch.look() == package


def test_environments_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, "installed", tmp_path / "lib" / "site-packages" / "installed.py")
    load(monkeypatch, "elsewhere", Path("/elsewhere/module.py"))
    assert loaded_folders(tmp_path) == {tmp_path}
