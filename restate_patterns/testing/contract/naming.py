"""Names made at run time: handlers, invocations, states and promises that no class names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

from pydantic import BaseModel

from restate_patterns.api.context import (
    Context,
    ObjectContext,
    ObjectSharedContext,
    WorkflowContext,
    WorkflowSharedContext,
)
from restate_patterns.api.definitions import Service, VirtualObject, Workflow
from restate_patterns.api.handlers import handler
from restate_patterns.api.invocation_handles import NotReady
from restate_patterns.api.state import State
from restate_patterns.errors import AlreadyCompleted, Cancelled, InvocationNotFound, StateNotSet, TerminalError
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage
from restate_patterns.testing.contract.steps import Declined

ODD_NAMES = ("a/b", "mit Leerzeichen", "ключ", "total", "?&%2F", "🔑")


class Parcel(BaseModel):
    """An argument of a handler that is called by name."""

    to: str
    count: int = 1


class Depot(Recording, VirtualObject, name="ContractDepot"):
    total = State[int](default=0)

    @handler(name="takeIn")
    async def take_in(self, ctx: ObjectContext, parcel: Parcel) -> int:
        self.total.set(ctx, await self.total.get(ctx) + parcel.count)
        return await self.total.get(ctx)

    @handler
    async def last(self, ctx: ObjectSharedContext) -> str | None:
        return ctx.key if await self.total.get(ctx) else None

    @handler
    async def hold(self, ctx: ObjectContext) -> str:
        await ctx.run("hold", self.seen.hold, ctx.key, "held")
        return ctx.key

    @handler
    async def wait(self, ctx: ObjectContext) -> None:
        self.seen.note(ctx.key, "waits")
        await asyncio.sleep(3600)

    @handler
    async def kept(self, ctx: ObjectContext, names: list[str]) -> list[object]:
        found: list[object] = []
        for name in names:
            state = ctx.state(name, int | str)
            found.append(await state.get(None))
            state.set(len(name))
        await ctx.run("hold", self.seen.hold, ctx.key, "hold")
        return [*found, *[await ctx.state(name, int).get() for name in names], await ctx.state_keys()]

    @handler
    async def forgotten(self, ctx: ObjectContext, name: str) -> list[object]:
        state = ctx.state(name, bytes)
        state.set(b"\xff\x00")
        found: list[object] = [(await state.get()).hex()]
        state.clear()
        return [*found, await state.get(None)]

    @handler
    async def read(self, ctx: ObjectSharedContext, name: str) -> int:
        return await ctx.state(name, int).get()


class Votes(Recording, Workflow, name="ContractVotes"):
    @handler
    async def run(self, ctx: WorkflowContext, names: list[str]) -> list[bool]:
        self.seen.note(ctx.key, "began")
        return list(await asyncio.gather(*(ctx.promise(name, bool).value() for name in names)))

    @handler
    async def vote(self, ctx: WorkflowSharedContext, name: str) -> None:
        await ctx.promise(name, bool).resolve(True)

    @handler
    async def veto(self, ctx: WorkflowSharedContext, name: str) -> None:
        await ctx.promise(name, bool).reject(Declined(reason=name, limit=3))

    @handler
    async def look(self, ctx: WorkflowSharedContext, name: str) -> bool | None:
        vote = await ctx.promise(name, bool).peek()
        return None if isinstance(vote, NotReady) else vote


class Raw(Recording, Service, name="ContractRaw"):
    @handler
    async def raw(self, ctx: Context, data: bytes) -> bytes:
        return data

    @handler
    async def content_type(self, ctx: Context, data: bytes) -> str | None:
        return ctx.headers.get("content-type")

    @handler
    async def nothing(self, ctx: Context) -> None: ...


class Router(Recording, Service, name="ContractRouter"):
    """Knows no class of those it calls."""

    @handler
    async def take_in(self, ctx: Context, key: str) -> list[object]:
        take_in = ctx.handler_client("ContractDepot", "takeIn", key=key, takes=Parcel, returns=int)
        sent = await take_in.with_options(idempotency_key=key).send(Parcel(to="ann"))
        later = await ctx.handler_client("ContractDepot", "takeIn", key=key).send_after(
            timedelta(milliseconds=1), {"to": "bob", "count": 2}
        )
        return [
            await sent.result(),
            await later.result(),
            await take_in.with_options(idempotency_key=key).handle().result(),
            await take_in(Parcel(to="eve")),
            await ctx.handler_client("ContractDepot", "last", key=key, takes=None, returns=str | None)(),
        ]

    @handler
    async def bytes(self, ctx: Context) -> list[object]:
        raw = ctx.handler_client("ContractRaw", "raw", takes=bytes, returns=bytes)
        as_json = ctx.handler_client("ContractRaw", "raw", takes=dict[str, int])
        nothing = ctx.handler_client("ContractRaw", "nothing", takes=None)
        return [(await raw(b"\xff\x00")).hex(), await as_json({"a": 1}), await nothing()]

    @handler
    async def content_types(self, ctx: Context) -> list[object]:
        as_json = ctx.handler_client("ContractRaw", "content_type")
        raw = ctx.handler_client("ContractRaw", "content_type", takes=bytes)
        csv = raw.with_options(headers={"content-type": "text/csv"})
        return [await as_json({"a": 1}), await raw(b"a"), await csv(b"a;b")]

    @handler
    async def runs(self, ctx: Context, key: str) -> list[object]:
        votes = ctx.handler_client("ContractVotes", "run", key=key)
        await votes.send([])
        return [await votes.handle().result()]

    @handler
    async def hold(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "attempt")
        return await ctx.handler_client("ContractDepot", "hold", key=key, takes=None, returns=str)()

    @handler
    async def looks(self, ctx: Context, id: str) -> list[str]:
        held = ctx.invocation_by_id(id, returns=str)
        before = await held.output()
        self.seen.note(id, "looked")
        return [type(before).__name__, await held.result(), str(await ctx.invocation_by_id(id).output())]

    @handler
    async def cancels(self, ctx: Context, id: str) -> str:
        waiting = ctx.invocation_by_id(id, returns=None)
        await waiting.cancel()
        try:
            await waiting.result()
        except Cancelled as error:
            return f"{error.code}"
        return "went on"

    @handler
    async def calls(self, ctx: Context, target: list[str | None]) -> str:
        service, name, key = target
        try:
            await ctx.handler_client(service or "", name or "", key=key, takes=None)()
        except TerminalError as error:
            return f"{error.code}"
        return "called"


DEFINITIONS = (Depot, Votes, Raw, Router)


@guarantee
async def handler_outside(stage: Stage) -> None:
    """A handler is called from outside by its wire names, whatever the key, with the types that are given."""
    for text in ("k", "a/b", "a%2Fb"):
        key = stage.key(text)
        take_in = stage.client.handler_client("ContractDepot", "takeIn", key=key, takes=Parcel, returns=int)
        last = stage.client.handler_client("ContractDepot", "last", key=key, takes=None, returns=str | None)
        equal(await last(), None)
        equal(await take_in(Parcel(to="ann", count=2)), 2)
        equal(await (await take_in.send(Parcel(to="ann"))).result(), 3)
        equal(await last(), key)


@guarantee
async def handler_inside(stage: Stage) -> None:
    """So it is from a handler: called, sent to, sent to later, and found again by an idempotency key."""
    for text in ("k", "a/b"):
        key = stage.key(text)
        equal(await stage.client.service_client(Router).take_in(key), [1, 3, 1, 4, key])


@guarantee
async def bytes_and_nothing(stage: Stage) -> None:
    """`bytes` arrive untouched, any JSON arrives where no type is given, and nothing where there is nothing."""
    raw = stage.client.handler_client("ContractRaw", "raw", takes=bytes, returns=bytes)
    equal(await raw(b"\xff\x00"), b"\xff\x00")
    equal(await raw(b""), b"")
    await stage.client.handler_client("ContractRaw", "nothing", takes=None, returns=None)()
    equal(await stage.client.service_client(Router).bytes(), ["ff00", {"a": 1}, None])


@guarantee
async def content_types(stage: Stage) -> None:
    """A handler of bytes that is called by name reads what they are: JSON, bytes, or what the caller calls them."""
    equal(await stage.client.handler_client("ContractRaw", "content_type")({"a": 1}), "application/json")
    types: list[object] = ["application/json", "application/octet-stream", "text/csv"]
    equal(await stage.client.service_client(Router).content_types(), types)


@guarantee
async def workflow(stage: Stage) -> None:
    """A workflow is run by its wire name, and its run found by its key."""
    run = stage.client.handler_client("ContractVotes", "run", key=stage.key(), returns=list[bool])
    equal(await run([]), [])
    equal(await run.handle().result(), [])
    equal(await stage.client.service_client(Router).runs(stage.key()), [list[bool]()])


@guarantee
async def handler_over_a_restart(stage: Stage) -> None:
    """A call by name that is outstanding when the process dies is not made again, and its result arrives."""
    key = stage.key()
    sent = await stage.client.service_client(Router).hold.send(key)
    await stage.seen.until(key, "held")
    await stage.restart()
    stage.seen.open(key, "held")
    equal(await stage.client.invocation_by_id(sent.id, returns=str).result(), key)


@guarantee
async def unknown_outside(stage: Stage) -> None:
    """A call from outside to a service or handler that does not exist fails with 404."""
    for service, name in (("ContractNowhere", "work"), ("ContractRaw", "missing")):
        equal(await refused_with(stage.client.handler_client(service, name, takes=None)()), 404)


async def refused_with(call: Awaitable[object]) -> int:
    """Return the code with which a call fails."""
    try:
        await call
    except TerminalError as error:
        return error.code
    raise AssertionError("it was called")


@guarantee
async def wrong_key_outside(stage: Stage) -> None:
    """A key for a service, and none for an object, is refused with 400."""
    for service, name, key in (("ContractRaw", "nothing", "k"), ("ContractDepot", "last", None)):
        equal(await refused_with(stage.client.handler_client(service, name, key=key, takes=None)()), 400)


@guarantee
async def key_of_a_service(stage: Stage) -> None:
    """A call from a handler that gives a service of the same app a key fails with a terminal 400."""
    equal(await stage.client.service_client(Router).calls(["ContractRaw", "nothing", "k"]), "400")


@guarantee
async def object_without_key(stage: Stage) -> None:
    """A call from a handler that gives an object of the same app no key fails with a terminal 400."""
    equal(await stage.client.service_client(Router).calls(["ContractDepot", "last", None]), "400")


@guarantee
async def invocation(stage: Stage) -> None:
    """An invocation is found by its id alone: its output, its result, from outside and inside."""
    key = stage.key()
    sent = await stage.client.object_client(Depot, key).hold.send()
    await stage.seen.until(key, "held")
    held = stage.client.invocation_by_id(sent.id, returns=str)
    true(isinstance(await held.output(), NotReady), "there is an output before the end")
    looking = await stage.client.service_client(Router).looks.send(sent.id)
    await stage.seen.until(sent.id, "looked")
    stage.seen.open(key, "held")
    equal(await held.result(), key)
    equal(await stage.client.invocation_by_id(sent.id, returns=bytes).output(), f'"{key}"'.encode())
    equal(await looking.result(), ["NotReady", key, key])


@guarantee
async def invocation_cancelled(stage: Stage) -> None:
    """It is cancelled by its id alone, from outside and inside."""
    for inside in (False, True):
        key = stage.key()
        sent = await stage.client.object_client(Depot, key).wait.send()
        await stage.seen.until(key, "waits")
        if inside:
            equal(await stage.client.service_client(Router).cancels(sent.id), "409")
        else:
            await stage.client.invocation_by_id(sent.id).cancel()
        await raised(Cancelled, sent.result())


@guarantee
async def invocation_unknown(stage: Stage) -> None:
    """An id that was purged names no invocation."""
    sent = await stage.client.handler_client("ContractRaw", "nothing", takes=None).send()
    await sent.result()
    await stage.admin.purge(sent.id)
    await raised(InvocationNotFound, stage.client.invocation_by_id(sent.id).output())


@guarantee
async def states(stage: Stage) -> None:
    """A state under a name made at run time is kept by the key and read by its replays, whatever the name."""
    key = stage.key()
    names = [name for name in ODD_NAMES if name != "total"]
    sent = await stage.client.object_client(Depot, key).kept.send(names)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    found = await stage.client.invocation(Depot.kept, sent.id).result()
    equal(found, [*[None] * len(names), *map(len, names), sorted(names)])
    for name in names:
        equal(await stage.client.object_client(Depot, key).read(name), len(name))


@guarantee
async def state_of_the_class(stage: Stage) -> None:
    """A name that the class declares is that state, with its default."""
    depot = stage.client.object_client(Depot, stage.key())
    equal(await depot.read("total"), 0)
    await depot.take_in(Parcel(to="ann", count=7))
    equal(await depot.read("total"), 7)


@guarantee
async def state_forgotten(stage: Stage) -> None:
    """It holds bytes as they are, and nothing once it was cleared: reading that is a terminal error that names it."""
    depot = stage.client.object_client(Depot, stage.key())
    equal(await depot.forgotten("a/b"), ["ff00", None])
    equal((await raised(StateNotSet, depot.read("a/b"))).state, "a/b")


@guarantee
async def promises(stage: Stage) -> None:
    """Promises under names made at run time are waited for, looked at and answered once each, also over a restart."""
    key = stage.key()
    votes = stage.client.workflow_client(Votes, key)
    sent = await votes.run.send(list(ODD_NAMES))
    await stage.seen.until(key, "began")
    await votes.vote(ODD_NAMES[0])
    equal([await votes.look(name) for name in ODD_NAMES[:2]], [True, None])
    await stage.restart()
    votes = stage.client.workflow_client(Votes, key)
    for name in ODD_NAMES[1:]:
        await votes.vote(name)
    equal(await stage.client.invocation(Votes.run, sent.id).result(), [True] * len(ODD_NAMES))
    equal((await raised(AlreadyCompleted, votes.vote(ODD_NAMES[0]))).code, 409)


@guarantee
async def promise_rejected(stage: Stage) -> None:
    """One that is rejected raises its error, with its class and fields, at whoever waits or looks."""
    votes = stage.client.workflow_client(Votes, stage.key())
    await votes.veto("a/b")
    error = await raised(Declined, votes.run(["a/b"]))
    equal((error.code, error.reason, error.limit), (402, "a/b", 3))
    equal((await raised(Declined, votes.look("a/b"))).reason, "a/b")
