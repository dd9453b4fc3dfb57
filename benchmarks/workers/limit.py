"""The limit: what one asyncio loop, one writer thread and one SQLite file can do with nothing around them.

Rows are written by the loop; the writer thread does the `COMMIT` alone, so that the interpreter is free
during the fsync. `synchronous=FULL` on a write-ahead log: a commit that returned is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.workers.protocol import Commands, Facts, at_once

STEPS = 5
ROW_BYTES = b"x" * 64
INSERT = "INSERT INTO journal VALUES (?, ?, ?)"


def open_log(file: Path) -> sqlite3.Connection:
    """Open a file as the engine does: write-ahead log, every commit fsynced, transactions by hand."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY, id INTEGER, value BLOB)")
    return connection


class GroupCommit:
    """Appends rows; each waits until the batch it is in is on disk."""

    def __init__(self, file: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = open_log(file)
        self._sequence = 0
        self._rows: list[tuple[int, int, bytes]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._committing: list[asyncio.Future[None]] | None = None
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._commit_batches, daemon=True)
        self._writer.start()
        self.commit_count = 0

    def append(self, owner: int) -> asyncio.Future[None]:
        """Append one row; the future is done when it is durable."""
        self._sequence += 1
        self._rows.append((self._sequence, owner, ROW_BYTES))
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        if self._committing is None and len(self._waiters) == 1:
            self._loop.call_soon(self._close_batch)
        return waiter

    def close(self) -> None:
        """Stop the writer and close the file."""
        self._orders.put(False)
        self._writer.join()
        self._connection.close()

    def _close_batch(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(INSERT, self._rows)
        self._committing, self._waiters, self._rows = self._waiters, [], []
        self._orders.put(True)

    def _commit_batches(self) -> None:
        while self._orders.get():
            self._connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._committed)

    def _committed(self) -> None:
        self.commit_count += 1
        done, self._committing = self._committing or [], None
        for waiter in done:
            waiter.set_result(None)
        if self._waiters:
            self._loop.call_soon(self._close_batch)


@contextlib.asynccontextmanager
async def side() -> AsyncIterator[Commands]:
    """Serve `steps` (group commit) and `commits` (one row, one commit, one after the other)."""
    log = GroupCommit(Path("limit.db"))
    single = open_log(Path("single.db"))

    async def flow() -> int:
        for _ in range(STEPS):
            await log.append(1)
        return STEPS

    async def steps(concurrency: int, seconds: float) -> Facts:
        before = log.commit_count
        facts = await at_once(concurrency, seconds, flow)
        return {**facts, "commits": log.commit_count - before}

    async def commits(seconds: float) -> Facts:
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            single.execute("BEGIN")
            single.execute("INSERT INTO journal (id, value) VALUES (?, ?)", (1, ROW_BYTES))
            single.execute("COMMIT")
            done += 1
        return {"count": done, "elapsed_s": time.perf_counter() - start}

    try:
        yield {"steps": steps, "commits": commits}
    finally:
        log.close()
        single.close()
