"""What can be wrong with a file at the start: each is a sentence, and the file stays as it was."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from restate_patterns.embedded.engine import Engine
from restate_patterns.embedded.file_errors import DamagedFileError, FileError, ForeignFileError, UnusableFileError
from restate_patterns.embedded.inventory import ParkedFile
from restate_patterns.embedded.store import Store
from restate_patterns.execution.attempt import DurableAttempt
from tests.support.engines.engines import Functions, bench, bounded

app = Functions()


@app.handler("S/echo")
async def echo(a: DurableAttempt) -> bytes:
    return a.invocation.body


def _start(file: Path | str) -> None:
    async def test() -> None:
        engine = Engine(app, Store(file))
        await engine.start()
        await engine.stop()

    asyncio.run(bounded(test()))


def _park(file: Path | str) -> None:
    with ParkedFile(file) as parked:
        parked.pending()
        parked.finished()
        parked.promises()
        _ = parked.log.move
        list(parked.states())


def _make(file: Path, calls: int = 20) -> Path:
    """A file with something in it, closed in good order."""

    async def test() -> None:
        async with bench(app, file=file) as b:
            for number in range(calls):
                await b.call("S/echo", b"x" * 500 + b"%d" % number)

    asyncio.run(bounded(test()))
    return file


def _sql(file: Path, *statements: str) -> None:
    with sqlite3.connect(file) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def _over(file: Path, at: int, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(data)


def _left_log(file: Path) -> Path:
    """Give the log beside a file as a crash leaves it; the file itself is as if it were closed."""
    copy = file.with_name("copy.db")
    shutil.copy(file, copy)
    connection = sqlite3.connect(copy)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('left', 1)")
    connection.commit()
    shutil.copy(copy.with_name("copy.db-wal"), file.with_name("left-wal"))
    connection.close()
    return file.with_name("left-wal")


def _another_files_log(file: Path) -> None:
    other = _make(file.with_name("other.db"))
    shutil.copy(_left_log(other), file.with_name(file.name + "-wal"))


def _a_log_without_its_file(file: Path) -> None:
    shutil.copy(_left_log(file), file.with_name(file.name + "-wal"))
    file.unlink()


def _a_log_with_an_empty_file(file: Path) -> None:
    _a_log_without_its_file(file)
    file.touch()


BAD_SCHEMA = ("PRAGMA writable_schema=1", "UPDATE sqlite_master SET sql='CREATE TABLE' WHERE name='state'")
DAMAGES: dict[str, tuple[Callable[[Path], object], type[FileError], str]] = {
    "header": (lambda file: _over(file, 0, b"\xff" * 100), ForeignFileError, "not a SQLite database"),
    "page size": (lambda file: _over(file, 16, b"\x00\x07"), ForeignFileError, "not a SQLite database"),
    "schema page": (lambda file: _over(file, 100, b"\xff" * 3000), DamagedFileError, "malformed"),
    "every other page": (lambda file: _over(file, 4096, b"\xff" * 40_000), DamagedFileError, "malformed"),
    "half of it": (lambda file: os.truncate(file, 8192), DamagedFileError, "malformed"),
    "ten bytes of it": (lambda file: os.truncate(file, 10), ForeignFileError, "not a SQLite database"),
    "table": (lambda file: _sql(file, "DROP TABLE timer"), DamagedFileError, "table timer is missing"),
    "meta": (lambda file: _sql(file, "DROP TABLE meta"), DamagedFileError, "meta"),
    "column": (lambda file: _sql(file, "ALTER TABLE step DROP COLUMN failure"), DamagedFileError, "no column failure"),
    "renamed": (lambda file: _sql(file, "ALTER TABLE promise RENAME TO p"), DamagedFileError, "promise is missing"),
    "schema text": (lambda file: _sql(file, *BAD_SCHEMA), DamagedFileError, "malformed"),
    "another's log": (_another_files_log, DamagedFileError, "belongs to another file"),
    "log without its file": (_a_log_without_its_file, FileError, r"missing or empty|no such file"),
    "log with an empty file": (_a_log_with_an_empty_file, DamagedFileError, "missing or empty"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("enter", [_start, _park])
def test_a_damaged_file_is_a_sentence_and_stays_as_it_was(
    tmp_path: Path, damage: str, enter: Callable[[Path], None]
) -> None:
    file = _make(tmp_path / "e.db")
    spoil, kind, sentence = DAMAGES[damage]
    spoil(file)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("e.db*") if path.suffix in (".db", ".db-wal")}
    with pytest.raises(kind, match=sentence):
        enter(file)
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content
    assert list(tmp_path.glob("e.db.lock")), "and the lock is free"
    with pytest.raises(FileError, match=sentence):
        enter(file)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epoch", "CAST(x'ff' AS TEXT)"), ("epoch", "'three'"), ("epoch", "-1"), ("epoch", "1.5"), ("epoch", "NULL"),
     ("epoch", "x'00'"), ("epoch", str(2**63 - 1)), ("time_ms", "'now'"), ("sequence", "'x'"), ("last_num", "'x'"),
     ("secret", "'text'"), ("secret", "NULL"), ("secret", "x''"), ("secret", "5")],
)  # fmt: skip
def test_a_value_of_another_type_in_meta_is_named(tmp_path: Path, name: str, value: str) -> None:
    file = _make(tmp_path / "e.db")
    _sql(file, f"INSERT OR REPLACE INTO meta VALUES ('{name}', {value})")
    if (name, value) == ("secret", "NULL"):
        return  # a file that never started
    with pytest.raises(DamagedFileError, match=name):
        _start(file)


@pytest.mark.parametrize("move", ["'no JSON'", "'{}'", "'[]'", '\'{"state_after": 5, "to": 1}\''])
@pytest.mark.parametrize("enter", [_start, _park])
def test_a_broken_note_of_a_move_is_a_sentence(tmp_path: Path, move: str, enter: Callable[[Path], None]) -> None:
    file = _make(tmp_path / "e.db")
    _sql(file, f"INSERT OR REPLACE INTO meta VALUES ('move', {move})")
    with pytest.raises(DamagedFileError, match="move"):
        enter(file)


def _folder(file: Path) -> None:
    file.mkdir()


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _dev_full(file: Path) -> None:
    file.symlink_to("/dev/full")


def _dev_null(file: Path) -> None:
    file.symlink_to("/dev/null")


def _dangling_link(file: Path) -> None:
    file.symlink_to(file.parent / "no folder" / "e.db")


def _circle(file: Path) -> None:
    file.symlink_to(file)


@pytest.mark.parametrize("spoil", [_folder, _pipe, _dev_full, _dev_null, _dangling_link, _circle])
@pytest.mark.parametrize("enter", [_start, _park])
def test_what_is_no_file_is_a_sentence(
    tmp_path: Path, spoil: Callable[[Path], None], enter: Callable[[Path], None]
) -> None:
    spoil(tmp_path / "e.db")
    with pytest.raises(UnusableFileError, match="can't be used"):
        enter(tmp_path / "e.db")


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 300, "\ud800", "e.db/inside", "/proc/self/e.db"])
@pytest.mark.parametrize("enter", [_start, _park])
def test_a_name_that_no_file_can_have_is_a_sentence(tmp_path: Path, name: str, enter: Callable[[str], None]) -> None:
    _make(tmp_path / "e.db", 1)
    with pytest.raises(UnusableFileError, match="can't be used"):
        enter(name if name.startswith("/") or not name else f"{tmp_path}/{name}")


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o200])
def test_a_file_that_may_not_be_used_is_a_sentence(tmp_path: Path, mode: int) -> None:
    file = _make(tmp_path / "e.db", 1)
    file.chmod(mode)
    is_root = os.geteuid() == 0
    for path in (tmp_path, *tmp_path.parents)[:3]:
        path.chmod(0o777 if path == tmp_path else 0o755)
    try:
        if is_root:
            os.seteuid(65534)
        with pytest.raises(UnusableFileError, match="permissions"):
            _start(file)
    finally:
        if is_root:
            os.seteuid(0)


LIMITED = '''
import asyncio, resource, sys
from restate_patterns import App, Context, Embedded, Service, handler
class S(Service):
    """S."""
    @handler
    async def echo(self, ctx: Context) -> None:
        """Echo."""
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
async def main():
    async with App([S()]).start(Embedded(sys.argv[1])):
        print("started")
asyncio.run(main())
'''


@pytest.mark.parametrize("limit_bytes", [0, 4096, 100_000])
def test_a_limit_on_the_size_of_files_is_named_at_the_start(tmp_path: Path, limit_bytes: int) -> None:
    _make(tmp_path / "e.db", 400)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "e.db"), str(limit_bytes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if done.stdout:
        assert limit_bytes == 100_000, "there is room for the log"
        return
    last = done.stderr.strip().splitlines()[-1]
    assert "UnusableFileError" in last
    assert "ulimit -f" in last
