"""A file on which nothing runs: what is read of it, that reading changes nothing, and the marks of a move."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from pathlib import Path

import pytest

from restate_patterns.embedded.file_errors import (
    FileMovedError,
    FileOwnedError,
    ForeignFileError,
    NewerFileError,
    UnusableFileError,
)
from restate_patterns.embedded.inventory import KeyState, ParkedFile, Pending
from restate_patterns.embedded.moves import Move, Sent
from restate_patterns.embedded.schema import APPLICATION_ID
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.limits import MOVE_STATE_BYTES
from tests.support.engines.engines import Functions, bench, request

pytestmark = pytest.mark.anyio

app = Functions()
SERVER = "http://127.0.0.1:9070"


@app.exclusive("O/set")
async def set_state(a: DurableAttempt) -> bytes:
    a.set_state("a", a.invocation.body)
    return b""


@app.exclusive("O/fail")
async def fail(a: DurableAttempt) -> bytes:
    raise RuntimeError("not yet")


@app.exclusive("O/sleep")
async def sleep(a: DurableAttempt) -> bytes:
    await asyncio.sleep(3600)
    return b""


@app.handler("S/call")
async def call(a: DurableAttempt) -> bytes:
    return await a.call(request("O/busy/fail"), None)


@app.workflow("W")
async def run(a: DurableAttempt) -> bytes:
    a.set_state("at", b"1")
    return b""


async def filled(file: Path) -> None:
    async with bench(app, file=file) as b:
        await b.call("O/k/set", b"1")
        await b.call("O/k/set", b"2", idempotency_key="i")
        await b.call("W/done/run")
        await b.send("W/later/run", b"", 5_000)
        await b.send("O/k/fail", b"x")
        await b.send("O/k/set", b"3")
        await b.send("O/k/set", b"4", 1_000)
        await b.send("O/busy/sleep")
        await b.send("S/call")
        await b.settle()


def by_target(pending: list[Pending]) -> dict[str, Pending]:
    return {f"{each.target} {each.status.name}": each for each in pending}


async def test_the_inventory(tmp_path: Path) -> None:
    await filled(tmp_path / "a.db")
    with ParkedFile(tmp_path / "a.db") as file:
        found = by_target(file.pending())
        finished, states = file.finished(), list(file.states())
        first = found["O/k/fail BACKING_OFF"]
        assert file.body(first.num) == b"x"
    assert set(found) == {
        "W/later/run SCHEDULED",
        "O/k/fail BACKING_OFF",
        "O/k/set QUEUED",
        "O/k/set SCHEDULED",
        "O/busy/sleep ACTIVE",
        "S/call ACTIVE",
        "O/busy/fail QUEUED",
    }
    behind, later = found["O/k/set QUEUED"], found["O/k/set SCHEDULED"]
    assert not first.begun
    assert first.failure is not None
    assert "not yet" in first.failure
    assert first.place is not None
    assert behind.place is not None
    assert first.place < behind.place
    assert later.due is not None
    assert later.place is None
    assert found["W/later/run SCHEDULED"].is_run
    assert found["O/busy/sleep ACTIVE"].begun
    assert found["S/call ACTIVE"].begun
    assert found["O/busy/fail QUEUED"].awaited_by == found["S/call ACTIVE"].id
    assert behind.awaited_by is None
    assert (finished.count, finished.keyed_count, finished.runs_count) == (3, 1, 1)
    assert finished.until_ms is not None
    assert [each.values for each in states[0]] == [{"a": b"2"}]
    assert states[1] == [KeyState(service="W", key="done", values={"at": b"1"}, run=states[1][0].run)]
    assert states[1][0].run is not None


async def test_a_cancel_that_was_not_met_counts_as_begun(tmp_path: Path) -> None:
    async with bench(app, file=tmp_path / "a.db") as b:
        sent = await b.send("O/k/fail")
        await b.settle()
        await b.engine.pause(sent)
        await b.engine.cancel(sent)
    with ParkedFile(tmp_path / "a.db") as file:
        assert all(each.begun for each in file.pending())


def digests(folder: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.iterdir()}


async def test_reading_changes_nothing(tmp_path: Path) -> None:
    await filled(tmp_path / "a.db")
    before = digests(tmp_path)
    with ParkedFile(tmp_path / "a.db") as file:
        assert file.pending()
        assert list(file.states())
        assert file.promises() == []
        assert file.log.move is None
        assert file.log.sent() == {}
    assert digests(tmp_path) == before


async def test_the_file_of_a_process_that_was_killed(tmp_path: Path) -> None:
    """What is in the log beside the file counts, and stays there."""
    async with bench(app, file=tmp_path / "a.db") as b:
        await b.call("O/k/set", b"1")
        (tmp_path / "copy").mkdir()
        for name in ("a.db", "a.db-wal"):
            (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    copy = tmp_path / "copy" / "a.db"
    before = copy.read_bytes()
    with ParkedFile(copy) as file:
        assert [each.values for each in next(file.states())] == [{"a": b"1"}]
    assert copy.read_bytes() == before


async def test_state_comes_in_bounded_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restate_patterns.embedded.inventory.MOVE_STATE_KEYS", 3)
    async with bench(app, file=tmp_path / "a.db") as b:
        for number in range(7):
            await b.call(f"O/k{number}/set", bytes(MOVE_STATE_BYTES // 2) if number < 2 else b"1")
        await b.call("W/w/run")
    with ParkedFile(tmp_path / "a.db") as file:
        assert [[each.key for each in portion] for portion in file.states()] == [
            ["k0"],
            ["k1", "k2", "k3"],
            ["k4", "k5", "k6"],
            ["w"],
        ]
        assert [[each.key for each in portion] for portion in file.states(("O", "k5"))] == [["k6"], ["w"]]


def test_what_is_no_file_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="no such file"), ParkedFile(tmp_path / "none.db"):
        pass
    (tmp_path / "text.db").write_text("no database" * 200)
    with pytest.raises(ForeignFileError, match="not a SQLite database"), ParkedFile(tmp_path / "text.db"):
        pass
    (tmp_path / "empty.db").touch()
    with pytest.raises(ForeignFileError, match="empty"), ParkedFile(tmp_path / "empty.db"):
        pass
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(NewerFileError), ParkedFile(tmp_path / "newer.db"):
        pass


async def test_it_has_one_owner(tmp_path: Path) -> None:
    async with bench(app, file=tmp_path / "a.db"):
        with pytest.raises(FileOwnedError, match="in use by process"), ParkedFile(tmp_path / "a.db"):
            pass
    with ParkedFile(tmp_path / "a.db"), pytest.raises(FileOwnedError):
        async with bench(app, file=tmp_path / "a.db"):
            pass


async def test_the_marks_of_a_move(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await filled(path)
    with ParkedFile(path) as file:
        file.log.begin(SERVER, None, 1)
        file.log.note_state(("O", "k"))
        file.log.begin_sends([4, 5], 2)
        file.log.note_sends({4: ("inv_new", 7)})
    with pytest.raises(FileMovedError, match="on its way"):
        await start(path)
    with ParkedFile(path) as file:
        file.log.begin(SERVER, "127.0.0.1:5", 9)  # goes on
        file.log.begin_sends([4, 5], 9)
        assert file.log.move == Move(to=SERVER, began_ms=1, state_after=("O", "k"), courier="127.0.0.1:5")
        assert file.log.sent() == {4: Sent(2, "inv_new", 7), 5: Sent(2, None, None)}
        file.log.finish(3)
    with pytest.raises(FileMovedError, match="has moved to the Restate server") as raised:
        await start(path)
    assert raised.value.done
    with ParkedFile(path) as file:
        file.log.undo(4)
        assert len(file.log.sent()) == 2
    await start(path)
    with ParkedFile(path) as file:
        file.log.begin(SERVER, None, 5)
        assert len(file.log.sent()) == 2  # they are still there
        file.log.undo(6)
        file.log.begin("http://127.0.0.1:9999", None, 7)
        assert file.log.sent() == {}
        assert file.log.move == Move(to="http://127.0.0.1:9999", began_ms=7)


async def start(file: Path) -> None:
    async with bench(app, file=file):
        pass
