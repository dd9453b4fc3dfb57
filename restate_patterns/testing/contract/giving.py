"""Giving: what is given is what it was at that moment, whatever becomes of it before it is used, or while it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from restate_patterns.api.context import Context, WorkflowContext
from restate_patterns.api.definitions import Service, Workflow
from restate_patterns.api.handlers import handler
from restate_patterns.api.invocation_handles import InvocationHandle
from restate_patterns.api.promises import DurablePromise
from restate_patterns.api.state import State
from restate_patterns.testing.contract.expect import equal
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

NAMES = ("a", "b", "c")


class Parcel(BaseModel):
    """Something that can be changed, as can what is in it."""

    labels: list[str] = []


class Receiver(Recording, Service, name="ContractReceiver"):
    @handler
    async def take(self, ctx: Context, parcel: Parcel) -> str:
        return parcel.labels[-1]

    @handler
    async def note(self, ctx: Context, parcel: Parcel) -> None:
        await ctx.run("note", self.seen.act, parcel.labels[0], parcel.labels[-1])

    @handler
    async def fill(self, ctx: Context, parcel: Parcel = Parcel()) -> list[str]:  # noqa: B008 - that is the point
        parcel.labels.append("filled")
        return parcel.labels


class Giver(Recording, Service, name="ContractGiver"):
    async def name_of(self, parcel: Parcel) -> str:
        """Be an action; the first thing it does is to let others go on."""
        await asyncio.sleep(0)
        return parcel.labels[-1]

    def spoil(self, key: str, parcel: Parcel) -> list[str]:
        """Be an action that changes its argument, and succeeds at its third try."""
        self.seen.note(key, f"found {len(parcel.labels)}")
        parcel.labels.clear()
        if self.seen.count(key, "found 2") + self.seen.count(key, "found 0") < 3:
            raise OSError("not yet")
        return parcel.labels

    @handler
    async def steps(self, ctx: Context) -> list[str]:
        parcel = Parcel(labels=[""])
        asked = list[Coroutine[Any, Any, str]]()
        for name in NAMES:
            parcel.labels[0] = name
            asked.append(ctx.run("name", self.name_of, parcel))
        return list(await asyncio.gather(*asked))

    @handler
    async def step_under_way(self, ctx: Context) -> str:
        parcel = Parcel(labels=["given"])
        naming = asyncio.create_task(ctx.run("name", self.name_of, parcel))
        await asyncio.sleep(0)
        parcel.labels.append("changed")
        return await naming

    @handler
    async def spoiled(self, ctx: Context, key: str) -> list[str]:
        parcel = Parcel(labels=["one", "two"])
        back = await ctx.run("spoil", self.spoil, key, parcel)
        await ctx.run("again", self.name_of, parcel)
        return [*back, *parcel.labels]

    @handler
    async def calls(self, ctx: Context) -> list[str]:
        parcel, receiver = Parcel(labels=[""]), ctx.service_client(Receiver)
        asked = list[Coroutine[Any, Any, str]]()
        for name in NAMES:
            parcel.labels[0] = name
            asked.append(receiver.take(parcel))
        return list(await asyncio.gather(*asked))

    @handler
    async def sends(self, ctx: Context, key: str) -> None:
        parcel, receiver = Parcel(labels=[key, ""]), ctx.service_client(Receiver)
        asked = list[Coroutine[Any, Any, InvocationHandle[None]]]()
        for name in NAMES:
            parcel.labels[1] = name
            asked.append(receiver.note.send(parcel))
            asked.append(receiver.note.send_after(timedelta(milliseconds=1), parcel=parcel))
        await asyncio.gather(*asked)


class Keeper(Recording, Workflow, name="ContractKeeper"):
    unset = State[Parcel](default=Parcel(labels=[]))
    written = State[Parcel]()
    promised = DurablePromise[Parcel]()

    @handler
    async def run(self, ctx: WorkflowContext) -> list[list[str]]:
        default = await self.unset.get(ctx)
        default.labels.append("changed")
        parcel = Parcel(labels=["given"])
        self.written.set(ctx, parcel)
        awakeable = ctx.awakeable(Parcel)
        signal = ctx.invocation_by_id(ctx.invocation_id).signal("parcel", Parcel)
        answers = [self.promised.resolve(ctx, parcel), awakeable.id.resolve(ctx, parcel), signal.resolve(parcel)]
        parcel.labels.append("changed")
        await asyncio.gather(*answers)
        found = [await self.unset.get(ctx), await self.written.get(ctx), await self.promised.value(ctx)]
        return [each.labels for each in (*found, await awakeable, await ctx.signal("parcel", Parcel))]


DEFINITIONS = (Receiver, Giver, Keeper)


@guarantee
async def to_steps(stage: Stage) -> None:
    """Each step gets its argument as it was when the step was asked for, though one object was given to all."""
    equal(await stage.client.service_client(Giver).steps(), list(NAMES))


@guarantee
async def to_a_step_under_way(stage: Stage) -> None:
    """What becomes of an argument after the step was asked for does not reach its action."""
    equal(await stage.client.service_client(Giver).step_under_way(), "given")


@guarantee
async def to_each_try(stage: Stage) -> None:
    """Each try of a step gets what was given, whatever an earlier one did to it; the handler keeps its own."""
    key = stage.key()
    equal(await stage.client.service_client(Giver).spoiled(key), ["one", "two"])
    equal(stage.seen.notes(key), ["found 2"] * 3)


@guarantee
async def to_calls(stage: Stage) -> None:
    """Each call carries its argument as it was when it was made, also when it is awaited later."""
    equal(await stage.client.service_client(Giver).calls(), list(NAMES))


@guarantee
async def to_sends(stage: Stage) -> None:
    """Each send carries its argument as it was when it was made, also a delayed one that is awaited later."""
    key = stage.key()
    await stage.client.service_client(Giver).sends(key)
    await stage.seen.until_any(key, 2 * len(NAMES))
    equal(sorted(stage.seen.notes(key)), sorted(NAMES * 2))


@guarantee
async def to_state_promises_awakeables_and_signals(stage: Stage) -> None:
    """State, promises, awakeables and signals hold what they were given; a default is nobody's to change."""
    for _ in range(2):
        found = await stage.client.workflow_client(Keeper, stage.key()).run()
        equal(found, [[], ["given"], ["given"], ["given"], ["given"]])


@guarantee
async def defaults(stage: Stage) -> None:
    """The default of an argument is a new one for each invocation."""
    for _ in range(2):
        equal(await stage.client.service_client(Receiver).fill(), ["filled"])
