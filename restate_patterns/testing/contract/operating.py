"""Operating: kill, pause, resume, restart, purge."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from restate_patterns.api.context import Context, ObjectContext, ObjectSharedContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.invocation_handles import NotReady
from restate_patterns.api.state import State
from restate_patterns.client.errors import InvocationPaused
from restate_patterns.errors import Cancelled, InvocationNotFound, Killed
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage


class Victim(Recording, VirtualObject, name="ContractVictim"):
    mark = State[str](default="none")

    @handler
    async def work(self, ctx: ObjectContext, child: str) -> str:
        self.mark.set(ctx, "written")
        await ctx.object_client(Victim, child).note.send("sent")
        await ctx.object_client(Victim, child).note.send_after(timedelta(milliseconds=200), "sent later")
        try:
            await ctx.run("began", self.seen.act, ctx.key, "began")
            return await ctx.service_client(VictimsChild).work(ctx.key)
        except Cancelled:
            await ctx.run("undo", self.seen.act, ctx.key, "undone")
            raise

    @handler
    async def note(self, ctx: ObjectContext, what: str) -> str:
        return await ctx.run("note", self.seen.act, ctx.key, what)

    @handler
    async def look(self, ctx: ObjectSharedContext) -> str:
        return await self.mark.get(ctx)

    @handler
    async def steps(self, ctx: ObjectContext) -> list[str]:
        first = await ctx.run("first", self.seen.act, ctx.key, "first")
        await ctx.run("gate", self.seen.hold, ctx.key, "gate")
        second = await ctx.run("second", self.seen.act, ctx.key, "second")
        return [first, second]


class Broken(Recording, Service, name="ContractBroken"):
    @handler(retry=RetryPolicy(max_attempts=1, then="pause"))
    async def weather(self, ctx: Context, key: str) -> str:
        await ctx.run("once", self.seen.act, key, "tried")
        if self.seen.count(key, "mended") == 0:
            raise ConnectionError("weather")
        return "mended"

    @handler
    async def caller(self, ctx: Context, key: str) -> str:
        return await ctx.service_client(Broken).weather.with_options(idempotency_key=key)(key)


class VictimsChild(Recording, Service, name="ContractVictimsChild"):
    @handler
    async def work(self, ctx: Context, key: str) -> str:
        await ctx.run("child began", self.seen.hold, key, "child began")
        return await ctx.run("child", self.seen.act, key, "child went on")


DEFINITIONS = (Victim, VictimsChild, Broken)


@guarantee
async def kill(stage: Stage) -> None:
    """A killed invocation ends with 409 `killed`; no undo runs, its calls end too, its writes stay, its key is free."""
    key = stage.key()
    victim = stage.client.object_client(Victim, key)
    sent = await victim.work.send(stage.key())
    await stage.seen.until(key, "child began")
    await stage.admin.kill(sent.id)
    error = await raised(Killed, sent.result())
    equal((error.code, error.message), (409, "killed"))
    equal(await victim.look(), "written")
    equal(await victim.note("next"), "next")
    stage.seen.open(key, "child began")
    await asyncio.sleep(0.1)  # long enough for the child to go on, if it lived
    for note in ("undone", "child went on"):
        equal(stage.seen.count(key, note), 0, note)


@guarantee
async def kill_spares_sends(stage: Stage) -> None:
    """What a killed invocation had sent is executed, also what is due later."""
    key, other = stage.key(), stage.key()
    sent = await stage.client.object_client(Victim, key).work.send(other)
    await stage.seen.until(key, "child began")
    await stage.admin.kill(sent.id)
    await raised(Killed, sent.result())
    await stage.seen.until(other, "sent")
    await stage.seen.until(other, "sent later")


@guarantee
async def kill_in_the_queue(stage: Stage) -> None:
    """What is killed while it waits for its key never runs."""
    key = stage.key()
    victim = stage.client.object_client(Victim, key)
    holder = await victim.work.send(stage.key())
    await stage.seen.until(key, "child began")
    queued = await victim.note.send("killed")
    await stage.admin.kill(queued.id)
    await stage.admin.kill(holder.id)
    equal(await victim.note("last"), "last")
    equal(stage.seen.count(key, "killed"), 0)


@guarantee
async def pause_and_resume(stage: Stage) -> None:
    """A paused invocation does nothing until it is resumed, and then goes on where it was."""
    key = stage.key()
    sent = await stage.client.object_client(Victim, key).steps.send()
    await stage.seen.until(key, "gate")
    await stage.admin.pause(sent.id)
    await stage.paused_because(sent.id)
    stage.seen.open(key, "gate")
    await asyncio.sleep(0.1)  # long enough to go on, if it did
    equal(stage.seen.count(key, "second"), 0)
    await stage.admin.resume(sent.id)
    equal(await sent.result(), ["first", "second"])
    equal([note for note in stage.seen.notes(key) if note != "gate"], ["first", "second"])


@guarantee
async def paused_over_a_restart(stage: Stage) -> None:
    """A paused invocation is paused after a restart as well."""
    key = stage.key()
    sent = await stage.client.object_client(Victim, key).steps.send()
    await stage.seen.until(key, "gate")
    await stage.admin.pause(sent.id)
    await stage.paused_because(sent.id)
    await stage.restart()
    stage.seen.open(key, "gate")
    await stage.paused_because(sent.id)
    await stage.admin.resume(sent.id)
    equal(await stage.client.invocation(Victim.steps, sent.id).result(), ["first", "second"])


@guarantee
async def paused_callers(stage: Stage) -> None:
    """Who waits outside for an invocation that pauses, or has paused, is told at once, with its id and the reason."""
    key = stage.key()
    broken = stage.client.service_client(Broken).weather.with_options(idempotency_key=key)
    told = await raised(InvocationPaused, broken(key))
    true("weather" in told.reason, f"the reason is {told.reason!r}")
    handle = stage.client.invocation(Broken.weather, told.id)
    for waiting in (broken(key), handle.result(), handle.result(timeout=timedelta(hours=1))):
        equal((await raised(InvocationPaused, waiting)).id, told.id)
    true(isinstance(await handle.output(), NotReady), "a paused invocation has an output")
    stage.seen.note(key, "mended")
    await stage.admin.resume(told.id)
    equal(await handle.result(), "mended")


@guarantee
async def paused_callees(stage: Stage) -> None:
    """A handler that calls an invocation which pauses waits until a person has resumed it."""
    key = stage.key()
    sent = await stage.client.service_client(Broken).caller.send(key)
    waiting = asyncio.ensure_future(sent.result())
    await stage.seen.until(key, "tried")
    paused = await stage.client.service_client(Broken).weather.with_options(idempotency_key=key).send(key)
    await stage.paused_because(paused.id)
    true(not waiting.done(), "the caller did not wait")
    stage.seen.note(key, "mended")
    await stage.admin.resume(paused.id)
    equal(await waiting, "mended")


@guarantee
async def restart(stage: Stage) -> None:
    """A completed invocation can be started again, as a new one that does everything anew."""
    key = stage.key()
    sent = await stage.client.object_client(Victim, key).note.send("again")
    equal(await sent.result(), "again")
    new = await stage.admin.restart_as_new(sent.id)
    true(new != sent.id, "the new invocation has the old id")
    equal(await stage.client.invocation(Victim.note, new).result(), "again")
    equal(stage.seen.notes(key), ["again", "again"])


@guarantee
async def purge(stage: Stage) -> None:
    """A purged invocation is forgotten, with its idempotency key."""
    key = stage.key()
    note = stage.client.object_client(Victim, key).note.with_options(idempotency_key=key)
    sent = await note.send("once")
    equal(await sent.result(), "once")
    await stage.admin.purge(sent.id)
    await raised(InvocationNotFound, sent.output())
    equal(await note("once"), "once")
    equal(stage.seen.notes(key), ["once", "once"])
