"""Rule 20: without room new work is refused, accepted work is kept, and all goes on by itself when there is some."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sqlite3
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typing_extensions import override

from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.file_errors import UnusableFileError
from restate_patterns.embedded.reserve import Reserve
from restate_patterns.embedded.store import Store
from restate_patterns.engine.errors import NotAccepting
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.limits import DISK_PROBE_MS, DISK_RESERVE_BYTES
from restate_patterns.options import Step
from tests.support.engines.engines import Bench, FaultyStore, Functions, bench, bounded, request, until

PERHAPS_FULL = [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE]

app = Functions()


@app.handler("S/echo")
async def echo(a: DurableAttempt) -> bytes:
    return a.invocation.body


@app.handler("S/step")
async def step(a: DurableAttempt) -> bytes:
    async def act() -> bytes:
        return b"done"

    await asyncio.sleep(60)
    return await a.run(Step("act"), b"", act)


@contextmanager
def small_disk(folder: Path, size: str = "24m") -> Generator[None]:
    """Mount a real file system of a few MB; only root can."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 4096)
    return filler


async def seconds(b: Bench, count: float = 3) -> None:
    """Let seconds go by on the engine's clock, with what it does in them."""
    for _ in range(round(count * 1000 / 250)):
        b.clock.step_to(b.clock.monotonic_ms() + 250)
        await asyncio.sleep(0.002)


async def until_full(b: Bench, folder: Path) -> list[asyncio.Future[bytes]]:
    """Send work until no more is accepted; the disk is full at every moment of it."""
    accepted: list[asyncio.Future[bytes]] = []
    while b.engine.accepting:
        fill(folder)
        accepted.append(asyncio.ensure_future(b.call("S/echo", b"x" * 500_000)))
        await asyncio.sleep(0.01)
    return accepted


async def outputs(accepted: list[asyncio.Future[bytes]]) -> int:
    """Wait for what was accepted; give how much that is. The latest call may have come too late."""
    ended = await bounded(asyncio.gather(*accepted, return_exceptions=True))
    answered = [each for each in ended if not isinstance(each, NotAccepting)]
    assert answered == [b"x" * 500_000] * len(answered)
    return len(answered)


async def refused(b: Bench) -> None:
    with pytest.raises(NotAccepting, match="make room"):
        await bounded(b.engine.call(request("S/echo")))


def test_full_while_work_is_pending_then_idle_then_room(tmp_path: Path) -> None:
    """The reserve lets what was accepted finish; then there is nothing to write that would find the room."""

    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            accepted = await until_full(b, tmp_path)
            await seconds(b)
            assert await outputs(accepted) > 0
            await b.settle()
            fill(tmp_path)
            await seconds(b)
            await refused(b)
            (tmp_path / "filler").unlink()
            await seconds(b)
            assert b.engine.accepting
            assert (tmp_path / "e.db.reserve").stat().st_size >= DISK_RESERVE_BYTES
            assert await b.call("S/echo", b"after") == b"after"

    with small_disk(tmp_path):
        asyncio.run(bounded(test()))


def test_work_that_waited_in_memory_goes_on_while_the_disk_is_full(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            waiting = asyncio.ensure_future(b.call("S/step"))
            await b.settle()
            accepted = await until_full(b, tmp_path)
            await seconds(b)
            assert await outputs(accepted) > 0
            await refused(b)
            await seconds(b, 60)
            assert await bounded(waiting) == b"done", "its steps are written in the room of the reserve"

    with small_disk(tmp_path):
        asyncio.run(bounded(test()))


def test_room_that_comes_and_goes(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            for _ in range(4):
                accepted = await until_full(b, tmp_path)
                await seconds(b)
                await refused(b)
                (tmp_path / "filler").unlink()
                await seconds(b)
                assert b.engine.accepting
                assert await outputs(accepted) > 0
            await b.restart()
            assert await b.call("S/echo", b"after") == b"after"

    with small_disk(tmp_path, "64m"):
        asyncio.run(bounded(test()))


@pytest.mark.parametrize("reserve_is_there", [True, False])
def test_full_at_the_start(tmp_path: Path, reserve_is_there: bool) -> None:
    """It starts in the room of its reserve and does what was accepted; without one it says what is the matter."""

    async def test() -> None:
        file = tmp_path / "e.db"
        async with bench(app, file=file) as b:
            sent = await b.send("S/step")
            await b.settle()
        assert (tmp_path / "e.db.reserve").exists()
        if not reserve_is_there:
            (tmp_path / "e.db.reserve").unlink()
        fill(tmp_path)
        if not reserve_is_there:
            with pytest.raises(UnusableFileError, match=r"room|full"):
                await Engine(app, Store(file)).start()
            (tmp_path / "filler").unlink()
        async with bench(app, file=file) as b:
            if reserve_is_there:
                fill(tmp_path)
                await seconds(b)
                await refused(b)
                (tmp_path / "filler").unlink()
                await seconds(b)
            assert b.engine.accepting
            await seconds(b, 61)
            await b.settle()
            result = await b.engine.output(sent)
            assert result is not None
            assert result.value == b"done"

    with small_disk(tmp_path):
        asyncio.run(bounded(test()))


def test_a_new_file_on_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        fill(tmp_path)
        with pytest.raises(UnusableFileError, match=r"full|No space|room"):
            Store(tmp_path / "e.db").open()
        (tmp_path / "filler").unlink()
        store = Store(tmp_path / "e.db")
        store.open()
        store.close()


class QuotaStore(FaultyStore):
    """A store whose writes fail as SQLite says when a quota is used up, or its index of the log finds no room."""

    code = 0
    no_room = False

    @override
    def open(self) -> None:
        super().open()
        self._reserve = QuotaReserve(self)

    @override
    def commit(self) -> None:
        if self.code:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self.code
            self._roll_back(error)
        super().commit()


class QuotaReserve(Reserve):
    """A reserve on a disk that gives no room."""

    def __init__(self, store: QuotaStore) -> None:
        super().__init__(store.file.with_name("e.db.reserve"))
        self._store = store

    @override
    def _hold(self, size_bytes: int) -> None:
        if self._store.no_room:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        super()._hold(size_bytes)


@pytest.mark.parametrize("code", PERHAPS_FULL)
def test_a_quota_that_is_used_up_is_a_full_disk(tmp_path: Path, code: int) -> None:
    async def test() -> None:
        store = QuotaStore(tmp_path / "e.db")
        async with bench(app, store=store) as b:
            store.code, store.no_room = code, True
            waiting = asyncio.ensure_future(b.call("S/echo", b"kept"))
            await until(lambda: not b.engine.accepting)
            await refused(b)
            assert not waiting.done()
            store.code, store.no_room = 0, False
            await seconds(b)
            assert await bounded(waiting) == b"kept"
            assert b.engine.accepting

    asyncio.run(bounded(test()))


@pytest.mark.parametrize(
    "code",
    [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_CORRUPT],
)
@pytest.mark.parametrize("no_room", [False, True])
def test_an_error_that_no_room_mends_is_not_waited_for(tmp_path: Path, code: int, no_room: bool) -> None:
    if no_room and code in PERHAPS_FULL:
        pytest.skip("that is a full disk")

    async def test() -> None:
        store = QuotaStore(tmp_path / "e.db")
        ended: list[BaseException] = []
        async with bench(app, store=store, fatal=ended.append) as b:
            store.code, store.no_room = code, no_room
            waiting = asyncio.ensure_future(b.call("S/echo", b"x"))
            await until(lambda: bool(ended))
            assert not waiting.done()
            waiting.cancel()

    asyncio.run(bounded(test()))


def _a_folder(reserve: Path) -> None:
    reserve.mkdir()
    (reserve / "inside").touch()


def _a_link(reserve: Path) -> None:
    (reserve.parent / "precious").write_text("mine")
    reserve.symlink_to(reserve.parent / "precious")


def _a_pipe(reserve: Path) -> None:
    os.mkfifo(reserve)


@pytest.mark.parametrize("spoil", [_a_folder, _a_link, _a_pipe])
def test_a_reserve_that_cannot_be_made_is_a_warning_and_stops_nothing(
    tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        store = FaultyStore(tmp_path / "e.db")
        with caplog.at_level(logging.WARNING):
            async with bench(app, store=store) as b:
                assert b.engine.accepting
                store.fill_up()
                waiting = asyncio.ensure_future(b.call("S/echo", b"x" * 50_000))
                await until(lambda: not b.engine.accepting)
                store.make_room()
                await seconds(b)
                assert await bounded(waiting) == b"x" * 50_000
                assert b.engine.accepting
        assert sum("no disk is held back" in each.message for each in caplog.records) == 1

    spoil(tmp_path / "e.db.reserve")
    asyncio.run(bounded(test()))
    if (tmp_path / "precious").exists():
        assert (tmp_path / "precious").read_text() == "mine"


def test_a_busy_file_is_accepted_on_again_when_the_other_program_lets_go(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            other = sqlite3.connect(tmp_path / "e.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.ensure_future(b.call("S/echo", b"kept"))
            await until(lambda: not b.engine.accepting)
            await seconds(b)
            assert not waiting.done()
            other.execute("ROLLBACK")
            other.close()
            await seconds(b)
            assert await bounded(waiting) == b"kept"
            assert b.engine.accepting

    asyncio.run(bounded(test()))


def test_an_idle_engine_looks_once_a_second_and_no_longer_than_it_must(tmp_path: Path) -> None:
    async def test() -> None:
        store = QuotaStore(tmp_path / "e.db")
        async with bench(app, store=store) as b:
            store.no_room = True
            store.code = sqlite3.SQLITE_IOERR_WRITE
            waiting = asyncio.ensure_future(b.call("S/echo", b"1"))
            await until(lambda: not b.engine.accepting)
            store.code = 0
            await seconds(b, 1)
            assert await bounded(waiting) == b"1"
            await refused(b)
            store.no_room = False
            b.clock.step_to(b.clock.monotonic_ms() + DISK_PROBE_MS)
            await until(lambda: b.engine.accepting)
            await b.settle()
            alarms = b.clock.next_ms() or 0.0
            assert alarms - b.clock.monotonic_ms() > DISK_PROBE_MS, "nothing looks any more"

    asyncio.run(bounded(test()))


def _remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def test_a_file_system_that_became_read_only_is_a_sentence_at_the_start(tmp_path: Path) -> None:
    """And nothing is lost."""

    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            assert await b.call("S/echo", b"1", idempotency_key="kept") == b"1"
        _remount(tmp_path, "ro")
        with pytest.raises(UnusableFileError, match="Read-only"):
            await Engine(app, Store(tmp_path / "e.db")).start()
        _remount(tmp_path, "rw")
        async with bench(app, file=tmp_path / "e.db") as b:
            assert await b.call("S/echo", b"1", idempotency_key="kept") == b"1"

    with small_disk(tmp_path):
        asyncio.run(bounded(test()))
