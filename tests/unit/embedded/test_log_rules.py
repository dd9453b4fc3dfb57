"""Rules D of the execution rules: the log, what waits for it, and time. One test or more for each number."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from restate_patterns.embedded.file_errors import FileOwnedError
from restate_patterns.embedded.store import Store, StoreBusyError
from restate_patterns.errors import InvocationNotFound
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import ValueOrFailure
from tests.support.engines.engines import Bench, Functions, bench, bounded, request, until

app = Functions()
effects: list[str] = []


@app.handler("S/echo")
async def echo(a: DurableAttempt) -> bytes:
    return a.invocation.body


@app.handler("S/step")
async def step(a: DurableAttempt) -> bytes:
    async def act() -> bytes:
        effects.append(a.invocation.id)
        return b"done"

    return await a.run(Step("act"), b"", act)


@app.handler("S/parent")
async def parent(a: DurableAttempt) -> bytes:
    return b"".join([await a.call(request("O/k/add"), None) for _ in range(3)])


@app.exclusive("O/add")
async def add(a: DurableAttempt) -> bytes:
    count = int(await a.get_state("count") or b"0") + 1
    a.set_state("count", b"%d" % count)
    return b"%d" % count


@app.exclusive("O/set_and_wait")
async def set_and_wait(a: DurableAttempt) -> bytes:
    for value in (b"one", b"two"):
        a.set_state("value", value)
        _, answer = a.awakeable()
        a.set_state("awakeable", _.encode())
        await answer
    return b""


@app.shared("O/read")
async def read(a: DurableAttempt) -> bytes:
    return await a.get_state(a.invocation.body.decode()) or b"none"


@app.workflow("W", retention=timedelta(hours=1))
async def run(a: DurableAttempt) -> bytes:
    a.set_state("kept", b"yes")
    return b""


@app.shared("W/later")
async def later(a: DurableAttempt) -> bytes:
    await asyncio.sleep(7200)
    return await a.get_state("kept") or b"gone"


class GatedStore(Store):
    """A store whose commits wait at a gate, in the writer thread."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.gate = threading.Event()
        self.gate.set()

    @override
    def commit(self) -> None:
        assert self.gate.wait(20)
        super().commit()


def drive(test: object) -> None:
    effects.clear()
    asyncio.run(bounded(test))  # type: ignore[arg-type] # each is a coroutine


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0.001)


def test_rule_17_one_sequence_number_orders_everything() -> None:
    async def test() -> None:
        async with bench(app) as b:
            log = b.engine.core.log
            seen = [log.sequence, log.durable_sequence]
            log.when_durable(log.sequence + 2, lambda: seen.append(log.durable_sequence))
            assert [log.append(), log.append()] == [seen[0] + 1, seen[0] + 2]
            assert log.durable_sequence == seen[1], "nothing is durable before its batch"
            await log.durable(log.sequence)
            assert seen[2] >= seen[0] + 2

    drive(test())


def test_rule_18_nothing_is_answered_or_started_before_it_is_durable(tmp_path: Path) -> None:
    async def test() -> None:
        store = GatedStore(tmp_path / "e.db")
        async with bench(app, store=store) as b:
            waiting = await b.send("O/k/set_and_wait")
            awakeable = (await b.call("O/k/read", b"awakeable")).decode()
            running = await b.send("W/w/later")
            unknown = b.engine.core.ids.invocation(10_000, 1)
            store.gate.clear()
            log = b.engine.core.log
            log.append()
            asked = {
                "result": b.engine.call(request("S/echo", b"x")),
                "step": b.engine.call(request("S/step")),
                "send": b.engine.submit(request("S/echo"), None),
                "output that is not there": b.engine.output(waiting),
                "404": b.engine.output(unknown),
                "awakeable": b.engine.complete_awakeable(awakeable, ValueOrFailure(b"", None)),
                "cancel": b.engine.cancel(running),
                "state": b.engine.get_state("O", "k"),
                "list": b.engine.describe_invocation(waiting),
            }
            answers = {name: asyncio.ensure_future(ask) for name, ask in asked.items()}
            await turns()
            assert [name for name, answer in answers.items() if answer.done()] == []
            assert effects == [], "no action before its barrier"
            store.gate.set()
            await bounded(asyncio.wait(answers.values()))
            assert isinstance(answers["404"].exception(), InvocationNotFound)
            assert len(effects) == 1

    drive(test())


def test_rule_19_memory_decides_before_the_file_knows(tmp_path: Path) -> None:
    async def test() -> None:
        store = GatedStore(tmp_path / "e.db")
        async with bench(app, store=store) as b:
            store.gate.clear()
            calls = [asyncio.ensure_future(b.call("O/k/add", idempotency_key="one")) for _ in range(3)]
            runs = [asyncio.ensure_future(b.engine.submit(request("W/w/run"), None)) for _ in range(2)]
            await turns(10)
            assert store.read("SELECT count(*) FROM invocation") == [(0,)], "the file knows nothing yet"
            store.gate.set()
            assert [await call for call in calls] == [b"1"] * 3
            first, second = [await run for run in runs]
            assert first.invocation_id == second.invocation_id
            assert (first.previously, second.previously) == (False, True)

    drive(test())


def test_rule_20_a_batch_that_failed_comes_before_the_next_one(tmp_path: Path) -> None:
    async def test() -> None:
        class Busy(Store):
            failing = 0

            @override
            def commit(self) -> None:
                if self.failing:
                    self.failing -= 1
                    self._open_writer.execute("ROLLBACK")
                    raise StoreBusyError("busy")
                super().commit()

        store = Busy(tmp_path / "e.db")
        async with bench(app, store=store) as b:
            store.failing = 3
            order: list[int] = []
            log = b.engine.core.log
            first = asyncio.ensure_future(b.call("S/echo", b"1"))
            await until(lambda: log.full)
            log.when_durable(log.sequence, lambda: order.append(1))
            log.append()
            log.when_durable(log.sequence, lambda: order.append(2))
            assert not first.done()
            while not first.done():
                b.clock.step_to(b.clock.monotonic_ms() + 250)
                await asyncio.sleep(0.001)
            await log.durable(log.sequence)
            assert order == [1, 2]
            assert await first == b"1"

    drive(test())


def test_rule_21_an_output_its_callers_completion_and_the_keys_release_are_one_batch() -> None:
    async def test() -> None:
        class Checked(Store):
            checks = 0

            @override
            def commit(self) -> None:
                super().commit()
                for caller, handle, callee in self.read(
                    "SELECT caller, caller_handle, num FROM invocation "
                    "WHERE status = 6 AND caller IS NOT NULL AND caller_handle >= 0"
                ):
                    self.checks += 1
                    told = self.read("SELECT 1 FROM journal WHERE invocation=? AND handle=?", (caller, handle))
                    assert told, f"{callee} has its output, and its caller does not know"
                held = self.read("SELECT num FROM invocation WHERE status = 6 AND queue_sequence IS NOT NULL")
                assert held == [], "a completed invocation holds its key"

        store = Checked(":memory:")
        async with bench(app, store=store, timeout_ms=0) as b:
            await asyncio.gather(*(b.call("S/parent") for _ in range(10)))
            assert await b.call("O/k/add") == b"31"
            assert store.checks > 0

    drive(test())


def test_rule_23_closing_the_file_elsewhere_keeps_the_lock(tmp_path: Path) -> None:
    store = Store(tmp_path / "e.db")
    store.open()
    os.close(os.open(tmp_path / "e.db", os.O_RDONLY))
    with pytest.raises(FileOwnedError):
        Store(tmp_path / "e.db").open()
    store.close()


def test_rule_24_time_never_goes_back_and_overdue_timers_fire_in_order(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        ordered = Functions()

        @ordered.handler("S/at")
        async def at(a: DurableAttempt) -> bytes:
            await asyncio.sleep(int(a.invocation.body))
            effects.append(a.invocation.body.decode())
            return b"%d" % a.now_ms()

        async with bench(ordered) as b:
            for seconds in (30, 10, 20):
                await b.send("S/at", b"%d" % seconds)
            await b.settle()
            before_ms = b.engine.core.log.now_ms()
            await b.engine.crash()
            b.clock.set_wall(before_ms - 3_600_000)
            with caplog.at_level(logging.WARNING):
                await b.restart()
            assert "behind the file" in caplog.text
            assert b.engine.core.log.now_ms() >= before_ms
            assert effects == []
            await b.engine.crash()
            b.clock.set_wall(before_ms + 60_000)
            await b.restart()
            await b.settle()
            assert effects == ["10", "20", "30"]

    drive(test())


def test_rule_25_retention_waits_for_what_runs_on_the_key() -> None:
    async def test() -> None:
        async with bench(app) as b:
            await b.call("W/w/run")
            reading = asyncio.ensure_future(b.call("W/w/later"))
            await b.advance(timedelta(minutes=90))
            assert await b.engine.get_state("W", "w") == {"kept": b"yes"}, "a handler may still want it"
            await b.advance(timedelta(minutes=40))
            assert await reading == b"yes"
            await b.advance(timedelta(minutes=5))
            assert await b.engine.get_state("W", "w") == {}

    drive(test())


def test_rule_26_shared_handlers_see_each_write_as_it_is_applied() -> None:
    async def test() -> None:
        async with bench(app) as b:
            await b.send("O/k/set_and_wait")
            for value in (b"one", b"two"):
                assert await b.call("O/k/read", b"value") == value
                await _answer(b)

    drive(test())


async def _answer(b: Bench) -> None:
    awakeable = await b.call("O/k/read", b"awakeable")
    await b.engine.complete_awakeable(awakeable.decode(), ValueOrFailure(b"", None))
    await b.settle()
