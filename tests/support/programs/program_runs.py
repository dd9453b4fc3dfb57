"""Programs on the in-memory backend: run them, crash them, and compare with what they must give."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from typing_extensions import override

from restate_patterns.errors import Failure
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.seam import AttemptEnd, Failed, Request, Succeeded, Target
from tests.support.engines.memory_backend import Main, Outcome, World
from tests.support.engines.memory_host import Host, run_to_end
from tests.support.programs.programs import (
    Durable,
    Interpreter,
    Outside,
    Program,
    ProgramError,
    StepNode,
    Value,
    expected,
)


class AttemptDurable(Durable):
    """The primitives of a program, straight on an attempt."""

    def __init__(self, attempt: DurableAttempt) -> None:
        self._attempt = attempt

    @override
    async def step(self, name: str, action: Callable[[], Awaitable[str]]) -> str:
        async def act() -> bytes:
            return (await action()).encode()

        return (await self._attempt.run(Step(name), b"", act)).decode()

    @override
    async def call(self, label: str) -> str:
        return (await self._attempt.call(Request(Target("Peer", label)), None)).decode()

    @override
    async def get(self, key: str) -> str | None:
        value = await self._attempt.get_state(key)
        return None if value is None else value.decode()

    @override
    def set(self, key: str, value: str) -> None:
        self._attempt.set_state(key, value.encode())

    @override
    async def awakeable(self, label: str) -> str:
        _, wait = self._attempt.awakeable()
        await wait
        return label


@dataclass
class Effects(Outside):
    """What steps did: how often each was tried, and when each try began and ended."""

    clock_sleep: Callable[[float], Awaitable[None]] | None = None
    tries: dict[str, int] = field(default_factory=dict)

    @override
    async def perform(self, step: StepNode) -> str:
        tries = self.tries[step.label] = self.tries.get(step.label, 0) + 1
        assert self.clock_sleep is not None
        await self.clock_sleep(step.duration_ms)
        if step.label != "seen" and tries <= step.flaky_count:
            raise ConnectionError(f"{step.label} is flaky")
        if step.fails:
            raise ProgramError(message=step.label)
        return step.label


def peer(world_seed: int) -> Callable[[str, str], Outcome]:
    """Answer calls with their label after some milliseconds that depend on it."""

    def answer(kind: str, what: str) -> Outcome:
        delay_ms = float(sum(what.encode()) * (world_seed + 7) % 11)
        if what.startswith("fail"):
            return Outcome(delay_ms, None, Failure(422, what))
        return Outcome(delay_ms, what.encode())

    return answer


def main_of(program: Program, effects: Effects) -> Main:
    """Make the handler that runs a program and gives its value as JSON."""

    async def main(attempt: DurableAttempt) -> bytes:
        return json.dumps(await Interpreter(AttemptDurable(attempt), effects).run(program)).encode()

    return main


def world_of(program: Program, seed: int) -> World:
    """Make the world of one run of a program."""
    effects = Effects()
    world = World(main_of(program, effects), peer(seed), seed=seed)
    effects.clock_sleep = world.clock.sleep
    world.reads_suspend = seed % 2 == 1
    return world


def value_of(end: AttemptEnd) -> Value:
    """Give the value of a run that must have succeeded."""
    assert isinstance(end, Succeeded), end
    value: Value = json.loads(end.output)
    return value


def run_program(program: Program, seed: int, *, crash: float = 0.0, suspend: float = 0.0) -> World:
    """Run a program to its end, and compare its value with what it must be; gives the finished world."""

    async def run() -> World:
        world = world_of(program, seed)
        end = await run_to_end(world, crash_chance=crash, suspend_chance=suspend)
        assert value_of(end) == expected(program)
        return world

    return asyncio.run(run())


def cancel_program(program: Program, seed: int, after: int, *, crash: float = 0.0, suspend: float = 0.0) -> World:
    """Run a program, cancel it after some entries; it must end as cancelled, or as it would have without."""

    async def run() -> World:
        world = world_of(program, seed)
        end = await run_to_end(world, crash_chance=crash, suspend_chance=suspend, cancel_after=after)
        assert isinstance(end, (Succeeded, Failed)), end
        if isinstance(end, Failed):
            assert end.failure.code == 409, end
        return world

    return asyncio.run(run())


def replay(world: World, length: int | None = None) -> AttemptEnd | None:
    """Replay a finished journal, or its beginning, then drop the attempt: commands must match throughout."""

    async def run() -> AttemptEnd | None:
        whole = world.entries
        world.entries = whole[:length]
        try:
            host = Host(world)
            end = host.replay(adopt=False)
            host.attempt.close()
        finally:
            world.entries = whole
        return end

    return asyncio.run(run())


def replay_beginnings(world: World, every: int = 1) -> None:
    """Replay each beginning of a finished journal: only the whole of it ends."""
    for length in range(1, len(world.entries), every):
        assert replay(world, length) is None
    assert replay(world) is not None
