"""A file that is moved, removed or replaced while it is served: nothing is answered for long that would be lost."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.file_errors import FileOwnedError, LostFileError
from restate_patterns.embedded.store import Store
from restate_patterns.execution.attempt import DurableAttempt
from tests.support.engines.engines import Functions, bench, bounded, until

app = Functions()


@app.handler("S/echo")
async def echo(a: DurableAttempt) -> bytes:
    return a.invocation.body


def _delete(file: Path) -> None:
    file.unlink()


def _rename(file: Path) -> None:
    file.rename(file.with_name("old.db"))


def _replace_by_a_backup(file: Path) -> None:
    shutil.copy(file.parent / "backup.db", file.parent / "new.db")
    (file.parent / "new.db").replace(file)


def _replace_by_an_equal_file(file: Path) -> None:
    shutil.copy(file, file.parent / "new.db")
    (file.parent / "new.db").replace(file)


def _restore_through_sqlite(file: Path) -> None:
    source, target = sqlite3.connect(file.parent / "backup.db"), sqlite3.connect(file)
    source.backup(target)
    source.close()
    target.close()


def _rename_the_folder(file: Path) -> None:
    file.parent.rename(file.parent.parent / "moved")


def _delete_the_folder(file: Path) -> None:
    shutil.rmtree(file.parent)


def _replace_the_folder(file: Path) -> None:
    _rename_the_folder(file)
    file.parent.mkdir()
    shutil.copy(file.parent.parent / "moved" / file.name, file)


def _delete_the_log(file: Path) -> None:
    file.with_name(file.name + "-wal").unlink()


def _replace_the_log(file: Path) -> None:
    log = file.with_name(file.name + "-wal")
    shutil.copy(log, file.parent / "new")
    (file.parent / "new").replace(log)


def _a_folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _a_link_elsewhere(file: Path) -> None:
    file.rename(file.with_name("old.db"))
    file.symlink_to(file.parent / "backup.db")


LOSSES = [
    _delete, _rename, _replace_by_a_backup, _replace_by_an_equal_file, _restore_through_sqlite, _rename_the_folder,
    _delete_the_folder, _replace_the_folder, _delete_the_log, _replace_the_log, _a_folder_instead, _a_link_elsewhere,
]  # fmt: skip


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_nothing_is_answered_soon_after_the_file_is_gone(
    tmp_path: Path, lose: Callable[[Path], None], busy: bool
) -> None:
    if busy and lose is _restore_through_sqlite:
        pytest.skip("the next batch writes over what would show it")

    async def test() -> None:
        (tmp_path / "data").mkdir()
        file = tmp_path / "data" / "e.db"
        ended: list[BaseException] = []

        async def work() -> None:
            while not ended:
                await asyncio.wait([asyncio.ensure_future(b.call("S/echo", b"x" * 200))], timeout=0.05)

        async with bench(app, file=file, fatal=ended.append) as b:
            await b.call("S/echo", b"1")
            _backup(file)
            await b.call("S/echo", b"2")
            await asyncio.sleep(1.2)
            assert not ended, "all is well so far"
            working = asyncio.ensure_future(work()) if busy else None
            lose(file)
            await until(lambda: bool(ended))
            assert isinstance(ended[0], LostFileError)
            assert "while it was served" in str(ended[0])
            late = asyncio.ensure_future(b.call("S/echo", b"late"))
            await asyncio.wait([late, *([working] if working else [])], timeout=0.3)
            assert not late.done(), "nothing is answered any more"
            late.cancel()

    asyncio.run(bounded(test()))


def _backup(file: Path) -> None:
    source, target = sqlite3.connect(file), sqlite3.connect(file.parent / "backup.db")
    source.backup(target)
    source.close()
    target.close()


def _delete_the_lock(file: Path) -> None:
    file.with_name(file.name + ".lock").unlink()


def _touch(file: Path) -> None:
    os.utime(file)


def _back_up(file: Path) -> None:
    _backup(file)


def _another_reader_with_its_own_table(file: Path) -> None:
    """As programs do that copy the log elsewhere."""
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE IF NOT EXISTS _their_lock (id)")
    other.commit()
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()


def _vacuum(file: Path) -> None:
    other = sqlite3.connect(file)
    other.execute("VACUUM")
    other.close()


def _forbid_and_allow(file: Path) -> None:
    file.chmod(0o600)


def _delete_the_reserve(file: Path) -> None:
    file.with_name(file.name + ".reserve").unlink()


@pytest.mark.parametrize(
    "do",
    [
        _delete_the_lock,
        _touch,
        _back_up,
        _another_reader_with_its_own_table,
        _vacuum,
        _forbid_and_allow,
        _delete_the_reserve,
    ],
)
def test_what_loses_nothing_ends_nothing(tmp_path: Path, do: Callable[[Path], None]) -> None:
    async def test() -> None:
        file = tmp_path / "e.db"
        async with bench(app, file=file) as b:
            await b.call("S/echo", b"1", idempotency_key="a")
            do(file)
            await asyncio.sleep(1.2)
            await b.call("S/echo", b"2", idempotency_key="b")
            assert (tmp_path / "e.db.lock").exists()
            with pytest.raises(FileOwnedError):
                Store(file).open()
        async with bench(app, file=file) as b:
            assert await b.call("S/echo", b"2", idempotency_key="b") == b"2"

    asyncio.run(bounded(test()))


def test_a_lock_that_another_took_ends_the_engine(tmp_path: Path) -> None:
    async def test() -> None:
        file = tmp_path / "e.db"
        ended: list[BaseException] = []
        async with bench(app, file=file, fatal=ended.append):
            _delete_the_lock(file)
            with (tmp_path / "e.db.lock").open("w") as other:
                fcntl.flock(other, fcntl.LOCK_EX)
                await until(lambda: bool(ended))
            assert isinstance(ended[0], FileOwnedError)

    asyncio.run(bounded(test()))


def test_nothing_looks_any_more_after_the_stop(tmp_path: Path) -> None:
    async def test() -> None:
        ended: list[BaseException] = []
        engine = Engine(app, Store(tmp_path / "e.db"), fatal=ended.append)
        await engine.start()
        await engine.stop()
        (tmp_path / "e.db").unlink()
        await asyncio.sleep(1.2)
        assert not ended

    asyncio.run(bounded(test()))
