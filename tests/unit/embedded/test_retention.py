"""Retention keeps up with what expires, also on a slow disk; nothing that can't go stands in the way of the rest."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from restate_patterns.embedded.keys import PromiseAnswer
from restate_patterns.embedded.records import Record
from restate_patterns.embedded.store import Store
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.limits import RETENTION_INTERVAL_MS, RETENTION_LIMIT, RETENTION_PAUSE_MS
from tests.support.engines.engines import Bench, Functions, bench, bounded, request, until

app = Functions()


@app.handler("S/echo", retention=timedelta(seconds=1))
async def echo(a: DurableAttempt) -> bytes:
    return b""


@app.workflow("W", retention=timedelta(hours=1))
async def run(a: DurableAttempt) -> bytes:
    await asyncio.sleep(100_000)
    return b""


class SlowStore(Store):
    """A store whose commits take their time, in the writer thread."""

    slow_s = 0.0

    @override
    def commit(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(self.slow_s)
        super().commit()


async def _calls(b: Bench, count: int) -> None:
    await asyncio.gather(*(b.call("S/echo", idempotency_key=f"k{number}") for number in range(count)))


def _left(store: Store) -> int:
    return int(store.read("SELECT count(*) FROM invocation")[0][0])


@pytest.mark.parametrize("slow_s", [0.0, 0.08])
def test_results_go_without_a_pause_also_where_a_commit_is_slow(tmp_path: Path, slow_s: float) -> None:
    async def test() -> None:
        store = SlowStore(tmp_path / "e.db")
        async with bench(app, store=store) as b:
            await _calls(b, 4 * RETENTION_LIMIT + 100)
            await b.advance(timedelta(seconds=2))
            store.slow_s = slow_s
            b.clock.step_to(b.clock.monotonic_ms() + RETENTION_INTERVAL_MS)
            until_ms = b.clock.monotonic_ms() + RETENTION_INTERVAL_MS / 2
            while _left(store) and b.clock.monotonic_ms() < until_ms:
                b.clock.step_to(b.clock.monotonic_ms() + RETENTION_PAUSE_MS)
                await asyncio.sleep(0.005)
            assert _left(store) == 0, "all are gone long before the next minute"

    asyncio.run(bounded(test()))


def test_a_run_finds_nothing_that_the_batch_under_way_removes(tmp_path: Path) -> None:
    async def test() -> None:
        store = SlowStore(tmp_path / "e.db")
        found: list[int] = []
        async with bench(app, store=store) as b:
            await _calls(b, 2 * RETENTION_LIMIT)
            await b.advance(timedelta(seconds=2))
            select = b.engine.core.records.select

            def watched(where: str, parameters: tuple[object, ...]) -> list[Record]:
                records = select(where, parameters)
                found.append(len(records))
                return records

            b.engine.core.records.select = watched  # type: ignore[method-assign]  # it is only looked at
            store.slow_s = 0.1
            b.clock.step_to(b.clock.monotonic_ms() + RETENTION_INTERVAL_MS)
            for _ in range(20):
                b.clock.step_to(b.clock.monotonic_ms() + RETENTION_PAUSE_MS)
                await asyncio.sleep(0.02)
            await until(lambda: _left(store) == 0)
            assert found[:2] == [RETENTION_LIMIT, RETENTION_LIMIT]

    asyncio.run(bounded(test()))


async def _promises(b: Bench, count: int, *, run: bool) -> None:
    """Complete promises of as many workflow keys, long expired."""
    core = b.engine.core
    for number in range(count):
        key = f"{'run' if run else 'none'}{number}"
        if run:
            await b.engine.submit(request(f"W/{key}/run"), None)
        core.keys.set_promise(core.keys.entry("W", key), "p", PromiseAnswer(b"1", None, core.log.now_ms() - 1 - run))
    await core.log.durable(core.log.sequence)


@pytest.mark.parametrize("slow_s", [0.0, 0.08])
def test_promises_go_likewise_and_those_of_a_run_stand_in_nobodys_way(tmp_path: Path, slow_s: float) -> None:
    async def test() -> None:
        store = SlowStore(tmp_path / "e.db")
        async with bench(app, store=store, timeout_ms=0) as b:
            await _promises(b, RETENTION_LIMIT, run=True)
            await _promises(b, 2 * RETENTION_LIMIT + 10, run=False)
            store.slow_s = slow_s
            b.clock.step_to(b.clock.monotonic_ms() + RETENTION_INTERVAL_MS)
            until_ms = b.clock.monotonic_ms() + RETENTION_INTERVAL_MS / 2
            count = "SELECT count(*) FROM promise WHERE key LIKE 'none%'"
            while store.read(count) != [(0,)] and b.clock.monotonic_ms() < until_ms:
                b.clock.step_to(b.clock.monotonic_ms() + RETENTION_PAUSE_MS)
                await asyncio.sleep(0.005)
            assert store.read(count) == [(0,)]
            assert store.read("SELECT count(*) FROM promise") == [(RETENTION_LIMIT,)], "a run may still ask for these"

    asyncio.run(bounded(test()))
