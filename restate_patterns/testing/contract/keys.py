"""Keys: one writer at a time, first in first out, shared handlers beside it."""

from __future__ import annotations

import asyncio

from restate_patterns.api.context import Context, ObjectContext, ObjectSharedContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.errors import DeadlockError
from restate_patterns.retries import RetryPolicy
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import QUICK


class Account(Recording, VirtualObject, name="ContractAccount", retry=RetryPolicy(initial=QUICK.initial)):
    balance = State[int](default=0)

    @handler
    async def add_slowly(self, ctx: ObjectContext) -> int:
        balance = await self.balance.get(ctx)
        await asyncio.sleep(0.005)
        await ctx.run("think", self.seen.act, ctx.key, "thought")
        self.balance.set(ctx, balance + 1)
        return balance + 1

    @handler
    async def hold(self, ctx: ObjectContext, what: str) -> str:
        held = await ctx.run("hold", self.seen.hold, ctx.key, what)
        await ctx.run("ended", self.seen.act, ctx.key, f"{what} ended")
        return held

    @handler
    async def note(self, ctx: ObjectContext, what: str) -> str:
        return await ctx.run("note", self.seen.act, ctx.key, what)

    @handler
    async def look(self, ctx: ObjectSharedContext) -> int:
        return await self.balance.get(ctx)

    @handler
    async def fail_first(self, ctx: ObjectContext, key: str) -> None:
        self.seen.note(f"{key} attempts", "attempt")
        if self.seen.count(f"{key} attempts", "attempt") < 4:
            raise ConnectionError("weather")
        await ctx.run("note", self.seen.act, key, "failing one")

    @handler
    async def ask_looker(self, ctx: ObjectContext) -> int:
        self.balance.set(ctx, 12)
        return await ctx.service_client(Looker).look(ctx.key)

    @handler
    async def call_myself(self, ctx: ObjectContext) -> str:
        try:
            return await ctx.object_client(Account, ctx.key).note("inner")
        except DeadlockError as error:
            return f"{error.code} {len(error.cycle)}"

    @handler
    async def call_other(self, ctx: ObjectContext, other: str) -> str:
        await ctx.run("began", self.seen.act, ctx.key, "began")
        await ctx.run("meet", self.seen.until, other, "began")
        try:
            return await ctx.object_client(Account, other).note("inner")
        except DeadlockError as error:
            return f"{error.code}"

    @handler
    async def through_a_service(self, ctx: ObjectContext) -> str:
        return await ctx.service_client(Looker).note(ctx.key)

    @handler
    async def wait_for_myself(self, ctx: ObjectContext) -> str:
        handle = await ctx.object_client(Account, ctx.key).note.send("sent")
        try:
            return await handle.result()
        except DeadlockError as error:
            return f"{error.code}"

    @handler
    async def inline(self, ctx: ObjectContext) -> str:
        return await self.note.inline(ctx, "inline")

    @handler
    async def call_myself_for_a_while(self, ctx: ObjectContext) -> str:
        try:
            async with asyncio.timeout(0.06):
                return await ctx.object_client(Account, ctx.key).note("later")
        except TimeoutError:
            return "timed out"


class Looker(Recording, Service, name="ContractLooker"):
    @handler
    async def note(self, ctx: Context, key: str) -> str:
        return await ctx.object_client(Account, key).note("through a service")

    @handler
    async def look(self, ctx: Context, key: str) -> int:
        return await ctx.object_client(Account, key).look()


DEFINITIONS = (Account, Looker)


@guarantee
async def single_writer(stage: Stage) -> None:
    """Exclusive handlers of a key run one at a time, also while one waits: no write is lost."""
    account = stage.client.object_client(Account, stage.key())
    found = await asyncio.gather(*(account.add_slowly() for _ in range(10)))
    equal(sorted(found), list(range(1, 11)))
    equal(await account.look(), 10)


@guarantee
async def first_in_first_out(stage: Stage) -> None:
    """They run in the order in which they were accepted."""
    key = stage.key()
    account = stage.client.object_client(Account, key)
    await account.hold.send("first")
    await stage.seen.until(key, "first")
    for number in range(6):
        await account.note.send(f"{number}")
    stage.seen.open(key, "first")
    equal(await account.note("last"), "last")
    equal(stage.seen.notes(key), ["first", "first ended", "0", "1", "2", "3", "4", "5", "last"])


@guarantee
async def holder_keeps_its_key(stage: Stage) -> None:
    """A handler that fails and is tried again keeps its key: nobody overtakes it."""
    key = stage.key()
    account = stage.client.object_client(Account, key)
    await account.fail_first.send(key)
    await account.note("behind it")
    equal(stage.seen.notes(key), ["failing one", "behind it"])


@guarantee
async def keys_do_not_wait(stage: Stage) -> None:
    """A key that is held holds up no other key."""
    key, other_key = stage.key(), stage.key()
    sent = await stage.client.object_client(Account, key).hold.send("held")
    await stage.seen.until(key, "held")
    equal(await stage.client.object_client(Account, other_key).note("free"), "free")
    true(stage.seen.count(key, "held") == 1, "the holder ran again")
    stage.seen.open(key, "held")
    await sent.result()


@guarantee
async def shared_beside(stage: Stage) -> None:
    """Shared handlers run while an exclusive one holds the key."""
    key = stage.key()
    account = stage.client.object_client(Account, key)
    sent = await account.hold.send("held")
    await stage.seen.until(key, "held")
    equal(await asyncio.gather(*(account.look() for _ in range(5))), [0] * 5)
    stage.seen.open(key, "held")
    await sent.result()


@guarantee
async def shared_from_within(stage: Stage) -> None:
    """An exclusive handler may ask a shared one of its own key, through others, and it sees its write."""
    equal(await stage.client.object_client(Account, stage.key()).ask_looker(), 12)


@guarantee
async def holder_and_line_over_a_restart(stage: Stage) -> None:
    """After a restart the one that held the key goes on, and the others follow in their order."""
    key = stage.key()
    account = stage.client.object_client(Account, key)
    await account.hold.send("held")
    await stage.seen.until(key, "held")
    for number in range(3):
        await account.note.send(f"{number}")
    await stage.restart()
    stage.seen.open(key, "held")
    await stage.seen.until(key, "2")
    equal([note for note in stage.seen.notes(key) if note != "held"], ["held ended", "0", "1", "2"])


@guarantee
async def deadlock_with_itself(stage: Stage) -> None:
    """A call to the key that the caller holds fails at once with a DeadlockError that shows the cycle."""
    found = await stage.client.object_client(Account, stage.key()).call_myself()
    true(found.startswith("409 "), f"the call gave {found!r}")


@guarantee
async def deadlock_through_a_service(stage: Stage) -> None:
    """A cycle that goes through a service is found as well; its error shows each part to the client."""
    key = stage.key()
    error = await raised(DeadlockError, stage.client.object_client(Account, key).through_a_service())
    equal(error.code, 409)
    cycle = " ".join(error.cycle)
    true(f"ContractAccount/{key}" in cycle and "ContractLooker" in cycle, f"the cycle is {error.cycle}")


@guarantee
async def deadlock_through_a_handle(stage: Stage) -> None:
    """Waiting for the result of what was sent to one's own key is a deadlock too; what was sent runs afterwards."""
    key = stage.key()
    equal(await stage.client.object_client(Account, key).wait_for_myself(), "409")
    await stage.seen.until(key, "sent")


@guarantee
async def inline(stage: Stage) -> None:
    """Running a handler's body inline needs no key: it is no call."""
    equal(await stage.client.object_client(Account, stage.key()).inline(), "inline")


@guarantee
async def deadlock_of_two(stage: Stage) -> None:
    """Of two objects that call each other one gets a DeadlockError, and the other its result."""
    one, other = stage.key(), stage.key()
    client = stage.client
    calls = [client.object_client(Account, one).call_other(other), client.object_client(Account, other).call_other(one)]
    equal(sorted(await asyncio.gather(*calls)), ["409", "inner"])


@guarantee
async def no_deadlock_under_a_timeout(stage: Stage) -> None:
    """A call to one's own key under a timeout is no deadlock: it times out, and runs when the key is free."""
    key = stage.key()
    equal(await stage.client.object_client(Account, key).call_myself_for_a_while(), "timed out")
    await stage.seen.until(key, "later")
