"""Cancelling: a terminal error at the wait, after which everything runs normally."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from restate_patterns.api.context import Context, ObjectContext, WorkflowContext
from restate_patterns.api.definitions import Service, VirtualObject, Workflow
from restate_patterns.api.handlers import handler
from restate_patterns.api.promises import DurablePromise
from restate_patterns.api.state import State
from restate_patterns.errors import Cancelled, TerminalError
from restate_patterns.retries import RetryPolicy
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
            self.seen.note(key, "child began")
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            await ctx.run("undo", self.seen.act, key, "child undone")
            raise
        return "worked"

    @handler
    async def through(self, ctx: Context, key: str) -> str:
        return await ctx.service_client(Child).work(key)

    @handler
    async def held(self, ctx: Context, key: str) -> str:
        return await ctx.run("hold", self.seen.hold, key, "held")

    @handler
    async def quick(self, ctx: Context, key: str) -> str:
        return await ctx.run("quick", self.seen.act, key, "called")


class Cancelling(Recording, Service, name="ContractCancelling"):
    async def _caught(self, ctx: Context, key: str, error: Cancelled) -> str:
        return await ctx.run("caught", self.seen.act, key, f"caught {error.code}")

    @handler
    async def in_a_sleep(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled as error:
            return await self._caught(ctx, key, error)
        return "slept"

    @handler
    async def in_a_call(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            return await ctx.service_client(Child).through(key)
        except Cancelled as error:
            return await self._caught(ctx, key, error)

    @handler
    async def in_an_awakeable(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            return await ctx.awakeable(str)
        except Cancelled as error:
            return await self._caught(ctx, key, error)

    @handler
    async def in_a_signal(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            return await ctx.signal("never", str)
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
        self.seen.note(key, "began")
        try:
            return await handle.result()
        except Cancelled as error:
            return await self._caught(ctx, key, error)

    @handler
    async def in_a_timeout(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            async with asyncio.timeout(HOUR_S):
                await asyncio.sleep(2 * HOUR_S)
        except Cancelled as error:
            return await self._caught(ctx, key, error)
        return "slept"

    @handler
    async def uncaught(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        await asyncio.sleep(HOUR_S)
        return "slept"

    @handler(retry=RetryPolicy(initial=timedelta(hours=1), maximum=timedelta(hours=1)))
    async def backs_off(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "attempt")
        if self.seen.count(key, "attempt") == 1:
            raise ConnectionError("weather")
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled as error:
            return await self._caught(ctx, key, error)
        return "slept"

    @handler
    async def joins(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        return await ctx.service_client(Child).held.with_options(idempotency_key=key)(key)

    @handler
    async def asks_a_queued_one(self, ctx: Context, key: str) -> str:
        queued = ctx.object_client(Holder, key).queued.with_options(idempotency_key=key)
        asking = asyncio.create_task(queued("asked"))
        await asyncio.sleep(0.03)
        await (await queued.send("asked")).cancel()
        try:
            return await asking
        except Cancelled as error:
            return f"{error.code} {error.message}"

    @handler
    async def sends_and_waits(self, ctx: Context, key: str) -> str:
        await ctx.object_client(Mailbox, key).put.send("sent")
        await ctx.object_client(Mailbox, key).put.send_after(timedelta(milliseconds=150), "sent later")
        self.seen.note(key, "began")
        await asyncio.sleep(HOUR_S)
        return "slept"


class Holder(Recording, VirtualObject, name="ContractHolder"):
    mark = State[str](default="none")

    @handler
    async def hold(self, ctx: ObjectContext) -> None:
        self.seen.note(ctx.key, "began")
        await asyncio.sleep(HOUR_S)

    @handler
    async def queued(self, ctx: ObjectContext, what: str) -> str:
        return await ctx.run("ran", self.seen.act, ctx.key, what)


class Long(Recording, Workflow, name="ContractLong"):
    answer = DurablePromise[str]()

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        self.seen.note(ctx.key, "began")
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
        cancelling.in_a_signal,
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
async def between_attempts(stage: Stage) -> None:
    """A cancel does not wait for the next attempt of an invocation that backs off: it makes it, and arrives there."""
    key = stage.key()
    sent = await stage.client.service_client(Cancelling).backs_off.send(key)
    await stage.seen.until(key, "attempt")
    await sent.cancel()
    equal(await sent.result(), "caught 409")


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
    equal([note for note in stage.seen.notes(key) if note != "began"], ["second"])


@guarantee
async def callee_in_the_queue(stage: Stage) -> None:
    """Who calls what is cancelled while it waits for its key gets Cancelled as the error of the call."""
    key = stage.key()
    held = await stage.client.object_client(Holder, key).hold.send()
    await stage.seen.until(key, "began")
    equal(await stage.client.service_client(Cancelling).asks_a_queued_one(key), "409 cancelled")
    await held.cancel()
    await raised(Cancelled, held.result())
    equal(stage.seen.count(key, "asked"), 0)


@guarantee
async def joined_call(stage: Stage) -> None:
    """A call that only joined an invocation by idempotency key does not take it down when its caller is cancelled."""
    key = stage.key()
    first = await stage.client.service_client(Child).held.with_options(idempotency_key=key).send(key)
    await stage.seen.until(key, "held")
    joining = await stage.client.service_client(Cancelling).joins.send(key)
    await stage.seen.until(key, "began")
    await joining.cancel()
    await raised(Cancelled, joining.result())
    stage.seen.open(key, "held")
    equal(await first.result(), "held")


@guarantee
async def after_the_end(stage: Stage) -> None:
    """Cancelling what has ended changes nothing and is no error."""
    key = stage.key()
    sent = await stage.client.service_client(Child).quick.send(key)
    equal(await sent.result(), "called")
    await sent.cancel()
    equal(await sent.result(), "called")
