"""Random operations from outside, crashes and time on one engine, compared with what a simple model allows.

`ENGINE_MODEL_COUNT` makes it run longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from restate_patterns.embedded.records import Record, Status
from restate_patterns.engine.errors import EngineError
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus, InvocationView
from restate_patterns.errors import InvocationNotFound, TerminalError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import Request, Target, ValueOrFailure
from tests.support.engines.engines import Bench, Functions, bench, bounded

COUNT = int(os.environ.get("ENGINE_MODEL_COUNT", "6"))
OPERATIONS = 60
KEYS = 4
FAILED = "E"
LETTERS = {"append": "a", "sleep": "s", "crash": "c", "awake": "w", "listen": "w", "send": "sent"}
DISTURBED = {"cancelled", "killed"}
NOT_STORED = {"info", "rows", "done", "calls", "timers", "delivered_count", "running", "in_ready_queue"}
NOT_STORED |= {"idle_since_ms", "last_sequence", "waits"}

app = Functions()
flaky = RetryPolicy(initial=timedelta(milliseconds=10), factor=1)
tries: dict[str, int] = {}
awakeables: dict[str, None] = {}
signals: dict[tuple[str, str], None] = {}
"""By the id of the invocation and the name; those that nobody has asked for yet, too."""


async def act(name: str, failures: int) -> bytes:
    """Fail the first times."""
    tries[name] = tries.get(name, 0) + 1
    if tries[name] <= failures:
        raise ValueError(name)
    return name.encode()


async def interpret(a: DurableAttempt, op: Sequence[Any]) -> Any:
    """Run one operation of a program; `allowed` says what it gives."""
    match op:
        case ["append", number]:
            found = json.loads(await a.get_state("log") or b"[]")
            a.set_state("log", json.dumps([*found, number]).encode())
            return "a"
        case ["sleep", ms]:
            await asyncio.sleep(ms / 1000)
            return "s"
        case ["step", name, failures]:
            return (await a.run(Step(name, retry=flaky), b"", lambda: act(name, failures))).decode()
        case ["crash", name, failures]:
            await act(name, failures)
            return "c"
        case ["awake"]:
            awakeable_id, answer = a.awakeable()
            awakeables[awakeable_id] = None
            return (await answer).decode()
        case ["listen", name]:
            signals[a.invocation.id, name] = None
            return (await a.signal(name)).decode()
        case ["call", key, idempotency_key, program]:
            target = Target("O", "run", key) if key else Target("S", "run")
            try:
                return json.loads(
                    await a.call(Request(target, json.dumps(program).encode(), {}, idempotency_key), None)
                )
            except TerminalError:
                return FAILED
        case ["send", key, delay_ms, program]:
            await a.send(Request(Target("O", "run", key), json.dumps(program).encode()), delay_ms)
            return "sent"
        case ["together", *rest]:
            return await asyncio.gather(*(interpret(a, each) for each in rest))
        case _:
            raise AssertionError(op)


async def run(a: DurableAttempt) -> bytes:
    return json.dumps([await interpret(a, op) for op in json.loads(a.invocation.body)]).encode()


app.exclusive("O/run", retry=flaky)(run)
app.handler("S/run", retry=flaky)(run)


def allowed(op: Any, value: Any, *, disturbed: bool) -> bool:
    """Tell whether an operation may have given this value."""
    match op:
        case ["call", _, _, program]:
            return (disturbed and value == FAILED) or all_allowed(program, value, disturbed=disturbed)
        case ["together", *rest]:
            return all_allowed(rest, value, disturbed=disturbed)
        case ["step", name, _]:
            return bool(value == name)
        case [kind, *_]:
            return bool(value == LETTERS[kind])
        case _:
            raise AssertionError(op)


def all_allowed(ops: Any, values: Any, *, disturbed: bool) -> bool:
    """Tell whether a program may have given these values."""
    return (
        isinstance(values, list)
        and len(ops) == len(values)
        and all(allowed(op, value, disturbed=disturbed) for op, value in zip(ops, values, strict=True))
    )


class World:
    """One engine, what is done to it, and what must be so afterwards."""

    def __init__(self, b: Bench, seed: int, *, disturb: bool) -> None:
        self.b = b
        self.random = random.Random(seed)
        self.disturb = disturb
        self.restarted = False
        self.numbers = 0
        self.programs: dict[str, list[Any]] = {}
        """By the id of what was accepted."""
        self.by_key: dict[str, str] = {}
        self.order: dict[str, list[int]] = {}
        """For each key the numbers in its undelayed sends, as accepted."""
        self.appended: dict[str, list[int]] = {}
        """For each key the numbers that must be in its log in the end."""

    def program(self, key: int, depth: int = 0) -> list[Any]:
        """Give a random program for a key; it calls only higher keys, so that it can't wait for itself."""
        self.numbers += 1
        program: list[Any] = []
        if 0 <= key < KEYS:
            program.append(["append", self.numbers])
            self.appended.setdefault(f"k{key}", []).append(self.numbers)
        return program + [self.operation(key, depth) for _ in range(self.random.randrange(4))]

    def operation(self, key: int, depth: int) -> list[Any]:
        """Give one random operation."""
        draw = self.random
        self.numbers += 1
        name = f"n{self.numbers}"
        kind = draw.choice(["sleep", "step", "crash", "awake", "listen", "call", "call", "send", "together"])
        if kind == "sleep":
            return ["sleep", draw.choice([0, 1, 50, 60_000])]
        if kind == "listen":
            return ["listen", name]
        if kind in ("step", "crash"):
            return [kind, name, draw.choice([0, 0, 1, 2])]
        if kind == "together" and depth < 2:
            return ["together", *(self.operation(key, depth + 1) for _ in range(draw.randrange(1, 4)))]
        if kind == "call" and depth < 3 and key + 1 < KEYS:
            callee = draw.randrange(key + 1, KEYS)
            if draw.randrange(3) == 0:
                return ["call", None, draw.choice([None, name]), self.program(KEYS, depth + 1)]
            return ["call", f"k{callee}", draw.choice([None, name]), self.program(callee, depth + 1)]
        if kind == "send" and depth < 3:
            callee = draw.randrange(KEYS)
            return ["send", f"k{callee}", draw.choice([0, 0, 30]), self.program(callee, depth + 1)]
        return ["awake"]

    async def submit(self) -> None:
        """Send a program, now or later, perhaps with an idempotency key."""
        key = self.random.randrange(KEYS)
        program = self.program(key)
        delay_ms = self.random.choice([None, None, None, 10, 70_000])
        idempotency_key = self.random.choice([None, f"i{self.numbers}"])
        request = Request(Target("O", "run", f"k{key}"), json.dumps(program).encode(), {}, idempotency_key)
        accepted = await bounded(self.b.engine.submit(request, delay_ms))
        assert not accepted.previously
        self.programs[accepted.invocation_id] = program
        signals.update(((accepted.invocation_id, op[1]), None) for op in program if op[0] == "listen")
        if delay_ms is None:
            self.order.setdefault(f"k{key}", []).append(program[0][1])
        if idempotency_key is not None and self.random.randrange(2):
            if self.random.randrange(2):
                await self.b.restart()
            again = await bounded(self.b.engine.submit(request, None))
            if not self.disturb:
                assert (again.invocation_id, again.previously) == (accepted.invocation_id, True)

    async def verb(self, *verbs: str) -> None:
        """Do something to an invocation that may be in any state."""
        found = await self.b.engine.list_invocations(InvocationFilter(), limit=1000)
        if not found:
            return
        chosen = [self.random.choice(found).id] * self.random.choice([1, 1, 2])
        asked: list[Awaitable[object]] = []
        for invocation_id in chosen:
            verb = self.random.choice(verbs)
            if verb == "restart_as_new":
                self.restarted = True
            asked.append(getattr(self.b.engine, verb)(invocation_id))
        for answer in await bounded(asyncio.gather(*asked, return_exceptions=True)):
            assert not isinstance(answer, BaseException) or isinstance(answer, (EngineError, InvocationNotFound)), (
                answer
            )

    async def answer(self) -> None:
        """Answer an awakeable or a signal, perhaps for the second time, perhaps early, perhaps from a lost tail."""
        if signals and self.random.randrange(2):
            await self.signal(self.random.choice(list(signals)))
        elif awakeables:
            awakeable_id = self.random.choice(list(awakeables))
            try:
                await bounded(self.b.engine.complete_awakeable(awakeable_id, ValueOrFailure(b"w", None)))
            except InvocationNotFound:
                awakeables.pop(awakeable_id)

    async def signal(self, signal: tuple[str, str]) -> None:
        """Answer a signal."""
        try:
            await bounded(self.b.engine.complete_signal(*signal, ValueOrFailure(b"w", None)))
        except InvocationNotFound:
            signals.pop(signal)

    async def turn(self) -> None:
        """Do one random thing."""
        kind = self.random.randrange(20)
        if kind < 6:
            await self.submit()
        elif kind < 9:
            await self.answer()
        elif kind < 11:
            await self.verb("pause", "resume")
        elif kind < 13:
            await self.b.restart()
        elif kind < 16:
            await self.b.advance(timedelta(milliseconds=self.random.choice([0, 5, 60, 60_000])))
            self.check_memory()
        elif kind < 18 and self.disturb:
            await self.verb("cancel", "kill", "purge", "restart_as_new", "pause")
        else:
            for _ in range(self.random.randrange(4)):
                await asyncio.sleep(0)

    async def finish(self) -> None:
        """Resume, answer and wait until everything has ended."""
        running: list[InvocationView] = []
        for _ in range(200):
            await self.b.advance(timedelta(seconds=100))
            running = [
                view
                for view in await self.b.engine.list_invocations(InvocationFilter(), limit=1000)
                if view.status is not InvocationStatus.COMPLETED
            ]
            if not running:
                return
            for view in running:
                if view.status is InvocationStatus.PAUSED:
                    await self.b.engine.resume(view.id)
            for awakeable_id in list(awakeables):
                try:
                    await self.b.engine.complete_awakeable(awakeable_id, ValueOrFailure(b"w", None))
                except InvocationNotFound:
                    awakeables.pop(awakeable_id)
            for signal in list(signals):
                await self.signal(signal)
        raise AssertionError(f"stuck: {[(view.id, view.status, view.waits_for) for view in running]}")

    def check_memory(self) -> None:
        """Check, when nothing is under way, that memory has what the file has."""
        core = self.b.engine.core
        for record in core.records.in_memory():
            (row,) = core.records.select("num=?", (record.num,))
            assert row is record
            (stored,) = self.b.store.read(f"SELECT {_columns()} FROM invocation WHERE num=?", (record.num,))
            assert _fields(core.records.from_row(stored)) == _fields(record)
            if record.rows is not None and record.status is not Status.COMPLETED:
                fresh = core.records.from_row(stored)
                core.records.load_rows(fresh)
                assert [(row.handle, row.value, row.commands) for row in fresh.rows or ()] == [
                    (row.handle, row.value, row.commands) for row in record.rows
                ]
                assert (fresh.done, fresh.calls, fresh.timers) == (record.done, record.calls, record.timers)
        for (service, key), entry in core.keys._entries.items():
            loaded = core.keys._load(service, key)
            assert (loaded.line, loaded.state, loaded.promises) == (entry.line, entry.state, entry.promises)

    async def check_end(self) -> None:
        """Check results, states and that nothing is left over."""
        for invocation_id, program in self.programs.items():
            try:
                result = await bounded(self.b.engine.result(invocation_id))
            except InvocationNotFound:
                assert self.disturb, "an accepted invocation is gone"
                continue
            if result.failure is not None:
                assert self.disturb, result.failure
                assert result.failure.message in DISTURBED
            else:
                assert all_allowed(program, json.loads(result.value or b""), disturbed=self.disturb)
        for key in (f"k{number}" for number in range(KEYS)):
            log = json.loads((await self.b.engine.get_state("O", key)).get("log", b"[]"))
            if not self.restarted:
                assert len(set(log)) == len(log), "something ran twice"
                ordered = [number for number in self.order.get(key, []) if number in log]
                assert [number for number in log if number in ordered] == ordered, "first in, first out"
            if not self.disturb:
                assert sorted(log) == sorted(self.appended.get(key, [])), "each ran once"
        read = self.b.store.read
        assert read("SELECT * FROM timer") == []
        assert read("SELECT * FROM step") == []
        for table in ("journal", "signal"):
            gone = f"SELECT 1 FROM {table} WHERE invocation NOT IN (SELECT num FROM invocation)"
            assert read(gone) == [], f"a {table} is left over"
        assert read("SELECT num FROM invocation WHERE queue_sequence IS NOT NULL") == []
        assert self.b.engine.core.records.in_memory() == [], "what has ended stays in memory"


def _columns() -> str:
    from restate_patterns.embedded.readback import COLUMNS

    return COLUMNS


def _fields(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in Record.__slots__ if name not in NOT_STORED}


async def play(seed: int, *, timeout_ms: int, disturb: bool, file: Path | None = None) -> None:
    """Do random things with one engine and check what came of them."""
    tries.clear()
    awakeables.clear()
    signals.clear()
    async with bench(app, file=file, timeout_ms=timeout_ms) as b:
        world = World(b, seed, disturb=disturb)
        for _ in range(OPERATIONS):
            await world.turn()
        await world.finish()
        world.check_memory()
        await world.check_end()


@pytest.mark.parametrize("disturb", [False, True], ids=["undisturbed", "disturbed"])
@pytest.mark.parametrize("timeout_ms", [0, 60_000], ids=["inactivity-0", "default"])
def test_the_engine_does_what_a_model_allows(timeout_ms: int, disturb: bool) -> None:
    for seed in range(COUNT):
        try:
            asyncio.run(play(seed, timeout_ms=timeout_ms, disturb=disturb))
        except BaseException as error:
            error.add_note(f"seed {seed}, timeout_ms={timeout_ms}, disturb={disturb}")
            raise


def test_the_engine_on_a_file_does_what_a_model_allows(tmp_path: Path) -> None:
    for seed in range(max(1, COUNT // 5)):
        try:
            asyncio.run(play(seed, timeout_ms=seed % 2, disturb=True, file=tmp_path / f"{seed}.db"))
        except BaseException as error:
            error.add_note(f"seed {seed} on a file")
            raise
