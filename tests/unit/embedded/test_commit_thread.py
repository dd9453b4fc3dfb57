"""Who commits: the event loop itself while one invocation is alone and the disk is quick, else the writer thread."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from typing_extensions import override

from restate_patterns.embedded.store import StoreBusyError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.limits import COMMIT_HERE_MS_MAX
from restate_patterns.options import Step
from restate_patterns.testing.clock import VirtualClock
from tests.support.engines.engines import FaultyStore, Functions, bench, bounded, request, until

app = Functions()


@app.handler("S/steps")
async def steps(a: DurableAttempt) -> bytes:
    async def act() -> bytes:
        return b""

    for _ in range(int(a.invocation.body)):
        await a.run(Step("act"), b"", act)
    return b"done"


@app.handler("S/wait")
async def wait(a: DurableAttempt) -> bytes:
    await asyncio.sleep(3600)
    return b""


class WatchedStore(FaultyStore):
    """A store that knows which thread commits, and how long its disk takes."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.clock = VirtualClock()
        self.took_ms = 0.0
        self.busy_count = 0
        self.on_loop: list[bool] = []

    @override
    def commit(self) -> None:
        self.on_loop.append(threading.current_thread() is threading.main_thread())
        self.clock.step_to(self.clock.monotonic_ms() + self.took_ms)
        if self.busy_count:
            self.busy_count -= 1
            self._open_writer.execute("ROLLBACK")
            raise StoreBusyError("busy")
        super().commit()


def test_one_alone_on_a_quick_disk_is_committed_by_the_loop(tmp_path: Path) -> None:
    """After some commits that tell how quick the disk is."""

    async def test() -> None:
        store = WatchedStore(tmp_path / "e.db")
        async with bench(app, store=store, clock=store.clock) as b:
            assert await b.call("S/steps", b"60") == b"done"
            assert not any(store.on_loop[1:10]), "nothing is known of the disk"  # the first is the start's own
            assert all(store.on_loop[-20:])

    asyncio.run(bounded(test()))


def test_a_slow_commit_sends_the_next_ones_to_the_thread(tmp_path: Path) -> None:
    """One is enough, and it takes many quick ones until the loop tries again."""

    async def test() -> None:
        store = WatchedStore(tmp_path / "e.db")
        async with bench(app, store=store, clock=store.clock) as b:
            await b.call("S/steps", b"60")
            store.took_ms = 20 * COMMIT_HERE_MS_MAX
            await b.call("S/steps", b"0")
            store.took_ms = 0.0
            store.on_loop.clear()
            await b.call("S/steps", b"60")
            assert not any(store.on_loop[:20])
            assert all(store.on_loop[-10:])

    asyncio.run(bounded(test()))


def test_the_loop_does_not_commit_while_somebody_else_is_in_memory(tmp_path: Path) -> None:
    """Another invocation may have something to do meanwhile."""

    async def test() -> None:
        store = WatchedStore(tmp_path / "e.db")
        async with bench(app, store=store, clock=store.clock, timeout_ms=60_000) as b:
            await b.call("S/steps", b"60")
            await b.send("S/wait")
            store.on_loop.clear()
            await b.call("S/steps", b"10")
            assert len(store.on_loop) >= 10
            assert not any(store.on_loop)

    asyncio.run(bounded(test()))


def test_rule_20_a_commit_of_the_loop_is_tried_again(tmp_path: Path) -> None:
    """As one of the thread is: the same batch, nothing lost, and nothing new is accepted meanwhile."""

    async def test() -> None:
        store = WatchedStore(tmp_path / "e.db")
        async with bench(app, store=store, clock=store.clock) as b:
            await b.call("S/steps", b"60")
            store.busy_count = 2
            store.on_loop.clear()
            call = asyncio.ensure_future(b.engine.call(request("S/steps", b"3")))
            await until(lambda: not b.engine.accepting)
            assert store.on_loop == [True]
            while not call.done():
                store.clock.step_to(store.clock.monotonic_ms() + 1000)
                await asyncio.sleep(0)
            assert (await call).value == b"done"
            assert b.engine.accepting

    asyncio.run(bounded(test()))


def test_rule_20_an_error_of_the_disk_under_the_loop_is_fatal(tmp_path: Path) -> None:
    """And nothing is answered."""

    async def test() -> None:
        store = WatchedStore(tmp_path / "e.db")
        lost: list[BaseException] = []
        async with bench(app, store=store, clock=store.clock, fatal=lost.append) as b:
            await b.call("S/steps", b"60")
            store.broken = True
            call = asyncio.ensure_future(b.engine.call(request("S/steps", b"1")))
            await until(lambda: bool(lost))
            assert store.on_loop[-1]
            assert not call.done()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(bounded(test()))
