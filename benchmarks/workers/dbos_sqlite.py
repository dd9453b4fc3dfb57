"""The peer DBOS on a SQLite file: workflows of five steps, as its documentation shows them.

Two configurations. As documented: the default system database and asynchronous workflows. Tuned: what came out
fastest when we tried, in DBOS's favour: the file switched to a write-ahead log beforehand and one executor
thread, because threads that wait for SQLite's lock sleep longer than they would work.
Both commit with `synchronous=FULL` (checked here): an answered step is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

from dbos import DBOS, DBOSConfig

from benchmarks.workers.protocol import Commands, Facts, at_once

STEPS = 5
FULL = 2
FILE = Path("dbos.sqlite").absolute()


@DBOS.step()
async def step(number: int) -> int:
    """Do nothing, durably."""
    return number


@DBOS.workflow()
async def flow() -> int:
    """Run five steps, one after the other."""
    return sum([await step(number) for number in range(STEPS)])


@DBOS.workflow()
async def double(number: int) -> int:
    """Be one of the calls of a fan-out."""
    return 2 * number


@DBOS.workflow()
async def gathering(count: int) -> int:
    """Make so many calls at once and add up their answers."""
    handles = [await DBOS.start_workflow_async(double, number) for number in range(count)]
    return sum(await asyncio.gather(*[handle.get_result() for handle in handles]))


@DBOS.step()
def step_in_thread(number: int) -> int:
    """Do nothing, durably."""
    return number


@DBOS.workflow()
def flow_in_thread() -> int:
    """Run five steps, one after the other."""
    return sum(step_in_thread(number) for number in range(STEPS))


def check_durable() -> None:
    """Make sure that commits of this file are fsynced."""
    with contextlib.closing(sqlite3.connect(FILE)) as connection:
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
    if level < FULL:
        raise RuntimeError(f"SQLite was built with synchronous={level}: DBOS would not fsync its commits")


@contextlib.asynccontextmanager
async def side(tuned: bool = False) -> AsyncIterator[Commands]:
    """Serve `steps` and `gather`."""
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": f"sqlite:///{FILE}",
        "log_level": "ERROR",
    }
    if tuned:
        with contextlib.closing(sqlite3.connect(FILE)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        config["max_executor_threads"] = 1
    DBOS(config=config)
    DBOS.launch()
    check_durable()

    async def one() -> int:
        if tuned:
            handle = DBOS.start_workflow(flow_in_thread)
            await asyncio.to_thread(handle.get_result)
        else:
            await flow()
        return STEPS

    async def steps(concurrency: int, seconds: float) -> Facts:
        return await at_once(concurrency, seconds, one)

    async def gather(count: int) -> Facts:
        start = time.perf_counter()
        total = await gathering(count)
        if total != count * (count - 1):
            raise AssertionError(f"the fan-out of {count} calls came to {total}")
        return {"elapsed_s": time.perf_counter() - start}

    try:
        yield {"steps": steps, "gather": gather}
    finally:
        DBOS.destroy()
