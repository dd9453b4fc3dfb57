"""The engine's file: whose it is, what it is, and what happens when it can't be written."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from restate_patterns.embedded.file_errors import (
    FileOwnedError,
    ForeignFileError,
    NewerFileError,
    UnusableFileError,
)
from restate_patterns.embedded.store import Store
from restate_patterns.engine.errors import NotAccepting
from restate_patterns.execution.attempt import DurableAttempt
from tests.support.engines.engines import FaultyStore, Functions, bench, bounded, request, until

app = Functions()


@app.handler("S/echo")
async def echo(a: DurableAttempt) -> bytes:
    return a.invocation.body


def _opened(file: Path) -> Store:
    store = Store(file)
    store.open()
    return store


def test_a_second_owner_is_told_who_has_the_file(tmp_path: Path) -> None:
    store = _opened(tmp_path / "e.db")
    with pytest.raises(FileOwnedError, match=f"in use by process {os.getpid()}"):
        _opened(tmp_path / "e.db")
    program = f"from restate_patterns.embedded.store import Store; Store({str(tmp_path / 'e.db')!r}).open()"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert "FileOwnedError" in other.stderr
    store.close()
    _opened(tmp_path / "e.db").close()


def test_a_foreign_file_is_left_as_it_was(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_bytes(b"these are my notes " * 100)
    with pytest.raises(ForeignFileError, match="not a SQLite database"):
        _opened(text)
    assert text.read_bytes() == b"these are my notes " * 100
    database = tmp_path / "other.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = database.read_bytes()
    with pytest.raises(ForeignFileError, match="another program's"):
        _opened(database)
    assert database.read_bytes() == before


def test_a_file_from_a_newer_version_is_refused(tmp_path: Path) -> None:
    _opened(tmp_path / "e.db").close()
    with sqlite3.connect(tmp_path / "e.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(NewerFileError, match="schema version 999"):
        _opened(tmp_path / "e.db")


def test_a_missing_folder_and_a_folder_without_permission_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="folder does not exist"):
        _opened(tmp_path / "no" / "e.db")
    (tmp_path / "e.db").mkdir()
    with pytest.raises(UnusableFileError, match="permissions"):
        _opened(tmp_path / "e.db")


def test_a_folder_that_may_not_be_written() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        with pytest.raises(UnusableFileError, match=r"Permission denied.*Check the path, the permissions"):
            _opened(folder / "e.db")
    finally:
        if is_root:
            os.seteuid(0)
        folder.rmdir()


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """Mount a real file system of 24 MB; only root can."""
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_rule_20_on_a_disk_that_is_really_full(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            assert await b.call("S/echo", b"before", idempotency_key="a") == b"before"
            filler = tmp_path / "filler"
            with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
                while True:
                    file.write(b"x" * 4096)
            accepted: list[asyncio.Future[bytes]] = []
            while b.engine.accepting:
                accepted.append(asyncio.ensure_future(b.call("S/echo", b"x" * 500_000)))
                await asyncio.sleep(0.01)
            with pytest.raises(NotAccepting):
                await b.engine.call(request("S/echo"))
            filler.unlink()
            b.clock.step_to(b.clock.monotonic_ms() + 1000)
            assert [await bounded(call) for call in accepted] == [b"x" * 500_000] * len(accepted)
            await until(lambda: b.engine.accepting)
            await b.restart()
            assert await b.call("S/echo", b"before", idempotency_key="a") == b"before"

    with _small_disk(tmp_path):
        asyncio.run(bounded(test()))


def test_rule_20_a_full_disk_stops_acceptance_and_loses_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        store = FaultyStore(tmp_path / "e.db")
        async with bench(app, store=store) as b:
            assert await b.call("S/echo", b"before", idempotency_key="a") == b"before"
            store.fill_up()
            waiting = [asyncio.ensure_future(b.call("S/echo", b"x" * 50_000)) for _ in range(5)]
            await until(lambda: not b.engine.accepting)
            with pytest.raises(NotAccepting, match="make room"):
                await b.engine.call(request("S/echo"))
            assert not any(call.done() for call in waiting), "what was accepted waits and is never refused"
            assert not (tmp_path / "e.db.reserve").exists(), "the reserve was given free"
            store.make_room()
            b.clock.step_to(b.clock.monotonic_ms() + 1000)
            await until(lambda: b.engine.accepting)
            assert [await bounded(call) for call in waiting] == [b"x" * 50_000] * 5
            await b.restart()
            assert await b.call("S/echo", b"before", idempotency_key="a") == b"before"

    asyncio.run(bounded(test()))


def test_another_error_of_the_disk_ends_the_engine_without_an_answer(tmp_path: Path) -> None:
    async def test() -> None:
        store = FaultyStore(tmp_path / "e.db")
        ended: list[BaseException] = []
        async with bench(app, store=store, fatal=ended.append) as b:
            assert await b.call("S/echo", b"1", idempotency_key="kept") == b"1"
            store.broken = True
            unanswered = asyncio.ensure_future(b.call("S/echo", b"2", idempotency_key="lost"))
            await until(lambda: bool(ended))
            assert not unanswered.done()
            unanswered.cancel()
            store.broken = False
            await b.restart()
            assert await b.call("S/echo", b"1", idempotency_key="kept") == b"1"

    asyncio.run(bounded(test()))
