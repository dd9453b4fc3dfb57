"""Sends: work that is given away, now or later, and the handles of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from restate_patterns.api.context import Context, ObjectContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.invocation_handles import NotReady
from restate_patterns.errors import InvocationNotFound, TerminalError
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage


class Message(BaseModel):
    """Whom to tell, and what."""

    key: str
    text: str = ""
    delay_ms: int = 0


class Mailbox(Recording, VirtualObject, name="ContractMailbox"):
    @handler
    async def put(self, ctx: ObjectContext, text: str) -> str:
        await ctx.run("put", self.seen.act, ctx.key, text)
        return text.upper()

    @handler
    async def hold(self, ctx: ObjectContext) -> str:
        return await ctx.run("hold", self.seen.hold, ctx.key, "held")

    @handler
    async def fail(self, ctx: ObjectContext) -> str:
        raise TerminalError("no room", code=507)


class Sender(Recording, Service, name="ContractSender"):
    @handler
    async def series(self, ctx: Context, message: Message) -> None:
        for number in range(int(message.text)):
            await ctx.object_client(Mailbox, message.key).put.send(f"{number}")

    @handler
    async def later(self, ctx: Context, message: Message) -> str:
        delay = timedelta(milliseconds=message.delay_ms)
        return (await ctx.object_client(Mailbox, message.key).put.send_after(delay, message.text)).id

    @handler
    async def out_of_order(self, ctx: Context, key: str) -> None:
        mailbox = ctx.object_client(Mailbox, key)
        await mailbox.put.send_after(timedelta(milliseconds=1200), "third")
        await mailbox.put.send_after(timedelta(milliseconds=900), "second")
        await mailbox.put("first")

    @handler
    async def then_fail(self, ctx: Context, message: Message) -> None:
        await ctx.object_client(Mailbox, message.key).put.send(message.text)
        raise TerminalError("failed after the send", code=418)

    @handler
    async def once(self, ctx: Context, message: Message) -> None:
        await ctx.object_client(Mailbox, message.key).put.send(message.text)
        await ctx.run("hold", self.seen.hold, message.key, "sender")

    @handler
    async def to_one_that_fails(self, ctx: Context, key: str) -> int:
        handle = await ctx.object_client(Mailbox, key).fail.send()
        try:
            await handle.result()
        except TerminalError as error:
            return error.code
        return 0

    @handler
    async def look(self, ctx: Context, key: str) -> list[str]:
        handle = await ctx.object_client(Mailbox, key).hold.send()
        await ctx.run("begun", self.seen.until, key, "held")
        before = await handle.output()
        await ctx.run("open", self.seen.open, key, "held")
        result = await handle.result()
        after = await handle.output()
        return ["not ready" if isinstance(before, NotReady) else before, result, f"{after}"]

    @handler
    async def take_back(self, ctx: Context, key: str) -> str:
        handle = await ctx.object_client(Mailbox, key).hold.send()
        await ctx.run("begun", self.seen.until, key, "held")
        await handle.cancel()
        try:
            return await handle.result()
        except TerminalError as error:
            return f"{error.code} {error.message}"

    @handler
    async def attach(self, ctx: Context, id: str) -> str:
        return await ctx.invocation(Mailbox.hold, id).result()

    @handler
    async def attach_in_vain(self, ctx: Context, id: str) -> str:
        try:
            return await ctx.invocation(Mailbox.hold, id).result(timeout=timedelta(milliseconds=60))
        except TimeoutError:
            return "timed out"


DEFINITIONS = (Mailbox, Sender)


@guarantee
async def handle(stage: Stage) -> None:
    """A send gives a handle at once: its output is not ready, then it is, and its result is the handler's."""
    key = stage.key()
    sent = await stage.client.object_client(Mailbox, key).hold.send()
    await stage.seen.until(key, "held")
    true(isinstance(await sent.output(), NotReady), "there is an output before the end")
    stage.seen.open(key, "held")
    equal(await sent.result(), "held")
    equal(await sent.output(), "held")


@guarantee
async def handle_by_id(stage: Stage) -> None:
    """An invocation is found again by its id, by a client and by another handler."""
    key = stage.key()
    sent = await stage.client.object_client(Mailbox, key).hold.send()
    attached = await stage.client.service_client(Sender).attach.send(sent.id)
    stage.seen.open(key, "held")
    equal(await stage.client.invocation(Mailbox.hold, sent.id).result(), "held")
    equal(await attached.result(), "held")


@guarantee
async def many_attach(stage: Stage) -> None:
    """Everybody who waits for an invocation gets its result, also who comes when it is over."""
    key = stage.key()
    sent = await stage.client.object_client(Mailbox, key).hold.send()
    waiting = [asyncio.ensure_future(sent.result()) for _ in range(5)]
    inside = [await stage.client.service_client(Sender).attach.send(sent.id) for _ in range(3)]
    stage.seen.open(key, "held")
    equal(await asyncio.gather(*waiting), ["held"] * 5)
    equal([await each.result() for each in inside], ["held"] * 3)
    equal(await stage.client.service_client(Sender).attach(sent.id), "held")


@guarantee
async def result_timeout(stage: Stage) -> None:
    """A timeout of `result` ends the wait only, from outside and inside."""
    key = stage.key()
    sent = await stage.client.object_client(Mailbox, key).hold.send()
    await raised(TimeoutError, sent.result(timeout=timedelta(milliseconds=60)))
    equal(await stage.client.service_client(Sender).attach_in_vain(sent.id), "timed out")
    stage.seen.open(key, "held")
    equal(await sent.result(), "held")
    equal(stage.seen.count(key, "held"), 1)


@guarantee
async def handle_inside(stage: Stage) -> None:
    """Inside a handler a handle gives the output when there is one, and the result."""
    equal(await stage.client.service_client(Sender).look(stage.key()), ["not ready", "held", "held"])


@guarantee
async def cancel_by_handle(stage: Stage) -> None:
    """A handler cancels what it sent by the handle."""
    equal(await stage.client.service_client(Sender).take_back(stage.key()), "409 cancelled")


@guarantee
async def unknown_handle(stage: Stage) -> None:
    """A handle that names no invocation raises InvocationNotFound, for the result and for the output."""
    put = stage.client.object_client(Mailbox, stage.key()).put.with_options(idempotency_key=stage.key())
    equal((await raised(InvocationNotFound, put.handle().result())).code, 404)
    equal((await raised(InvocationNotFound, put.handle().output())).code, 404)


@guarantee
async def in_order_from_a_handler(stage: Stage) -> None:
    """What a handler sends to one key is executed in the order in which it was sent."""
    key = stage.key()
    await stage.client.service_client(Sender).series(Message(key=key, text="20"))
    await stage.seen.until(key, "19")
    equal(stage.seen.notes(key), [f"{number}" for number in range(20)])


@guarantee
async def in_order_from_outside(stage: Stage) -> None:
    """What a client sends to one key, each after the other was accepted, is executed in that order."""
    key = stage.key()
    for number in range(10):
        await stage.client.object_client(Mailbox, key).put.send(f"{number}")
    await stage.seen.until(key, "9")
    equal(stage.seen.notes(key), [f"{number}" for number in range(10)])


@guarantee
async def delayed_from_outside(stage: Stage) -> None:
    """A delayed send from a client does not start before its delay is over, and then starts."""
    key, loop = stage.key(), asyncio.get_running_loop()
    began_s = loop.time()
    sent = await stage.client.object_client(Mailbox, key).put.send_after(timedelta(milliseconds=150), "late")
    equal(await sent.result(), "LATE")
    true(loop.time() - began_s >= 0.149, f"it ran after {loop.time() - began_s:.3f} s, its delay is 0.150 s")


@guarantee
async def delayed_from_a_handler(stage: Stage) -> None:
    """A delayed send from a handler does not start before its delay is over; its sender ends at once."""
    key, loop = stage.key(), asyncio.get_running_loop()
    began_s = loop.time()
    later = await stage.client.service_client(Sender).later(Message(key=key, text="late", delay_ms=300))
    equal(await stage.client.invocation(Mailbox.put, later).result(), "LATE")
    true(loop.time() - began_s >= 0.299, f"it ran after {loop.time() - began_s:.3f} s, its delay is 0.300 s")


@guarantee
async def delayed_in_order_of_time(stage: Stage) -> None:
    """Delayed sends take their place in the line of their key when they are due; the key is free meanwhile."""
    key = stage.key()
    await stage.client.service_client(Sender).out_of_order(key)
    await stage.seen.until(key, "third")
    equal(stage.seen.notes(key), ["first", "second", "third"])


@guarantee
async def delayed_over_a_restart(stage: Stage) -> None:
    """A delayed send that was accepted starts after a restart, once."""
    key = stage.key()
    sent = await stage.client.object_client(Mailbox, key).put.send_after(timedelta(milliseconds=200), "late")
    await stage.restart()
    equal(await stage.client.invocation(Mailbox.put, sent.id).result(), "LATE")
    equal(stage.seen.count(key, "late"), 1)


@guarantee
async def delayed_and_cancelled(stage: Stage) -> None:
    """A delayed send that is cancelled before it is due never runs."""
    key = stage.key()
    mailbox = stage.client.object_client(Mailbox, key)
    sent = await mailbox.put.send_after(timedelta(milliseconds=300), "never")
    await sent.cancel()
    await mailbox.put.send_after(timedelta(milliseconds=400), "after")
    await stage.seen.until(key, "after")
    equal(stage.seen.notes(key), ["after"])


@guarantee
async def survives_its_sender(stage: Stage) -> None:
    """What a handler sent is executed, also when the handler fails afterwards."""
    key = stage.key()
    call = stage.client.service_client(Sender).then_fail(Message(key=key, text="kept"))
    equal((await raised(TerminalError, call)).code, 418)
    await stage.seen.until(key, "kept")


@guarantee
async def once_over_a_restart(stage: Stage) -> None:
    """A send is made once, whatever becomes of the process of its sender."""
    key = stage.key()
    sent = await stage.client.service_client(Sender).once.send(Message(key=key, text="one"))
    await stage.seen.until(key, "sender")
    await stage.seen.until(key, "one")
    equal(await stage.client.object_client(Mailbox, key).put("two"), "TWO")
    await stage.restart()
    stage.seen.open(key, "sender")
    await stage.client.invocation(Sender.once, sent.id).result()
    equal(await stage.client.object_client(Mailbox, key).put("three"), "THREE")
    equal([note for note in stage.seen.notes(key) if note != "sender"], ["one", "two", "three"])


@guarantee
async def accepted_is_kept(stage: Stage) -> None:
    """What was accepted runs after a restart, in order, though it had not begun."""
    key = stage.key()
    mailbox = stage.client.object_client(Mailbox, key)
    await mailbox.hold.send()
    await stage.seen.until(key, "held")
    for text in ("one", "two", "three"):
        await mailbox.put.send(text)
    await stage.restart()
    stage.seen.open(key, "held")
    await stage.seen.until(key, "three")
    equal([note for note in stage.seen.notes(key) if note != "held"], ["one", "two", "three"])


@guarantee
async def failure_is_the_receivers(stage: Stage) -> None:
    """A send whose receiver fails does not fail its sender; who waits for the handle gets the error."""
    equal(await stage.client.service_client(Sender).to_one_that_fails(stage.key()), 507)
