"""Cancelling: a terminal error at the wait, after which everything runs normally."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import anyio

from restate_patterns.context import Context, ObjectContext, WorkflowContext
from restate_patterns.definitions import Service, VirtualObject, Workflow
from restate_patterns.errors import Cancelled, TerminalError
from restate_patterns.handlers import handler
from restate_patterns.promises import DurablePromise
from restate_patterns.state import State
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.sends import Mailbox
from restate_patterns.testing.contract.stage import Stage

HOUR_S = 3600.0


class Child(Recording, Service, name="ContractChild"):
    @handler
    async def work(self, ctx: Context, key: str) -> str:
        try:
            await ctx.run("child", self.seen.act, key, "child began")
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            await ctx.run("undo", self.seen.act, key, "child undone")
            raise
        return "worked"

    @handler
    async def through(self, ctx: Context, key: str) -> str:
        return await ctx.service_client(Child).work(key)

    @handler
    async def quick(self, ctx: Context, key: str) -> str:
        return await ctx.run("quick", self.seen.act, key, "called")


class Cancelling(Recording, Service, name="ContractCancelling"):
    async def _began(self, ctx: Context, key: str) -> None:
        await ctx.run("began", self.seen.act, key, "began")

    async def _caught(self, ctx: Context, key: str, error: Cancelled) -> str:
        return await ctx.run("caught", self.seen.act, key, f"caught {error.code}")

    @handler
    async def in_a_sleep(self, ctx: Context, key: str) -> str:
        await self._began(ctx, key)
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled as error:
            return await self._caught(ctx, key, error)
        return "slept"

    @handler
    async def in_a_call(self, ctx: Context, key: str) -> str:
        await self._began(ctx, key)
        try:
            return await ctx.service_client(Child).through(key)
        except Cancelled as error:
            return await self._caught(ctx, key, error)

    @handler
    async def in_an_awakeable(self, ctx: Context, key: str) -> str:
        await self._began(ctx, key)
        try:
            return await ctx.awakeable(str)
        except Cancelled as error:
            return await self._caught(ctx, key, error)

    @handler
    async def in_a_step(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.run("hold", self.seen.hold, key, "began")
        except Cancelled as error:
            return await self._caught(ctx, key, error)

    @handler
    async def in_an_attach(self, ctx: Context, key: str) -> str:
        handle = await ctx.object_client(Mailbox, key).hold.send()
        await self._began(ctx, key)
        try:
            return await handle.result()
        except Cancelled as error:
            return await self._caught(ctx, key, error)

    @handler
    async def in_a_timeout(self, ctx: Context, key: str) -> str:
        await self._began(ctx, key)
        try:
            async with asyncio.timeout(HOUR_S):
                await asyncio.sleep(2 * HOUR_S)
        except Cancelled as error:
            return await self._caught(ctx, key, error)
        return "slept"

    @handler
    async def uncaught(self, ctx: Context, key: str) -> str:
        await self._began(ctx, key)
        await asyncio.sleep(HOUR_S)
        return "slept"

    @handler
    async def compensates(self, ctx: Context, key: str) -> str:
        await self._began(ctx, key)
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            await ctx.run("step", self.seen.act, key, "step")
            await ctx.service_client(Child).quick(key)
            await asyncio.sleep(0.02)
            await ctx.service_client(Child).quick.send(key)
            await asyncio.gather(ctx.run("a", self.seen.act, key, "x"), ctx.run("b", self.seen.act, key, "x"))
            await ctx.run("last", self.seen.act, key, "last")
            raise
        return "slept"

    @handler
    async def undo_over_a_restart(self, ctx: Context, key: str) -> str:
        await self._began(ctx, key)
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            await ctx.run("one", self.seen.act, key, "one")
            await ctx.run("two", self.seen.hold, key, "two")
            await ctx.run("three", self.seen.act, key, "three")
            raise
        return "slept"

    @handler
    async def shielded(self, ctx: Context, key: str) -> str:
        await self._began(ctx, key)
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            with ctx.shielded():
                await ctx.run("undo", self.seen.hold, key, "undo")
                await ctx.service_client(Child).quick(key)
                await asyncio.sleep(0.02)
                await ctx.run("undone", self.seen.act, key, "undone")
            raise
        return "slept"

    @handler
    async def unshielded(self, ctx: Context, key: str) -> list[str]:
        await self._began(ctx, key)
        log: list[str] = []
        for number in range(2):
            try:
                await ctx.run("told", self.seen.act, key, f"waits {number}")
                await asyncio.sleep(HOUR_S)
            except Cancelled:
                log.append(f"cancelled {number}")
        return log

    @handler
    async def branches(self, ctx: Context, key: str) -> list[str]:
        async def branch(name: str) -> str:
            try:
                await ctx.run("began", self.seen.act, key, "began")
                await asyncio.sleep(HOUR_S)
            except Cancelled:
                return await ctx.run("undo", self.seen.act, key, f"undo {name}")
            return "slept"

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(f"{number}")) for number in range(4)]
        return [task.result() for task in tasks]

    @handler
    async def anyio_branches(self, ctx: Context, key: str) -> list[str]:
        undone: list[str] = []

        async def branch(name: str) -> None:
            try:
                await ctx.run("began", self.seen.act, key, "began")
                await anyio.sleep(HOUR_S)
            except Cancelled:
                undone.append(await ctx.run("undo", self.seen.act, key, f"undo {name}"))

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(branch, f"{number}")
        return sorted(undone)

    @handler
    async def sends_and_waits(self, ctx: Context, key: str) -> str:
        await ctx.object_client(Mailbox, key).put.send("sent")
        await ctx.object_client(Mailbox, key).put.send_after(timedelta(milliseconds=150), "sent later")
        await self._began(ctx, key)
        await asyncio.sleep(HOUR_S)
        return "slept"


class Holder(Recording, VirtualObject, name="ContractHolder"):
    mark = State[str](default="none")

    @handler
    async def hold(self, ctx: ObjectContext) -> None:
        await ctx.run("began", self.seen.act, ctx.key, "began")
        await asyncio.sleep(HOUR_S)

    @handler
    async def queued(self, ctx: ObjectContext, what: str) -> str:
        return await ctx.run("ran", self.seen.act, ctx.key, what)


class Long(Recording, Workflow, name="ContractLong"):
    answer = DurablePromise[str]()

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        await ctx.run("began", self.seen.act, ctx.key, "began")
        try:
            return await self.answer.value(ctx)
        except Cancelled as error:
            return await ctx.run("caught", self.seen.act, ctx.key, f"caught {error.code}")


DEFINITIONS = (Child, Cancelling, Holder, Long)


@guarantee
async def arrives_at_each_wait(stage: Stage) -> None:
    """A cancel arrives as Cancelled at whatever durable thing the handler waits for; what it then returns counts."""
    cancelling = stage.client.service_client(Cancelling)
    for wait in (
        cancelling.in_a_sleep,
        cancelling.in_a_call,
        cancelling.in_an_awakeable,
        cancelling.in_a_step,
        cancelling.in_an_attach,
        cancelling.in_a_timeout,
    ):
        key = stage.key()
        sent = await wait.send(key)
        await stage.seen.until(key, "began")
        await sent.cancel()
        equal(await sent.result(), "caught 409", f"{wait!r}")
        stage.seen.open(key, "held")


@guarantee
async def arrives_at_a_promise(stage: Stage) -> None:
    """A cancel arrives at a workflow that waits for a promise."""
    key = stage.key()
    sent = await stage.client.workflow_client(Long, key).run.send()
    await stage.seen.until(key, "began")
    await sent.cancel()
    equal(await sent.result(), "caught 409")


@guarantee
async def result(stage: Stage) -> None:
    """An invocation that does not catch its cancellation ends with 409 `cancelled`."""
    key = stage.key()
    sent = await stage.client.service_client(Cancelling).uncaught.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    error = await raised(Cancelled, sent.result())
    equal((error.code, error.message), (409, "cancelled"))


@guarantee
async def compensation(stage: Stage) -> None:
    """What the handler does after its cancellation runs normally: steps, calls, sleeps, sends, branches."""
    key = stage.key()
    sent = await stage.client.service_client(Cancelling).compensates.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    await raised(Cancelled, sent.result())
    await stage.seen.until(key, "called", 2)
    notes = [note for note in stage.seen.notes(key) if note != "called"]
    equal(notes, ["began", "step", "x", "x", "last"])


@guarantee
async def undo_over_a_restart(stage: Stage) -> None:
    """An undo that the death of the process interrupts goes on where it was, and repeats nothing recorded."""
    key = stage.key()
    sent = await stage.client.service_client(Cancelling).undo_over_a_restart.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    await stage.seen.until(key, "two")
    await stage.restart()
    stage.seen.open(key, "two")
    await raised(Cancelled, stage.client.invocation(Cancelling.undo_over_a_restart, sent.id).result())
    equal(stage.seen.notes(key), ["began", "one", "two", "two", "three"])


@guarantee
async def second_cancel_and_shield(stage: Stage) -> None:
    """A second cancel does not reach an undo in `ctx.shielded()`: its steps, calls and sleeps."""
    key = stage.key()
    sent = await stage.client.service_client(Cancelling).shielded.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    await stage.seen.until(key, "undo")
    await sent.cancel()
    stage.seen.open(key, "undo")
    await raised(Cancelled, sent.result())
    equal(stage.seen.notes(key), ["began", "undo", "called", "undone"])


@guarantee
async def second_cancel(stage: Stage) -> None:
    """A second cancel arrives like the first where nothing shields from it."""
    key = stage.key()
    sent = await stage.client.service_client(Cancelling).unshielded.send(key)
    for number in range(2):
        await stage.seen.until(key, f"waits {number}")
        await sent.cancel()
    found: list[str] = []
    try:
        found = await sent.result()
    except TerminalError as error:
        raise AssertionError(f"the handler ended with {error!r}") from error
    equal(found, ["cancelled 0", "cancelled 1"])


@guarantee
async def each_branch(stage: Stage) -> None:
    """Each concurrent branch gets the cancellation and does its own undo, in asyncio's groups and anyio's."""
    undone = [f"undo {number}" for number in range(4)]
    for branches in (
        stage.client.service_client(Cancelling).branches,
        stage.client.service_client(Cancelling).anyio_branches,
    ):
        key = stage.key()
        sent = await branches.send(key)
        await stage.seen.until(key, "began", 4)
        await sent.cancel()
        equal(await sent.result(), undone)
        equal(sorted(note for note in stage.seen.notes(key) if note != "began"), undone)


@guarantee
async def calls_too(stage: Stage) -> None:
    """Calls that a cancelled handler waits for are cancelled as well, and theirs, and each may undo."""
    key = stage.key()
    sent = await stage.client.service_client(Cancelling).in_a_call.send(key)
    await stage.seen.until(key, "child began")
    await sent.cancel()
    await sent.result()
    await stage.seen.until(key, "child undone")


@guarantee
async def not_sends(stage: Stage) -> None:
    """What a cancelled handler has sent is executed, also what is due later."""
    key = stage.key()
    sent = await stage.client.service_client(Cancelling).sends_and_waits.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    await raised(Cancelled, sent.result())
    await stage.seen.until(key, "sent")
    await stage.seen.until(key, "sent later")


@guarantee
async def frees_its_key(stage: Stage) -> None:
    """A cancelled holder of a key frees it for the next."""
    key = stage.key()
    holder = stage.client.object_client(Holder, key)
    sent = await holder.hold.send()
    await stage.seen.until(key, "began")
    behind = await holder.queued.send("next")
    await sent.cancel()
    equal(await behind.result(), "next")


@guarantee
async def in_the_queue(stage: Stage) -> None:
    """An invocation that is cancelled while it waits for its key never runs, and holds up nobody."""
    key = stage.key()
    holder = stage.client.object_client(Holder, key)
    held = await holder.hold.send()
    await stage.seen.until(key, "began")
    first, second = await holder.queued.send("first"), await holder.queued.send("second")
    waiting = asyncio.ensure_future(first.result())
    await asyncio.sleep(0.05)  # the wait is on its way; whether it has arrived changes which error it gets
    await first.cancel()
    await held.cancel()
    equal(await second.result(), "second")
    try:
        await waiting
    except TerminalError as error:
        true(error.code in (404, 409), f"who waited for it got {error!r}")
    equal(stage.seen.notes(key), ["began", "second"])


@guarantee
async def after_the_end(stage: Stage) -> None:
    """Cancelling what has ended changes nothing and is no error."""
    key = stage.key()
    sent = await stage.client.service_client(Child).quick.send(key)
    equal(await sent.result(), "called")
    await sent.cancel()
    equal(await sent.result(), "called")
