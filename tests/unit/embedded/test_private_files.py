"""What a file keeps is for its owner alone: the modes of the file and of all that is beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from restate_patterns.embedded.store import Store


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o7777) for path in folder.iterdir()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o177, 0o777])
def test_all_files_are_for_the_owner_alone(tmp_path: Path, mask: int) -> None:
    with _umask(mask):
        store = Store(tmp_path / "e.db")
        store.open()
        store.restore_reserve()
        modes = _modes(tmp_path)
        store.spend_reserve()
        store.restore_reserve()
        store.close()
    assert set(modes) == {"e.db", "e.db-wal", "e.db-shm", "e.db.lock", "e.db.reserve"}
    assert {*modes.values(), *_modes(tmp_path).values()} == {"0o600"}


def test_a_file_that_is_there_keeps_its_mode_and_so_do_those_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "e.db")
    store.open()
    store.close()
    (tmp_path / "e.db").chmod(0o640)
    store.open()
    assert _modes(tmp_path)["e.db"] == _modes(tmp_path)["e.db-wal"] == "0o640"
    store.close()
