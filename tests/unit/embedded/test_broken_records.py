"""Records in the file that can't be read: each costs its own invocation, the engine starts, and the others go on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from restate_patterns.embedded import columns, readback
from restate_patterns.embedded import keys as keys_module
from restate_patterns.embedded.codec import UnwrittenError
from restate_patterns.engine.errors import CancelRefused
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import Request, Target, ValueOrFailure
from tests.support.engines.engines import Bench, Functions, bench, bounded

app: Final = Functions()


async def nothing() -> bytes:
    """Give what a step that does nothing gives."""
    return b"nothing"


@app.handler("S/well")
async def well(a: DurableAttempt) -> bytes:
    return await a.run(Step("well"), b"", nothing)


@app.exclusive("O/hold")
async def hold(a: DurableAttempt) -> bytes:
    await a.run(Step("before"), b"", nothing)
    a.set_state("held", b"1")
    _, answer = a.awakeable()
    await asyncio.wait_for(asyncio.ensure_future(answer), 1000)
    return b"held"


@app.exclusive("O/note")
async def note(a: DurableAttempt) -> bytes:
    return await a.get_state("held") or b"nothing"


@app.handler("S/sleep")
async def sleep(a: DurableAttempt) -> bytes:
    await asyncio.sleep(100)
    return b"slept"


@app.handler("S/call")
async def call(a: DurableAttempt) -> bytes:
    return await a.call(Request(Target("S", "sleep"), b""), None)


@app.handler("S/fail")
async def fail(a: DurableAttempt) -> bytes:
    await a.run(Step("before"), b"", nothing)
    raise RuntimeError("no luck")


@app.workflow("W")
async def run(a: DurableAttempt) -> bytes:
    return await a.promise_value("answer")


@app.shared("W/answer")
async def answer(a: DurableAttempt) -> bytes:
    await a.promise_complete("answer", ValueOrFailure(b"yes", None))
    return b""


BY_COLUMN: Final = {
    "headers": ["'{'", "'[1]'", "'{\"x\": 5}'", "x'ff00'", "''"],
    "status": ["9", "-1", "'gone'"],
    "waits": ["'[['", "'5'", "'[\"a\"]'"],
    "output_failure": ["'{'", "'[]'", "'[\"a\", 1, 2]'"],
    "key": ["x'ff'", "CAST(x'ff' AS TEXT)"],
    "epoch": ["'first'"],
    "created_ms": ["'then'", "1.5"],
    "first_handle": ["'none'"],
    "failed_count": ["x'00'"],
    "caller": ["'nobody'"],
    "failure": ["x'ff'", "CAST(x'ff' AS TEXT)"],
    "retry_at_ms": ["'soon'"],
    "service": ["CAST(x'ff' AS TEXT)"],
    "idempotency_key": ["x'00'"],
}
IN_JOURNAL: Final = {
    "commands": ["x'ff'", "x'03'", "x'0300000000ff00000008'", "x'0000'", "'text'", "5", "CAST(x'ff' AS TEXT)"],
    "value": ["5"],
    "failure": ["'{'", "'[1]'", "x'ff'"],
    "time_ms": ["'then'"],
    "handle": ["'first'", "x'00'"],
    "idx": ["idx + 3"],
}
PLACES: Final = ["O/k/hold", "S/sleep", "S/fail", "S/call"]


def spoil(file: Path, sql: str, *parameters: object) -> None:
    """Change a file that nobody has open."""
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute(sql, parameters).rowcount > 0, sql
        connection.commit()


async def prepare(file: Path, *paths: str, timeout_ms: int = 60_000) -> dict[str, int]:
    """Leave invocations in a file, and others beside them; give their ids, each with its number."""
    async with bench(app, file=file, timeout_ms=timeout_ms) as b:
        sent = [await b.send(path) for path in paths]
        await b.settle()
        await b.send("S/well")
        await b.settle()
        return {id_: number(b, id_) for id_ in sent}


def number(b: Bench, invocation_id: str) -> int:
    """Give the number of an invocation."""
    identity = b.engine.core.ids.read_invocation(invocation_id)
    assert identity is not None
    return identity.num


async def others_go_on(b: Bench) -> None:
    """Expect that the engine does all that has nothing to do with the broken one."""
    assert await b.call("S/well") == b"nothing"
    assert await b.call("O/other/note") == b"nothing"
    waiting = await b.send("S/sleep")
    await b.advance(timedelta(seconds=200))
    assert (await bounded(b.engine.result(waiting))).value == b"slept"


async def is_paused(b: Bench, invocation_id: str, words: str) -> None:
    """Expect that an invocation is paused, and says what can't be read."""
    view = (await bounded(b.engine.describe_invocation(invocation_id))).view
    assert view.status is InvocationStatus.PAUSED, view
    assert words in (view.last_failure or ""), view.last_failure


BOTH: Final = pytest.mark.parametrize("timeout_ms", [60_000, 0], ids=["in memory", "suspended"])


def paths_of(path: str, cases: list[tuple[str, str]]) -> list[str]:
    """Give a path for each case, with keys of their own."""
    return [path.replace("/k/", f"/k{n}/") for n in range(len(cases))]


@BOTH
@pytest.mark.parametrize("path", PLACES[:2])
def test_rows_that_can_not_be_read_pause_their_invocations(path: str, timeout_ms: int, tmp_path: Path) -> None:
    file = tmp_path / "e.db"
    cases = [(column, value) for column, values in BY_COLUMN.items() for value in values]

    async def test() -> None:
        sent = await prepare(file, *paths_of(path, cases), timeout_ms=timeout_ms)
        for num, (column, value) in zip(sent.values(), cases, strict=True):
            spoil(file, f"UPDATE invocation SET {column}={value} WHERE num=?", num)
        async with bench(app, file=file, timeout_ms=timeout_ms) as b:
            await b.settle()
            await others_go_on(b)
            for id_, (column, _) in zip(sent, cases, strict=True):
                if column != "epoch":  # else the id itself is another one
                    await is_paused(b, id_, f"its stored {column} can't be read")
                    with pytest.raises(CancelRefused):
                        await b.engine.cancel(id_)
            await b.restart()
            await others_go_on(b)
            for id_, (column, _) in zip(sent, cases, strict=True):
                if column != "epoch":
                    assert (await b.engine.describe_invocation(id_)).view.status is InvocationStatus.PAUSED
                    await b.engine.kill(id_)
                    assert (await bounded(b.engine.result(id_))).failure is not None

    asyncio.run(bounded(test()))


@BOTH
@pytest.mark.parametrize("path", PLACES)
def test_journals_that_can_not_be_read_pause_their_invocations(path: str, timeout_ms: int, tmp_path: Path) -> None:
    file = tmp_path / "e.db"
    cases = [(column, value) for column, values in IN_JOURNAL.items() for value in values]

    async def test() -> None:
        sent = await prepare(file, *paths_of(path, cases), timeout_ms=timeout_ms)
        for num, (column, value) in zip(sent.values(), cases, strict=True):
            spoil(
                file,
                f"UPDATE journal SET {column}={value} WHERE invocation=? AND idx="
                "(SELECT max(idx) FROM journal WHERE invocation=?)",
                num,
                num,
            )
        async with bench(app, file=file, timeout_ms=timeout_ms) as b:
            await b.advance(timedelta(seconds=1_100))  # what it waits for comes, or it is tried again
            await others_go_on(b)
            for id_ in sent:
                await is_paused(b, id_, "of its journal")
            await b.restart()
            for id_ in sent:
                await b.engine.resume(id_)
            await b.settle()
            for id_ in sent:
                await is_paused(b, id_, "of its journal")
                assert await b.engine.restart_as_new(id_) == id_
            await b.advance(timedelta(seconds=1))
            for id_, case in zip(sent, cases, strict=True):
                status = (await b.engine.describe_invocation(id_)).view.status
                assert status is not InvocationStatus.PAUSED, case
                await b.engine.kill(id_)
            if path == "O/k/hold":
                assert await b.call("O/k0/note") == b"1"

    asyncio.run(bounded(test()))


def test_what_came_meanwhile_is_there_when_the_record_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "e.db"

    async def test() -> None:
        ((sent, num),) = (await prepare(file, "S/sleep")).items()
        with closing(sqlite3.connect(file)) as connection:
            ((commands,),) = connection.execute("SELECT commands FROM journal WHERE invocation=? AND idx=0", (num,))
        spoil(file, "UPDATE journal SET commands=x'ff' WHERE invocation=? AND idx=0", num)
        async with bench(app, file=file) as b:
            await b.advance(timedelta(seconds=300))
            await is_paused(b, sent, "entry 0 of its journal can't be read")
        spoil(file, "UPDATE journal SET commands=? WHERE invocation=? AND idx=0", commands, num)
        async with bench(app, file=file) as b:
            await b.engine.resume(sent)
            assert (await bounded(b.engine.result(sent))).value == b"slept"

    asyncio.run(bounded(test()))


def test_a_broken_one_in_a_line_takes_its_turn_once_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "e.db"

    async def test() -> None:
        async with bench(app, file=file) as b:
            held = await b.send("O/k/hold")
            queued = await b.send("O/k/note")
            behind = await b.send("O/k/note")
            await b.settle()
            num = number(b, queued)
        spoil(file, "UPDATE invocation SET headers='{' WHERE num=?", num)
        async with bench(app, file=file) as b:
            await b.settle()
            await is_paused(b, queued, "headers can't be read")
            await b.engine.resume(queued)
            await b.settle()
            await is_paused(b, queued, "headers can't be read")
        spoil(file, "UPDATE invocation SET headers='{}' WHERE num=?", num)
        async with bench(app, file=file) as b:
            await b.engine.resume(queued)
            await b.settle()
            assert (await b.engine.describe_invocation(queued)).view.status is InvocationStatus.QUEUED
            await b.engine.kill(held)
            assert (await bounded(b.engine.result(queued))).value == b"1"
            assert (await bounded(b.engine.result(behind))).value == b"1"

    asyncio.run(bounded(test()))


def test_one_that_never_had_its_key_waits_for_it_when_it_is_restarted(tmp_path: Path) -> None:
    file = tmp_path / "e.db"

    async def test() -> None:
        async with bench(app, file=file) as b:
            held = await b.send("O/k/hold")
            later = await b.send("O/k/note", delay_ms=60_000)
            await b.settle()
            num = number(b, later)
        spoil(file, "UPDATE timer SET due_ms='soon' WHERE invocation=?", num)
        async with bench(app, file=file) as b:
            await b.settle()
            await is_paused(b, later, "the stored time of one of its timers can't be read")
            assert await b.engine.restart_as_new(later) == later
            await b.settle()
            assert (await b.engine.describe_invocation(later)).view.status is InvocationStatus.QUEUED
            await b.engine.kill(held)
            assert (await bounded(b.engine.result(later))).value == b"1"

    asyncio.run(bounded(test()))


@pytest.mark.parametrize("value", ["'soon'", "x'00'", "9e18 * 9"])
def test_a_timer_that_can_not_be_read_pauses_who_waits_for_it(value: str, tmp_path: Path) -> None:
    file = tmp_path / "e.db"

    async def test() -> None:
        (sent,) = await prepare(file, "S/sleep")
        spoil(file, f"UPDATE timer SET due_ms={value}")
        async with bench(app, file=file) as b:
            await others_go_on(b)
            await is_paused(b, sent, "the stored time of one of its timers can't be read")

    asyncio.run(bounded(test()))


@pytest.mark.parametrize("value", ["'{'", "'[1]'", "x'ff'", "CAST(x'ff' AS TEXT)"])
def test_a_promise_that_can_not_be_read_pauses_who_asks_for_it(value: str, tmp_path: Path) -> None:
    file = tmp_path / "e.db"

    async def test() -> None:
        async with bench(app, file=file) as b:
            await b.call("W/w/answer")
        spoil(file, f"UPDATE promise SET failure={value}")
        async with bench(app, file=file) as b:
            sent = await b.send("W/w/run")
            await b.settle()
            await is_paused(b, sent, "the stored answer of the promise 'answer' of W can't be read")
            await others_go_on(b)

    asyncio.run(bounded(test()))


def test_a_state_that_somebody_wrote_as_text_is_read(tmp_path: Path) -> None:
    file = tmp_path / "e.db"

    async def test() -> None:
        (held,) = await prepare(file, "O/k/hold")
        spoil(file, "UPDATE state SET value='written by hand'")
        async with bench(app, file=file) as b:
            await b.engine.kill(held)
            assert await b.call("O/k/note") == b"written by hand"

    asyncio.run(bounded(test()))


@pytest.mark.parametrize("column", ["output", "output_failure", "headers", "failure"])
def test_a_result_that_can_not_be_read_says_so(column: str, tmp_path: Path) -> None:
    file = tmp_path / "e.db"

    async def test() -> None:
        (sent,) = await prepare(file, "S/well")
        spoil(file, f"UPDATE invocation SET {column}=5")
        async with bench(app, file=file) as b:
            result = await bounded(b.engine.result(sent))
            if column.startswith("output"):
                assert result.failure is not None
                assert f"its stored {column} can't be read" in result.failure.message
            else:
                assert result.value == b"nothing"
            assert await b.call("S/well") == b"nothing"

    asyncio.run(bounded(test()))


DECODERS: Final = [
    (readback, "decode_commands"),
    (readback, "failure_from_text"),
    (columns, "failure_from_text"),
    (columns, "headers_from_text"),
]


@pytest.mark.parametrize("raised", [OverflowError, RecursionError, KeyError, UnwrittenError, MemoryError, LookupError])
@pytest.mark.parametrize(("module", "name"), [*DECODERS, (keys_module, "failure_from_text")])
def test_whatever_a_decoder_raises_the_engine_starts(
    module: Any, name: str, raised: Callable[[str], Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "e.db"

    def decode(data: object) -> object:
        raise raised("planted")

    async def test() -> None:
        sent = list(await prepare(file, "S/sleep", "O/k/hold"))
        with monkeypatch.context() as planted:
            planted.setattr(module, name, decode)
            async with bench(app, file=file) as b:
                await b.settle()
                await b.send("S/well")
        async with bench(app, file=file) as b:
            await others_go_on(b)
            for each in sent:
                if (await b.engine.describe_invocation(each)).view.status is InvocationStatus.PAUSED:
                    await b.engine.resume(each)
            await b.advance(timedelta(seconds=300))
            assert (await bounded(b.engine.result(sent[0]))).value == b"slept"

    asyncio.run(bounded(test()))
