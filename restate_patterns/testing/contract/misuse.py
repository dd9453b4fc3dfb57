"""Misuse: what cannot work pauses with a sentence, and is never lost, retried for ever or silently wrong."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from restate_patterns.api.awakeables import AwakeableId
from restate_patterns.api.context import Context, ObjectSharedContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import Killed, TerminalError
from restate_patterns.testing.contract.calls import Callee
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage


class Misuse(Recording, Service, name="ContractMisuse"):
    @handler
    async def forgotten_call(self, ctx: Context) -> str:
        ctx.service_client(Callee).double(1)  # type: ignore[unused-coroutine] # the mistake under test  # pyright: ignore[reportUnusedCoroutine] - the mistake under test
        return "done"

    @handler
    async def foreign_wait(self, ctx: Context) -> str:
        await asyncio.get_running_loop().create_future()
        return "done"

    @handler
    async def thread(self, ctx: Context) -> str:
        await asyncio.to_thread(str)
        return "done"

    @handler
    async def context_in_an_action(self, ctx: Context) -> str:
        async def act() -> str:
            return ctx.now().isoformat()

        return await ctx.run("act", act)

    @handler
    async def cancels_itself(self, ctx: Context) -> str:
        raise asyncio.CancelledError

    @handler
    async def spins(self, ctx: Context) -> str:
        turns = 0
        while turns >= 0:
            await asyncio.sleep(0)
            turns += 1
        return "done"

    @handler
    async def assigns(self, ctx: Context) -> str:
        self.total = 1
        return "done"

    @handler
    async def wrong_result(self, ctx: Context) -> int:
        wrong: Any = "no number"
        return cast("int", wrong)

    @handler
    async def wrong_step_result(self, ctx: Context) -> int:
        return await ctx.run("act", self.wrong)

    async def wrong(self) -> int:
        """Return what the annotation does not say."""
        wrong: Any = "no number"
        return cast("int", wrong)

    @handler
    async def wrong_answer(self, ctx: Context, key: str) -> int:
        awakeable = ctx.awakeable(int)
        await ctx.run("tell", self.seen.act, key, f"told {awakeable.id}")
        return await awakeable

    @handler
    async def bare_as_completed(self, ctx: Context) -> str:
        for next_one in asyncio.as_completed([asyncio.sleep(0.01), asyncio.sleep(0.02)]):
            await next_one
        return "done"

    @handler
    async def other_path(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "attempt")
        await ctx.run(f"step {self.seen.count(key, 'attempt') > 1}", self.seen.act, key, "step")
        await ctx.run("hold", self.seen.hold, key, "hold")
        return "done"

    @handler
    async def other_arguments(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "attempt")
        await ctx.run("step", self.seen.act, key, f"step {self.seen.count(key, 'attempt') > 1}")
        await ctx.run("hold", self.seen.hold, key, "hold")
        return "done"


class MisusedObject(Recording, VirtualObject, name="ContractMisusedObject"):
    total = State[int](default=0)

    @handler
    async def write_in_shared(self, ctx: ObjectSharedContext) -> None:
        shared: Any = ctx
        self.total.set(shared, 1)


DEFINITIONS = (Misuse, MisusedObject)


async def pauses(stage: Stage, handler: str, *words: str) -> None:
    """Expect that a handler pauses with these words among its reason."""
    sent = await getattr(stage.client.service_client(Misuse), handler).send()
    reason = await stage.paused_because(sent.id)
    await stage.admin.kill(sent.id)
    true(all(word in reason for word in words), f"the reason does not say {words}: {reason}")


@guarantee
async def forgotten_call(stage: Stage) -> None:
    """A call that is made and never awaited pauses the invocation, with its name."""
    await pauses(stage, "forgotten_call", "Callee.double", "await")


@guarantee
async def foreign_wait(stage: Stage) -> None:
    """A wait for something that no journal will bring pauses, and says to use ctx.run."""
    await pauses(stage, "foreign_wait", "ctx.run")


@guarantee
async def thread(stage: Stage) -> None:
    """A thread outside a step pauses, and says to use ctx.run."""
    await pauses(stage, "thread", "ctx.run")


@guarantee
async def context_in_an_action(stage: Stage) -> None:
    """A context used inside an action pauses, and says where it may be used."""
    await pauses(stage, "context_in_an_action", "context", "action")


@guarantee
async def stray_cancellation(stage: Stage) -> None:
    """A CancelledError that nobody asked for pauses instead of looking like a cancellation."""
    await pauses(stage, "cancels_itself", "CancelledError")


@guarantee
async def spinning(stage: Stage) -> None:
    """A handler that never waits for anything durable pauses with its name, and holds up nobody for long."""
    await pauses(stage, "spins", "ContractMisuse/spins")


@guarantee
async def state_on_self(stage: Stage) -> None:
    """Assigning to `self` in a handler pauses, and says to declare a state."""
    await pauses(stage, "assigns", "self.total", "State")


@guarantee
async def wrong_result(stage: Stage) -> None:
    """A result that is not of the annotated type pauses, of a handler and of a step."""
    await pauses(stage, "wrong_result", "Misuse.wrong_result", "no number")
    await pauses(stage, "wrong_step_result", "Misuse.wrong", "no number")


@guarantee
async def wrong_answer(stage: Stage) -> None:
    """An awakeable answered with something of another type pauses who waits for it."""
    key = stage.key()
    sent = await stage.client.service_client(Misuse).wrong_answer.send(key)
    await AwakeableId[str](await stage.seen.told(key)).resolve(stage.client, "no number")
    reason = await stage.paused_because(sent.id)
    await stage.admin.kill(sent.id)
    true("awakeable" in reason and "no number" in reason, f"the reason does not say what is wrong: {reason}")


@guarantee
async def write_in_shared(stage: Stage) -> None:
    """A write in a shared handler pauses, and says which context can write."""
    sent = await stage.client.object_client(MisusedObject, stage.key()).write_in_shared.send()
    reason = await stage.paused_because(sent.id)
    await stage.admin.kill(sent.id)
    true("ObjectContext" in reason, f"the reason does not say which context: {reason}")


@guarantee
async def bare_as_completed(stage: Stage) -> None:
    """`as_completed` over bare coroutines, which starts them in an order of addresses, pauses and says what to do."""
    await pauses(stage, "bare_as_completed", "create_task")


async def mismatched(stage: Stage, handler: str, *words: str) -> str:
    """Run a handler that takes another path on its replay, and give its id once it is paused."""
    key = stage.key()
    sent = await getattr(stage.client.service_client(Misuse), handler).send(key)
    while not stage.seen.count(key, "hold") and await stage.admin.paused_because(sent.id) is None:  # noqa: ASYNC110 - a fact of a server
        await asyncio.sleep(0.005)
    await stage.restart()
    reason = await stage.paused_because(sent.id)
    true(all(word in reason for word in words), f"the reason does not say {words}: {reason}")
    equal(stage.seen.count(key, "step True"), 0)
    return str(sent.id)


@guarantee
async def other_path(stage: Stage) -> None:
    """Code that takes another path than its journal pauses with what was expected and what was found."""
    await stage.admin.kill(await mismatched(stage, "other_path", "step False", "step True"))


@guarantee
async def other_arguments(stage: Stage) -> None:
    """A step of the same name with other arguments is another path, too."""
    await stage.admin.kill(await mismatched(stage, "other_arguments", "'step'"))


@guarantee
async def mismatch_is_not_cancelled(stage: Stage) -> None:
    """What is paused by a mismatch cannot be cancelled, because it cannot reach its undo; kill ends it."""
    paused = await mismatched(stage, "other_path")
    handle = stage.client.invocation(Misuse.other_path, paused)
    equal((await raised(TerminalError, handle.cancel())).code, 409)
    await stage.admin.kill(paused)
    await raised(Killed, handle.result())
