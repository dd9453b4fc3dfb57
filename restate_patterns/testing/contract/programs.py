"""Random programs of nested branches: each leaf gets its own result, wherever the process dies.

Owns a small language of programs, what runs it in a handler, and the seeds.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final, TypeAlias

import anyio

from restate_patterns.api.awakeables import AwakeableId
from restate_patterns.api.context import Context, ObjectContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.options import Step
from restate_patterns.testing.contract.expect import equal
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import QUICK

Program: TypeAlias = "str | list[Program]"
"""A leaf (`step 7`) or a block: what kind it is, and its parts."""

LEAVES: Final = ("step", "flaky", "call", "awakeable", "signal", "sleep", "state")
BLOCKS: Final = ("sequence", "gather", "group", "anyio", "limited")
SEEDS: Final = range(6)
DEPTH: Final = 3


def program_of(seed: int) -> Program:
    """Return the program of a seed."""
    dice = random.Random(seed)
    numbers = iter(range(1_000))

    def some(depth: int) -> Program:
        if depth == 0 or (depth < DEPTH and dice.random() < 0.25):
            return f"{dice.choice(LEAVES)} {next(numbers)}"
        kind = dice.choice(BLOCKS)
        return [kind, *(some(depth - 1) for _ in range(1 if kind == "limited" else dice.randint(2, 3)))]

    return some(DEPTH)


def leaves_of(program: Program) -> list[str]:
    """Return the leaves in the order of the text, which is that of the results."""
    return [program] if isinstance(program, str) else [leaf for part in program[1:] for leaf in leaves_of(part)]


class Helper(Recording, Service, name="ContractHelper"):
    @handler
    async def same(self, ctx: Context, leaf: str) -> str:
        await asyncio.sleep(0.002 * (hash_of(leaf) % 3))
        return leaf

    @handler
    async def answer(self, ctx: Context, asked: tuple[AwakeableId[str], str]) -> None:
        await asked[0].resolve(ctx, asked[1])

    @handler
    async def signal(self, ctx: Context, asked: tuple[str, str]) -> None:
        await ctx.invocation_by_id(asked[0]).signal(asked[1], str).resolve(asked[1])


def hash_of(text: str) -> int:
    """Return a small number that is the same in each process."""
    return sum(text.encode())


class Programs(Recording, VirtualObject, name="ContractPrograms"):
    last = State[str]()

    @handler
    async def run(self, ctx: ObjectContext, seed: int) -> list[str]:
        found = await self._run(ctx, program_of(seed))
        await ctx.run("hold", self.seen.hold, ctx.key, "hold")
        return found

    async def _run(self, ctx: ObjectContext, program: Program) -> list[str]:
        if isinstance(program, str):
            return [await self._leaf(ctx, program)]
        kind, parts = program[0], program[1:]
        if kind == "gather":
            results = await asyncio.gather(*(self._run(ctx, part) for part in parts))
        elif kind == "group":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._run(ctx, part)) for part in parts]
            results = [task.result() for task in tasks]
        elif kind == "anyio":
            results = await self._anyio(ctx, parts)
        else:
            async with asyncio.timeout(3600):
                results = [await self._run(ctx, part) for part in parts]
        return [leaf for result in results for leaf in result]

    async def _anyio(self, ctx: ObjectContext, parts: list[Program]) -> list[list[str]]:
        results: list[list[str]] = [[] for _ in parts]

        async def put(index: int, part: Program) -> None:
            results[index] = await self._run(ctx, part)

        async with anyio.create_task_group() as group:
            for index, part in enumerate(parts):
                group.start_soon(put, index, part)
        return results

    async def _leaf(self, ctx: ObjectContext, leaf: str) -> str:
        kind = leaf.partition(" ")[0]
        if kind == "step":
            return await ctx.run("leaf", self._act, ctx.key, leaf)
        if kind == "flaky":
            return await ctx.run(Step("leaf", retry=QUICK), self._fail_once, ctx.key, leaf)
        if kind == "call":
            return await ctx.service_client(Helper).same(leaf)
        if kind == "awakeable":
            awakeable = ctx.awakeable(str)
            await ctx.service_client(Helper).answer.send((awakeable.id, leaf))
            return await awakeable
        if kind == "signal":
            await ctx.service_client(Helper).signal.send((ctx.invocation_id, leaf))
            return await ctx.signal(leaf, str)
        if kind == "sleep":
            return await asyncio.sleep(0.002 * (hash_of(leaf) % 4), leaf)
        self.last.set(ctx, leaf)
        return await self.last.get(ctx)

    async def _act(self, key: str, leaf: str) -> str:
        await asyncio.sleep(0.001 * (hash_of(leaf) % 5))
        return await self.seen.act(key, leaf)

    async def _fail_once(self, key: str, leaf: str) -> str:
        self.seen.note(key, f"{leaf} tried")
        if self.seen.count(key, f"{leaf} tried") == 1:
            raise ConnectionError("weather")
        return await self._act(key, leaf)


DEFINITIONS = (Helper, Programs)


async def run_program(stage: Stage, seed: int, restart_count: int) -> None:
    """Run the program of a seed, with a restart each time something more was done, and one at the end."""
    key = stage.key(f"seed {seed}")
    sent = await stage.client.object_client(Programs, key).run.send(seed)
    for number in range(1, restart_count + 1):
        await stage.seen.until_any(key, number)
        await stage.restart()
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    found = await stage.client.invocation(Programs.run, sent.id).result()
    equal(found, leaves_of(program_of(seed)), f"the results of seed {seed}")


@guarantee
async def undisturbed(stage: Stage) -> None:
    """Each leaf of a nested program gets its own result, replayed at the end."""
    for seed in SEEDS:
        await run_program(stage, seed, 0)


@guarantee
async def with_crashes(stage: Stage) -> None:
    """Each leaf of a nested program gets its own result, wherever the process dies."""
    for seed in SEEDS:
        await run_program(stage, 100 + seed, 1 + seed % 3)
