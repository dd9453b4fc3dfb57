"""Each encoder of the engine fails in turn, and each kind of row is refused by SQLite in turn.

That costs the invocation whose value it was; the log goes on, in this process and in the next.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import pytest

from restate_patterns.embedded import batch as batch_module
from restate_patterns.embedded import row_sql
from restate_patterns.embedded.keys import PromiseAnswer
from restate_patterns.embedded.operations import JournalOperations
from restate_patterns.embedded.records import Command, Record
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.errors import Failure, TerminalError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import Request, Target, ValueOrFailure
from tests.support.engines.engines import Bench, Functions, bench, bounded

POISON: Final = "poison"
HUGE: Final = 2**70

app: Final = Functions()


async def nothing() -> bytes:
    """Give what a step that does nothing gives."""
    return b"nothing"


@app.handler("S/well")
async def well(a: DurableAttempt) -> bytes:
    return await a.run(Step("well"), b"", nothing)


@app.exclusive("O/note")
async def note(a: DurableAttempt) -> bytes:
    found = await a.get_state("notes") or b""
    a.set_state("notes", found + b".")
    return found + b"."


async def told(a: DurableAttempt) -> None:
    """Leave something behind in others, in the drain that breaks."""
    await a.send(Request(Target("O", "note", "other"), b""), 0)


def inside(a: DurableAttempt) -> tuple[Any, Record]:
    """Give the parts of the engine and the record behind an attempt."""
    operations = cast("JournalOperations", a._operations)
    return operations._parts, operations._record


@app.exclusive("O/poison_state")
async def poison_state(a: DurableAttempt) -> bytes:
    await told(a)
    parts, record = inside(a)
    a.set_state("fine", b"1")
    parts.keys.set_state(parts.keys.of(record), "state", cast("bytes", object()))
    a.set_state("state", b"journaled")
    parts.log.open.states[("O", record.key or "", "state")] = object()
    await asyncio.sleep(1000)
    return b""


@app.workflow("W")
async def poison_promise(a: DurableAttempt) -> bytes:
    await told(a)
    parts, record = inside(a)
    await a.promise_complete("answer", ValueOrFailure(b"1", None))
    parts.log.open.promises[("W", record.key or "", "answer")] = PromiseAnswer(cast("bytes", object()), None)
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_timer")
async def poison_timer(a: DurableAttempt) -> bytes:
    await told(a)
    parts, record = inside(a)
    parts.timers.add(record.num, 77, HUGE)
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_waiter")
async def poison_waiter(a: DurableAttempt) -> bytes:
    await told(a)
    parts, record = inside(a)
    parts.log.open.waiters[(cast("str", object()), record.num, 1)] = True
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_idempotency")
async def poison_idempotency(a: DurableAttempt) -> bytes:
    await told(a)
    parts, record = inside(a)
    parts.log.open.idempotency[("S", "", "x", cast("str", object()))] = record.num
    parts.log.append()
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_step_count")
async def poison_step_count(a: DurableAttempt) -> bytes:
    await told(a)
    parts, record = inside(a)
    parts.log.open.steps[(record.num, 5)] = (1, None)  # a failure is never NULL in the file
    parts.log.touch(record)
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_row")
async def poison_row(a: DurableAttempt) -> bytes:
    await told(a)
    parts, record = inside(a)
    assert record.rows is not None
    parts.journals.append(record, 55, cast("bytes", object()))
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_handle")
async def poison_handle(a: DurableAttempt) -> bytes:
    await told(a)
    parts, record = inside(a)
    parts.journals.append(record, HUGE, b"")
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_commands")
async def poison_commands(a: DurableAttempt) -> bytes:
    await told(a)
    await a.run(Step(POISON), b"", nothing)
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_record")
async def poison_record(a: DurableAttempt) -> bytes:
    await told(a)
    _, record = inside(a)
    record.failed_count = HUGE
    await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_failure")
async def poison_failure(a: DurableAttempt) -> bytes:
    async def fail() -> bytes:
        raise TerminalError(POISON)

    await told(a)
    try:
        await a.run(Step("fail"), b"", fail)
    except TerminalError:
        await asyncio.sleep(1000)
    return b""


@app.handler("S/poison_output")
async def poison_output(a: DurableAttempt) -> bytes:
    await told(a)
    raise TerminalError(POISON)


@app.handler("S/poison_behind_it")
async def poison_behind_it(a: DurableAttempt) -> bytes:
    try:
        await a.send(Request(Target("S", POISON), b""), 0)
    except TerminalError:
        return b"done"
    return b"sent"


def failing(encoder: Callable[..., Any], is_poison: Callable[..., bool]) -> Callable[..., Any]:
    """Make an encoder that fails for the poison."""

    @functools.wraps(encoder)
    def encode(*args: Any) -> Any:
        if is_poison(*args):
            raise OverflowError("planted")
        return encoder(*args)

    return encode


def _names(commands: Any) -> bool:
    return any(isinstance(command, Command) and command.name.endswith(POISON) for command in commands)


def _says(failure: Failure | None) -> bool:
    return failure is not None and failure.message == POISON


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (row_sql, batch_module):
        monkeypatch.setattr(module, "encode_commands", failing(module.encode_commands, _names))
        monkeypatch.setattr(module, "failure_text", failing(module.failure_text, _says))


FAULTS: Final = {
    "O/p/poison_state": "the state 'state' can't be written",
    "W/p/run": "the promise 'answer' can't be written",
    "S/poison_timer": "a timer can't be written",
    "S/poison_waiter": "",
    "S/poison_idempotency": "its idempotency key can't be written",
    "S/poison_step_count": "a failed try of a step can't be written",
    "S/poison_row": "entry 1 of its journal can't be written",
    "S/poison_handle": "entry 1 of its journal can't be written",
    "S/poison_commands": "entry 0 of its journal can't be written: OverflowError: planted",
    "S/poison_record": "can't be written",
    "S/poison_failure": "of its journal can't be written: OverflowError: planted",
}


async def expect_paused(b: Bench, invocation_id: str, words: str) -> None:
    """Expect that an invocation is paused for a reason."""
    view = (await bounded(b.engine.describe_invocation(invocation_id))).view
    assert view.status is InvocationStatus.PAUSED, view
    assert words in (view.last_failure or ""), view.last_failure


@pytest.mark.parametrize("in_file", [False, True], ids=["in memory", "in a file"])
@pytest.mark.parametrize("path", FAULTS)
def test_a_value_that_breaks_the_batch_costs_its_own_invocation(path: str, in_file: bool, tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db" if in_file else None) as b:
            together = [b.engine.call(Request(Target("S", "well"), b"")) for _ in range(3)]
            asked = asyncio.gather(*together)
            poisoned = await b.send(path)
            assert [result.value for result in await bounded(asked)] == [b"nothing"] * 3
            await b.settle()
            await expect_paused(b, poisoned, FAULTS[path])
            assert await b.call("O/other/note") == b"..", "what it did to others stays"
            await b.restart()
            await b.settle()
            assert await b.call("S/well") == b"nothing"
            assert await b.call("O/other/note") == b"..."
            await expect_paused(b, poisoned, "can't be written")
            await b.engine.resume(poisoned)
            await b.settle()
            assert await b.call("O/other/note") == b"....", "it was not sent again"
            await b.engine.kill(poisoned)
            await b.restart()
            assert await b.call("O/p/note") == b"."

    asyncio.run(bounded(test()))


def test_a_result_that_can_not_be_written_is_a_failure_that_says_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            poisoned = await b.send("S/poison_output")
            await b.settle()
            for _ in range(2):
                failure = (await bounded(b.engine.result(poisoned))).failure
                assert failure is not None
                assert "can't be written: OverflowError: planted" in failure.message
                assert await b.call("S/well") == b"nothing"
                await b.restart()
            assert await b.call("O/other/note") == b".."

    asyncio.run(bounded(test()))


def test_what_has_ended_stays_as_it_ended_without_the_entry_that_can_not_be_written(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            poisoned = await b.send("S/poison_behind_it")
            for _ in range(2):
                await b.settle()
                assert (await bounded(b.engine.result(poisoned))).value == b"done"
                await b.engine.describe_invocation(poisoned)
                assert await b.call("S/well") == b"nothing"
                await b.restart()

    asyncio.run(bounded(test()))


@pytest.mark.parametrize(
    "request_",
    [
        Request(Target("S", "well"), b"", {"x": cast("str", object())}),
        Request(Target("S", "well"), cast("bytes", object())),
        Request(Target("O", "note", "line"), b"", {"x": cast("str", object())}),
    ],
    ids=["headers", "body", "headers in a line"],
)
def test_a_request_that_can_not_be_written_is_paused(request_: Request, tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(app, file=tmp_path / "e.db") as b:
            bad, good = await bounded(
                asyncio.gather(
                    *[b.engine.submit(request_, 1000), b.engine.submit(Request(Target("S", "well"), b""), None)]
                )
            )
            assert (await bounded(b.engine.result(good.invocation_id))).value == b"nothing"
            await expect_paused(b, bad.invocation_id, "the invocation can't be written")
            await b.restart()
            assert await b.call("S/well") == b"nothing"
            await expect_paused(b, bad.invocation_id, "can't be written")
            await b.engine.resume(bad.invocation_id)
            await b.settle()
            await expect_paused(b, bad.invocation_id, "can't be written")
            await b.engine.kill(bad.invocation_id)
            assert await b.call("O/line/note") == b"."

    asyncio.run(bounded(test()))
