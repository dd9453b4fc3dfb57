"""Awakeables: answered by id, once, from anywhere."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from restate_patterns.api.awakeables import AwakeableId
from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.client.errors import RequestRefused
from restate_patterns.errors import TerminalError
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import Declined


class Job(BaseModel):
    """What is given to the one who answers."""

    callback: AwakeableId[str]
    answer: str


class Waiter(Recording, Service, name="ContractWaiter"):
    @handler
    async def wait(self, ctx: Context, key: str) -> str:
        awakeable = ctx.awakeable(str)
        self.seen.note(key, f"id {awakeable.id}")
        await ctx.run("tell", self.seen.act, key, f"told {awakeable.id}")
        return await awakeable

    @handler
    async def ask(self, ctx: Context, answer: str) -> str:
        awakeable = ctx.awakeable(str)
        await ctx.service_client(Responder).answer.send(Job(callback=awakeable.id, answer=answer))
        return await awakeable

    @handler
    async def answered_before(self, ctx: Context, key: str) -> str:
        awakeable = ctx.awakeable(str)
        await ctx.service_client(Responder).answer(Job(callback=awakeable.id, answer="early"))
        await asyncio.sleep(0.01)
        return await awakeable

    @handler
    async def several(self, ctx: Context) -> list[str]:
        awakeables = [ctx.awakeable(str) for _ in range(4)]
        responder = ctx.service_client(Responder)
        for number in (2, 0, 3, 1):
            await responder.answer(Job(callback=awakeables[number].id, answer=f"{number}"))
        return [await awakeable for awakeable in awakeables]

    @handler
    async def again(self, ctx: Context, key: str) -> list[str]:
        awakeable = ctx.awakeable(str)
        seen: list[str] = []
        try:
            async with asyncio.timeout(0.03):
                await awakeable
        except TimeoutError:
            seen.append("timed out")
        await ctx.service_client(Responder).answer(Job(callback=awakeable.id, answer="late"))
        return [*seen, await awakeable, await awakeable]

    @handler
    async def nothing(self, ctx: Context) -> bool:
        awakeable = ctx.awakeable(type(None))
        await ctx.service_client(Responder).answer_none(awakeable.id)
        (found,) = await asyncio.gather(awakeable)
        return found is None


class Responder(Recording, Service, name="ContractResponder"):
    @handler
    async def answer(self, ctx: Context, job: Job) -> None:
        await job.callback.resolve(ctx, job.answer)

    @handler
    async def answer_none(self, ctx: Context, id: AwakeableId[None]) -> None:
        await id.resolve(ctx, None)

    @handler
    async def refuse(self, ctx: Context, job: Job) -> None:
        await job.callback.reject(ctx, Declined(reason=job.answer, limit=9))


DEFINITIONS = (Waiter, Responder)


async def told(stage: Stage, key: str) -> AwakeableId[str]:
    """Wait until a waiter has told its id."""
    return AwakeableId[str](await stage.seen.told(key))


@guarantee
async def resolved_from_outside(stage: Stage) -> None:
    """A client resolves an awakeable by its id."""
    key = stage.key()
    sent = await stage.client.service_client(Waiter).wait.send(key)
    await (await told(stage, key)).resolve(stage.client, "from outside")
    equal(await sent.result(), "from outside")


@guarantee
async def resolved_from_a_handler(stage: Stage) -> None:
    """Another handler resolves an awakeable whose id it was given in a model."""
    equal(await stage.client.service_client(Waiter).ask("from a handler"), "from a handler")


@guarantee
async def rejected(stage: Stage) -> None:
    """A rejected awakeable raises its error, with its class and fields, from outside and from a handler."""
    key, other_key = stage.key(), stage.key()
    sent = await stage.client.service_client(Waiter).wait.send(key)
    await (await told(stage, key)).reject(stage.client, Declined(reason="outside", limit=9))
    equal((await raised(Declined, sent.result())).reason, "outside")
    other = await stage.client.service_client(Waiter).wait.send(other_key)
    told_id = await told(stage, other_key)
    await stage.client.service_client(Responder).refuse(Job(callback=told_id, answer="inside"))
    error = await raised(Declined, other.result())
    equal((error.code, error.reason, error.limit), (402, "inside", 9))


@guarantee
async def rejected_plainly(stage: Stage) -> None:
    """A plain terminal error rejects an awakeable with its sentence."""
    key = stage.key()
    sent = await stage.client.service_client(Waiter).wait.send(key)
    await (await told(stage, key)).reject(stage.client, TerminalError("not today"))
    equal((await raised(TerminalError, sent.result())).message, "not today")


@guarantee
async def first_answer_counts(stage: Stage) -> None:
    """Of several answers the first counts; the others are accepted and ignored."""
    key = stage.key()
    sent = await stage.client.service_client(Waiter).wait.send(key)
    told_id = await told(stage, key)
    await told_id.resolve(stage.client, "first")
    await told_id.resolve(stage.client, "second")
    await told_id.reject(stage.client, TerminalError("third"))
    equal(await sent.result(), "first")
    await told_id.resolve(stage.client, "after the end")


@guarantee
async def answered_before(stage: Stage) -> None:
    """An answer may come before anybody waits."""
    equal(await stage.client.service_client(Waiter).answered_before(stage.key()), "early")


@guarantee
async def several(stage: Stage) -> None:
    """Each of several awakeables gets its own answer, in whatever order they come."""
    equal(await stage.client.service_client(Waiter).several(), ["0", "1", "2", "3"])


@guarantee
async def awaited_again(stage: Stage) -> None:
    """An awakeable can be awaited again after a wait for it timed out, and after its answer."""
    equal(await stage.client.service_client(Waiter).again(stage.key()), ["timed out", "late", "late"])


@guarantee
async def none(stage: Stage) -> None:
    """An awakeable may be answered with None."""
    equal(await stage.client.service_client(Waiter).nothing(), True)


@guarantee
async def over_a_restart(stage: Stage) -> None:
    """An id stays good over a restart, and a replay makes the same one."""
    key = stage.key()
    sent = await stage.client.service_client(Waiter).wait.send(key)
    told_id = await told(stage, key)
    await stage.restart()
    await told_id.resolve(stage.client, "later")
    equal(await stage.client.invocation(Waiter.wait, sent.id).result(), "later")
    ids = {note for note in stage.seen.notes(key) if note.startswith("id ")}
    equal(ids, {f"id {told_id}"})


@guarantee
async def malformed_id(stage: Stage) -> None:
    """An id that is none is refused with 400."""
    error = await raised(RequestRefused, AwakeableId[str]("no-id").resolve(stage.client, "x"))
    equal(error.code, 400)
    true("no-id" in error.message, f"the sentence does not show the id: {error.message}")
