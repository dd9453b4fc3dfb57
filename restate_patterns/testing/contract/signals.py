"""Signals: answers under a name, once, to one invocation, by whoever has its handle."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from restate_patterns.api.context import Context, ObjectContext, WorkflowContext, WorkflowSharedContext
from restate_patterns.api.definitions import Service, VirtualObject, Workflow
from restate_patterns.api.handlers import handler
from restate_patterns.api.signals import Signal
from restate_patterns.errors import Cancelled, TerminalError
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import Declined

GO = "go"
"""The signal after which a listener asks for another one: those that were sent before it have come by then."""


class Said(BaseModel):
    """What is said to whom, in this order; the signal `go` says nothing."""

    to: str
    words: list[tuple[str, str]]


class Listener(Recording, Service, name="ContractListener"):
    word = Signal[str]()
    nothing = Signal[None](name="no-thing")

    @handler
    async def wait(self, ctx: Context, key: str) -> str:
        word = ctx.signal(self.word)
        await ctx.run("listen", self.seen.act, key, "listens")
        return await word

    @handler
    async def asks_late(self, ctx: Context) -> str:
        await ctx.signal(GO, type(None))
        return await ctx.signal(self.word)

    @handler
    async def asks_early(self, ctx: Context) -> str:
        word = ctx.signal(self.word)
        await ctx.signal(GO, type(None))
        return await word

    @handler
    async def several(self, ctx: Context, names: list[str]) -> list[str]:
        return list(await asyncio.gather(*(ctx.signal(name, str) for name in names)))

    @handler
    async def twice(self, ctx: Context) -> list[str]:
        async def listen() -> str:
            return await ctx.signal(self.word)

        return [*await asyncio.gather(listen(), listen()), await ctx.signal("word", str)]

    @handler
    async def again(self, ctx: Context) -> list[str]:
        word = ctx.signal(self.word)
        seen: list[str] = []
        try:
            async with asyncio.timeout(0.03):
                await word
        except TimeoutError:
            seen.append("timed out")
        await ctx.service_client(Speaker).say(Said(to=ctx.invocation_id, words=[("word", "late")]))
        return [*seen, await word, await word]

    @handler
    async def caught(self, ctx: Context, key: str) -> str:
        word = ctx.signal(self.word)
        self.seen.note(key, "listens")
        try:
            return await word
        except Cancelled:
            await ctx.run("caught", self.seen.act, key, "cancelled")
        return f"{await word} after the cancel"

    @handler
    async def hears_nothing(self, ctx: Context) -> bool:
        await ctx.service_client(Speaker).say_nothing(ctx.invocation_id)
        return (await asyncio.gather(ctx.signal(self.nothing)))[0] is None


class Speaker(Recording, Service, name="ContractSpeaker"):
    @handler
    async def say(self, ctx: Context, said: Said) -> None:
        listener = ctx.invocation_by_id(said.to)
        for name, word in said.words:
            if name == GO:
                await listener.signal(GO, type(None)).resolve(None)
            else:
                await listener.signal(name, str).resolve(word)

    @handler
    async def say_nothing(self, ctx: Context, to: str) -> None:
        await ctx.invocation(Listener.hears_nothing, to).signal(Listener.nothing).resolve(None)

    @handler
    async def say_number(self, ctx: Context, to: str) -> None:
        await ctx.invocation_by_id(to).signal("word", int).resolve(5)

    @handler
    async def refuse(self, ctx: Context, to: str) -> None:
        word = ctx.invocation(Listener.wait, to).signal(Listener.word)
        await word.reject(Declined(reason="inside", limit=9))

    @handler
    async def refuse_plainly(self, ctx: Context, to: str) -> None:
        await ctx.invocation(Listener.wait, to).signal(Listener.word).reject(TerminalError("not today"))


class Turn(Recording, VirtualObject, name="ContractTurn"):
    word = Signal[str]()

    @handler
    async def take(self, ctx: ObjectContext) -> str:
        return await ctx.signal(self.word)


class Talk(Recording, Workflow, name="ContractTalk"):
    word = Signal[str]()

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        return await ctx.signal(self.word)

    @handler
    async def say(self, ctx: WorkflowSharedContext, word: str) -> None:
        await ctx.workflow_client(Talk, ctx.key).run.handle().signal(Talk.word).resolve(word)


DEFINITIONS = (Listener, Speaker, Turn, Talk)


async def say(stage: Stage, to: str, *words: tuple[str, str]) -> None:
    """Have one handler say all of it."""
    await stage.client.service_client(Speaker).say(Said(to=to, words=list(words)))


@guarantee
async def resolved_from_a_handler(stage: Stage) -> None:
    """A handler resolves a signal of another invocation, by its id and the name."""
    key = stage.key()
    sent = await stage.client.service_client(Listener).wait.send(key)
    await stage.seen.until(key, "listens")
    await say(stage, sent.id, ("word", "from a handler"))
    equal(await sent.result(), "from a handler")


@guarantee
async def resolved_from_outside(stage: Stage) -> None:
    """A client resolves a signal of an invocation by its handle."""
    key = stage.key()
    sent = await stage.client.service_client(Listener).wait.send(key)
    await stage.seen.until(key, "listens")
    await sent.signal(Listener.word).resolve("from outside")
    equal(await sent.result(), "from outside")


@guarantee
async def rejected(stage: Stage) -> None:
    """A rejected signal raises its error, with its class and fields; a plain one its sentence."""
    listener, speaker = stage.client.service_client(Listener), stage.client.service_client(Speaker)
    sent = await listener.wait.send(stage.key())
    await speaker.refuse(sent.id)
    error = await raised(Declined, sent.result())
    equal((error.code, error.reason, error.limit), (402, "inside", 9))
    plain = await listener.wait.send(stage.key())
    await speaker.refuse_plainly(plain.id)
    equal((await raised(TerminalError, plain.result())).message, "not today")


@guarantee
async def answered_before(stage: Stage) -> None:
    """A signal may come before the handler asks for it."""
    sent = await stage.client.service_client(Listener).asks_late.send()
    await say(stage, sent.id, ("word", "early"), (GO, ""))
    equal(await sent.result(), "early")


@guarantee
async def answered_before_it_began(stage: Stage) -> None:
    """A signal may come while its invocation still waits for its turn."""
    turn = stage.client.object_client(Turn, stage.key())
    first, second = await turn.take.send(), await turn.take.send()
    await say(stage, second.id, ("word", "early"))
    await say(stage, first.id, ("word", "at once"))
    equal(await first.result(), "at once")
    equal(await second.result(), "early")


@guarantee
async def first_answer_counts(stage: Stage) -> None:
    """Of several answers the first counts, also before the handler asks; the others are accepted and ignored."""
    listener = stage.client.service_client(Listener)
    for sent in (await listener.asks_late.send(), await listener.asks_early.send()):
        await say(stage, sent.id, ("word", "first"), ("word", "second"), (GO, ""), ("word", "third"))
        equal(await sent.result(), "first")


@guarantee
async def several(stage: Stage) -> None:
    """Each of several signals gets its own answer, in whatever order they come; names may be any text."""
    names = [f"signed/{name}" for name in ("ann", "bob", "ж ü %2F?", "")]
    sent = await stage.client.service_client(Listener).several.send(names)
    await say(stage, sent.id, *((name, f"by {name}") for name in reversed(names)))
    equal(await sent.result(), [f"by {name}" for name in names])


@guarantee
async def awaited_by_several(stage: Stage) -> None:
    """Several tasks may wait for one signal, and whoever asks for its name later gets the same answer."""
    sent = await stage.client.service_client(Listener).twice.send()
    await say(stage, sent.id, ("word", "for all"))
    equal(await sent.result(), ["for all"] * 3)


@guarantee
async def awaited_again(stage: Stage) -> None:
    """A signal can be awaited again after a wait for it timed out, and after its answer."""
    equal(await stage.client.service_client(Listener).again(), ["timed out", "late", "late"])


@guarantee
async def awaited_after_a_cancel(stage: Stage) -> None:
    """A cancel ends the wait for a signal, which can be awaited again."""
    key = stage.key()
    sent = await stage.client.service_client(Listener).caught.send(key)
    await stage.seen.until(key, "listens")
    await sent.cancel()
    await stage.seen.until(key, "cancelled")
    await say(stage, sent.id, ("word", "heard"))
    equal(await sent.result(), "heard after the cancel")


@guarantee
async def none(stage: Stage) -> None:
    """A signal may be answered with None."""
    equal(await stage.client.service_client(Listener).hears_nothing(), True)


@guarantee
async def by_the_key_of_a_workflow(stage: Stage) -> None:
    """A signal reaches the run of a workflow by its key."""
    talk = stage.client.workflow_client(Talk, stage.key())
    sent = await talk.run.send()
    await talk.say("by key")
    equal(await sent.result(), "by key")


@guarantee
async def to_nobody(stage: Stage) -> None:
    """A signal to an invocation that is over, or forgotten, is none for its sender to worry about."""
    sent = await stage.client.service_client(Listener).wait.send(stage.key())
    await say(stage, sent.id, ("word", "heard"))
    equal(await sent.result(), "heard")
    await say(stage, sent.id, ("word", "after the end"))
    await stage.admin.purge(sent.id)
    await say(stage, sent.id, ("word", "to nobody"))
    await stage.client.workflow_client(Talk, stage.key()).say("to nobody")


@guarantee
async def over_a_restart(stage: Stage) -> None:
    """A handler that waits hears a signal after a restart, and one that has heard it goes on with it."""
    key = stage.key()
    listener = stage.client.service_client(Listener)
    early, late = await listener.asks_late.send(), await listener.wait.send(key)
    await say(stage, early.id, ("word", "before"))
    await stage.seen.until(key, "listens")
    await stage.restart()
    await say(stage, early.id, (GO, ""))
    await say(stage, late.id, ("word", "after"))
    equal(await stage.client.invocation(Listener.asks_late, early.id).result(), "before")
    equal(await stage.client.invocation(Listener.wait, late.id).result(), "after")


@guarantee
async def wrong_answer(stage: Stage) -> None:
    """A signal answered with something of another type pauses who waits for it."""
    sent = await stage.client.service_client(Listener).wait.send(stage.key())
    await stage.client.service_client(Speaker).say_number(sent.id)
    reason = await stage.paused_because(sent.id)
    await stage.admin.kill(sent.id)
    true("signal 'word'" in reason and "5" in reason, f"the reason does not say what is wrong: {reason}")
