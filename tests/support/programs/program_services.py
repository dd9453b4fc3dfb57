"""Random programs as services: through the public context, on any backend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from typing_extensions import override

from restate_patterns import App, AwakeableId, Context, ObjectContext, Service, VirtualObject, handler
from tests.support.programs.program_runs import Effects
from tests.support.programs.programs import Durable, Interpreter, ProgramError
from tests.support.programs.random_programs import random_program

HandOut = Callable[[Context, AwakeableId[str], str], Awaitable[None]]
"""Gives an awakeable to whoever resolves it with the label."""


class ProgramPeer(Service):
    """Answers calls with the label, and awakeables with theirs."""

    @handler
    async def echo(self, ctx: Context, label: str) -> str:
        if label.startswith("fail"):
            raise ProgramError(message=label)
        await asyncio.sleep(sum(label.encode()) % 11 / 1000)
        return label

    @handler
    async def resolve(self, ctx: Context, given: tuple[AwakeableId[str], str]) -> None:
        awakeable_id, label = given
        await awakeable_id.resolve(ctx, label)


class ContextDurable(Durable):
    """The primitives of a program on a public context."""

    def __init__(self, ctx: ObjectContext, hand_out: HandOut) -> None:
        self._ctx = ctx
        self._hand_out = hand_out

    @override
    async def step(self, name: str, action: Callable[[], Awaitable[str]]) -> str:
        async def act() -> str:
            return await action()

        return await self._ctx.run(name, act)

    @override
    async def call(self, label: str) -> str:
        return await self._ctx.service_client(ProgramPeer).echo(label)

    @override
    async def get(self, key: str) -> str | None:
        value: str | None = json.loads(await self._ctx._attempt.get_state(key) or b"null")
        return value

    @override
    def set(self, key: str, value: str) -> None:
        self._ctx._attempt.set_state(key, json.dumps(value).encode())

    @override
    async def awakeable(self, label: str) -> str:
        awakeable = self._ctx.awakeable(str)
        await self._hand_out(self._ctx, awakeable.id, label)
        return await awakeable


async def send_to_peer(ctx: Context, awakeable_id: AwakeableId[str], label: str) -> None:
    """Have the peer resolve an awakeable."""
    await ctx.service_client(ProgramPeer).resolve.send((awakeable_id, label))


class ProgramRunner(VirtualObject):
    """Runs the program of a seed."""

    def __init__(self, hand_out: HandOut = send_to_peer) -> None:
        self.effects = Effects()
        self._hand_out = hand_out

    @handler
    async def run(self, ctx: ObjectContext, seed: int) -> str:
        program = random_program(seed)
        return json.dumps(await Interpreter(ContextDurable(ctx, self._hand_out), self.effects).run(program))


async def real_sleep(duration_ms: float) -> None:
    """Sleep for real."""
    await asyncio.sleep(duration_ms / 1000)


def app() -> App:
    """Give the services as a process of their own serves them."""
    runner = ProgramRunner()
    runner.effects.clock_sleep = real_sleep
    return App([runner, ProgramPeer()])
