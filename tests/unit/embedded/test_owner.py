"""Rule 23: one owner per file, whatever the file is called and whatever is removed, and none that has ended."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from restate_patterns.embedded.file_errors import FileError, FileOwnedError, UnusableFileError
from restate_patterns.embedded.store import Store
from tests.support.bounds import PATIENCE_S

OPEN = """
import sys
from restate_patterns.embedded.file_errors import FileError
from restate_patterns.embedded.store import Store
store = Store(sys.argv[1])
try:
    store.open()
except FileError as error:
    print(type(error).__name__, error)
else:
    print("opened")
"""


def _opened(file: Path) -> Store:
    store = Store(file)
    store.open()
    return store


def _elsewhere(file: Path | str, folder: Path | None = None) -> str:
    """What another process says that opens a file."""
    command = [sys.executable, "-c", OPEN, str(file)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


def _write(store: Store, name: str) -> None:
    store.write([("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(name, b"1")])])
    store.commit()


def _symlink(file: Path) -> Path:
    (file.parent / "link.db").symlink_to(file)
    return file.parent / "link.db"


def _symlink_to_symlink(file: Path) -> Path:
    (file.parent / "again.db").symlink_to(_symlink(file).name)
    return file.parent / "again.db"


def _symlinked_folder(file: Path) -> Path:
    (file.parent / "folder").symlink_to(file.parent)
    return file.parent / "folder" / file.name


def _dots(file: Path) -> Path:
    (file.parent / "sub").mkdir()
    return file.parent / "sub" / ".." / file.name


def _relative(file: Path) -> Path:
    return Path(os.path.relpath(file))


def _hard_link(file: Path) -> Path:
    (file.parent / "hard.db").hardlink_to(file)
    return file.parent / "hard.db"


def _lock_deleted(file: Path) -> Path:
    file.with_name(file.name + ".lock").unlink()
    return file


def _lock_renamed(file: Path) -> Path:
    lock = file.with_name(file.name + ".lock")
    lock.rename(file.parent / "elsewhere")
    return file


def _lock_replaced(file: Path) -> Path:
    _lock_deleted(file)
    file.with_name(file.name + ".lock").write_text("nobody")
    return file


WAYS: list[Callable[[Path], Path]] = [
    _symlink, _symlink_to_symlink, _symlinked_folder, _dots, _relative, _hard_link,
    _lock_deleted, _lock_renamed, _lock_replaced,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_no_other_way_to_a_file_leads_around_its_owner(tmp_path: Path, way: Callable[[Path], Path]) -> None:
    """In this process and in another; and the owner goes on with what it has."""
    store = _opened(tmp_path / "e.db")
    _write(store, "before")
    other = way(tmp_path / "e.db")
    with pytest.raises(FileOwnedError, match=f"in use by process {os.getpid()}"):
        _opened(other)
    assert f"in use by process {os.getpid()}" in _elsewhere(other)
    _write(store, "after")
    assert store.lost() is None
    store.close()
    if way is not _hard_link:
        again = _opened(other)
        assert {name for (name,) in again.read("SELECT name FROM meta")} == {"before", "after"}
        again.close()


def test_a_bind_mount_is_the_same_file(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (tmp_path / "here").mkdir()
    store = _opened(tmp_path / "here" / "e.db")
    command = ["mount", "--bind", str(tmp_path / "here"), str(there)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        (there / "e.db.lock").unlink()
        assert f"in use by process {os.getpid()}" in _elsewhere(there / "e.db")
    finally:
        subprocess.run(["umount", "-l", str(there)], check=True)
    store.close()


def test_a_file_with_two_names_is_refused_also_when_nobody_has_it(tmp_path: Path) -> None:
    """A crash would leave its log under one name, and a start under the other would not see it."""
    _opened(tmp_path / "e.db").close()
    other = _hard_link(tmp_path / "e.db")
    for name in (tmp_path / "e.db", other):
        with pytest.raises(UnusableFileError, match="2 names"):
            _opened(name)
    other.unlink()
    _opened(tmp_path / "e.db").close()


def test_a_relative_path_stays_what_it_was_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = _opened(Path("e.db"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    _write(store, "x")
    assert store.lost() is None
    assert store.restore_reserve()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert f"in use by process {os.getpid()}" in _elsewhere("../e.db")
    store.close()


def test_a_name_in_other_letters_is_another_file_where_the_disk_says_so(tmp_path: Path) -> None:
    store = _opened(tmp_path / "e.db")
    if (tmp_path / "E.DB").exists():
        with pytest.raises(FileOwnedError):
            _opened(tmp_path / "E.DB")
    else:
        _opened(tmp_path / "E.DB").close()
    store.close()


def test_asking_who_has_a_file_costs_its_owner_none_of_sqlites_locks(tmp_path: Path) -> None:
    """Closing a descriptor of a file drops a process's locks on it, and the next who closes it takes its log away."""
    store = _opened(tmp_path / "e.db")
    _write(store, "x")
    with pytest.raises(FileError):
        _opened(tmp_path / "e.db")
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM meta').fetchall(); c.close()"
    )
    subprocess.run([sys.executable, "-c", f"{program}; c.close()", str(tmp_path / "e.db")], check=True, timeout=60)
    assert store.lost() is None, "the log is still there"
    store.close()


def test_a_start_waits_a_moment_for_an_owner_who_goes(tmp_path: Path) -> None:
    """A process that was killed lets go when the system has taken it down."""
    program = f"{OPEN}\nsys.stdout.flush(); import time; time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "e.db")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"opened\n"
    holder.kill()
    _opened(tmp_path / "e.db").close()
    holder.wait()
    holder.stdout.close()


# What a forked child has of its parent. A second process is the parent here, so that it can be killed.

PARENT = """
import multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from restate_patterns.embedded.store import Store

def sleep():
    time.sleep(120)

def worker(queue):
    queue.put(os.getpid())
    sleep()

if __name__ == "__main__":
    store = Store(sys.argv[1])
    store.open()
    store.write([("INSERT OR REPLACE INTO meta VALUES ('x', 1)", [()])])
    store.commit()
    fork = multiprocessing.get_context("fork")
    match sys.argv[2]:
        case "os.fork":
            child = os.fork()
            if child == 0:
                sleep()
        case "os.forkpty":
            child, _ = os.forkpty()
            if child == 0:
                sleep()
        case "multiprocessing":
            process = fork.Process(target=sleep)
            process.start()
            child = process.pid
        case "pool":
            queue = fork.Manager().Queue()
            pool = ProcessPoolExecutor(1, mp_context=fork)
            pool.submit(worker, queue)
            child = queue.get()
        case "subprocess":
            import subprocess
            child = subprocess.Popen(["sleep", "120"], close_fds=False).pid
        case "native":
            import ctypes
            child = ctypes.PyDLL(None).fork()  # as a library in C would: nobody tells Python
            if child == 0:
                ctypes.CDLL(None).sleep(120)
    print(child, flush=True)
    sleep()
"""


@contextmanager
def _parent(file: Path, way: str) -> Generator[tuple[subprocess.Popen[str], int]]:
    """A process that owns a file and has forked; gives it and its child."""
    program = file.with_name("parent.py")
    program.write_text(PARENT)
    process = subprocess.Popen(
        [sys.executable, str(program), str(file), way],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for left in (child, *_of_session(process.pid)):
            with suppress_gone():
                os.kill(left, signal.SIGKILL)


@contextmanager
def suppress_gone() -> Generator[None]:
    try:
        yield
    except ProcessLookupError:
        pass


def _of_session(session: int) -> list[int]:
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress_gone():
            if os.getsid(int(process.name)) == session:
                found.append(int(process.name))
    return found


@pytest.mark.parametrize("way", ["os.fork", "os.forkpty", "multiprocessing", "pool", "subprocess"])
def test_a_child_does_not_keep_the_file_of_a_parent_that_was_killed(tmp_path: Path, way: str) -> None:
    with _parent(tmp_path / "e.db", way) as (parent, child):
        with pytest.raises(FileOwnedError, match=f"in use by process {parent.pid} "):
            _opened(tmp_path / "e.db")
        parent.kill()
        parent.wait()
        os.kill(child, 0)
        store = _opened(tmp_path / "e.db")
        assert store.read("SELECT value FROM meta WHERE name = 'x'") == [(1,)]
        store.close()


def test_a_child_forked_behind_pythons_back_is_named_as_what_keeps_the_file(tmp_path: Path) -> None:
    with _parent(tmp_path / "e.db", "native") as (parent, child):
        parent.kill()
        parent.wait()
        with pytest.raises(FileOwnedError, match=rf"process {child} \(a child of process {parent.pid} on .*has ended"):
            _opened(tmp_path / "e.db")
        os.kill(child, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while Path(f"/proc/{child}/fd/0").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        _opened(tmp_path / "e.db").close()


def _end_quietly() -> None:
    os._exit(0)


def _end_as_a_program() -> None:
    sys.exit(0)  # lets the interpreter take down all its objects, SQLite's connections among them


@pytest.mark.parametrize("end", [_end_quietly, _end_as_a_program])
@pytest.mark.parametrize("writing", [False, True], ids=["idle", "within a transaction"])
def test_the_end_of_a_child_changes_nothing_of_its_parents_file(
    tmp_path: Path, end: Callable[[], None], writing: bool
) -> None:
    store = _opened(tmp_path / "e.db")
    _write(store, "before")
    if writing:
        store.write([("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(f"n{i}", b"x" * 4000) for i in range(200)])])
    program = multiprocessing.get_context("fork").Process(target=_child_of, args=(store, end))
    program.start()
    program.join(PATIENCE_S)
    assert program.exitcode == 0, "the child may not use the parent's store"
    if writing:
        store.commit()
    _write(store, "after")
    assert store.lost() is None
    assert store.read("PRAGMA integrity_check") == [("ok",)]
    assert len(store.read("SELECT name FROM meta WHERE name IN ('before', 'after')")) == 2
    assert "FileOwnedError" in _elsewhere(tmp_path / "e.db"), "the parent has its lock as before"
    store.close()
    with sqlite3.connect(tmp_path / "e.db") as connection:
        assert connection.execute("SELECT count(*) FROM meta").fetchone()[0] == (202 if writing else 2)
    connection.close()


def _child_of(store: Store, end: Callable[[], None]) -> None:
    with pytest.raises(RuntimeError, match="is closed"):
        store.read("SELECT 1")
    with pytest.raises(RuntimeError, match="is closed"):
        store.write([])
    with pytest.raises(FileOwnedError):
        _opened(store.file)
    store.close()
    end()


def test_two_engines_in_threads_that_start_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        stores = [Store(tmp_path / "e.db") for _ in range(8)]
        ended = await asyncio.gather(*(asyncio.to_thread(each.open) for each in stores), return_exceptions=True)
        assert sorted(type(each).__name__ for each in ended) == ["FileOwnedError"] * 7 + ["NoneType"]
        for each in stores:
            each.close()

    asyncio.run(test())
