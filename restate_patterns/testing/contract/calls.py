"""Calls: between handlers and from outside."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from restate_patterns.api.context import Context, ObjectContext
from restate_patterns.api.definitions import Service, VirtualObject
from restate_patterns.api.handlers import handler
from restate_patterns.api.state import State
from restate_patterns.client.errors import RequestRefused
from restate_patterns.errors import TerminalError
from restate_patterns.testing.contract.expect import equal, raised, true
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage


class Callee(Recording, Service, name="ContractCallee"):
    @handler
    async def double(self, ctx: Context, number: int) -> int:
        return 2 * number

    @handler
    async def held(self, ctx: Context, key: str) -> str:
        return await ctx.run("hold", self.seen.hold, key, "callee")

    @handler(private=True)
    async def secret(self, ctx: Context) -> str:
        return "inside only"

    @handler
    async def headers(self, ctx: Context, name: str) -> str | None:
        return ctx.headers.get(name)

    @handler
    async def factorial(self, ctx: Context, number: int) -> int:
        return 1 if number < 2 else number * await ctx.service_client(Callee).factorial(number - 1)

    @handler
    async def id(self, ctx: Context) -> str:
        return ctx.invocation_id

    @handler(name="renamedOnTheWire")
    async def renamed(self, ctx: Context) -> str:
        return "found"

    @handler
    async def with_default(self, ctx: Context, number: int = 7) -> int:
        return number


class Keyed(Recording, VirtualObject, name="ContractKeyed"):
    count = State[int](default=0)

    @handler
    async def add(self, ctx: ObjectContext) -> int:
        count = await self.count.get(ctx) + 1
        self.count.set(ctx, count)
        return count

    @handler
    async def my_key(self, ctx: ObjectContext) -> str:
        return ctx.key


class Caller(Recording, Service, name="ContractCaller"):
    @handler
    async def double(self, ctx: Context, number: int) -> int:
        return await ctx.service_client(Callee).double(number)

    @handler
    async def held(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "attempt")
        return await ctx.service_client(Callee).held(key)

    @handler
    async def add_to(self, ctx: Context, key: str) -> int:
        count = await ctx.object_client(Keyed, key).add()
        await ctx.run("hold", self.seen.hold, key, "hold")
        return count

    @handler
    async def secret(self, ctx: Context) -> str:
        return await ctx.service_client(Callee).secret()

    @handler
    async def pass_header(self, ctx: Context, name: str) -> str | None:
        headers = {name: ctx.headers[name]}
        return await ctx.service_client(Callee).headers.with_options(headers=headers)(name)

    @handler
    async def impatient(self, ctx: Context, key: str) -> str:
        limited = ctx.service_client(Callee).held.with_options(timeout=timedelta(milliseconds=80))
        try:
            return await limited(key)
        except TimeoutError:
            return "timed out"

    @handler
    async def many(self, ctx: Context, count: int) -> list[int]:
        callee = ctx.service_client(Callee)
        return list(await asyncio.gather(*(callee.double(number) for number in range(count))))

    @handler
    async def keyed(self, ctx: Context, key: str) -> str:
        return await ctx.object_client(Keyed, key).my_key()

    @handler
    async def renamed(self, ctx: Context) -> str:
        return await ctx.service_client(Callee).renamed()

    @handler
    async def unknown(self, ctx: Context) -> str:
        try:
            return await ctx.service_client(Nowhere).work()
        except TerminalError as error:
            return f"{error.code}"


class Nowhere(Service, name="ContractNowhere"):
    """Is not hosted."""

    @handler
    async def work(self, ctx: Context) -> str:
        return ""


class More(Service, name="ContractCallee"):
    """Knows of a handler that the hosted service does not have."""

    @handler
    async def missing(self, ctx: Context) -> str:
        return ""


DEFINITIONS = (Callee, Keyed, Caller)


@guarantee
async def result(stage: Stage) -> None:
    """A call gives what the handler returned, from outside and inside a handler."""
    equal(await stage.client.service_client(Callee).double(21), 42)
    equal(await stage.client.service_client(Caller).double(21), 42)


@guarantee
async def default_argument(stage: Stage) -> None:
    """An argument that has a default may be left out."""
    callee = stage.client.service_client(Callee)
    equal(await callee.with_default(), 7)
    equal(await callee.with_default(8), 8)


@guarantee
async def once_over_a_restart(stage: Stage) -> None:
    """A call that is outstanding when the process dies is not made again, and its result arrives."""
    key = stage.key()
    handle = await stage.client.service_client(Caller).held.send(key)
    await stage.seen.until(key, "callee")
    await stage.restart()
    stage.seen.open(key, "callee")
    equal(await stage.client.invocation(Caller.held, handle.id).result(), "callee")
    true(stage.seen.count(key, "callee") <= 2, "the call was made a second time")


@guarantee
async def answered_never_again(stage: Stage) -> None:
    """A call that was answered is not made again when its caller is replayed."""
    key = stage.key()
    sent = await stage.client.service_client(Caller).add_to.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    equal(await stage.client.invocation(Caller.add_to, sent.id).result(), 1)
    equal(await stage.client.object_client(Keyed, key).add(), 2)


@guarantee
async def keys_are_any_text(stage: Stage) -> None:
    """A key may be any text: slashes, spaces, percent signs, other alphabets."""
    for text in ("a/b", "a%2Fb", "mit Leerzeichen", "ключ/鍵/🔑", "?&#+=;:@", "."):
        key = stage.key(text)
        equal(await stage.client.object_client(Keyed, key).my_key(), key)
        equal(await stage.client.service_client(Caller).keyed(key), key)


@guarantee
async def private_from_inside_only(stage: Stage) -> None:
    """A private handler is called by other handlers; from outside it is refused with 400."""
    equal(await stage.client.service_client(Caller).secret(), "inside only")
    error = await raised(RequestRefused, stage.client.service_client(Callee).secret())
    equal(error.code, 400)


@guarantee
async def unknown_from_outside(stage: Stage) -> None:
    """A call from outside to a service or handler that does not exist fails with 404."""
    equal((await raised_by_class(stage, Nowhere)).code, 404)
    equal((await raised_by_class(stage, More)).code, 404)


async def raised_by_class(stage: Stage, definition: type[Nowhere] | type[More]) -> TerminalError:
    """Return how a call fails of what is not hosted."""
    try:
        if issubclass(definition, Nowhere):
            await stage.client.service_client(definition).work()
        else:
            await stage.client.service_client(definition).missing()
    except TerminalError as error:
        return error
    raise AssertionError(f"{definition.__name__} was found")


@guarantee
async def unknown_from_inside(stage: Stage) -> None:
    """A call from a handler to a service that does not exist fails with a terminal 404."""
    handle = await stage.client.service_client(Caller).unknown.send()
    try:
        equal(await handle.result(timeout=timedelta(seconds=3)), "404")
    finally:
        await handle.cancel()


@guarantee
async def headers_travel(stage: Stage) -> None:
    """Headers given to a call are read in the handler, in lower case; it may hand them on."""
    value = stage.key("trace")
    callee = stage.client.service_client(Callee)
    equal(await callee.headers.with_options(headers={"X-Trace": value})("x-trace"), value)
    caller = stage.client.service_client(Caller)
    equal(await caller.pass_header.with_options(headers={"x-trace": value})("x-trace"), value)


@guarantee
async def timeout_inside(stage: Stage) -> None:
    """A call's timeout ends the wait of the handler; the callee goes on and ends."""
    key = stage.key()
    equal(await stage.client.service_client(Caller).impatient(key), "timed out")
    await stage.seen.until(key, "callee")
    stage.seen.open(key, "callee")


@guarantee
async def timeout_outside(stage: Stage) -> None:
    """A call's timeout ends the wait of a client; the invocation goes on, and its result can be had later."""
    key = stage.key()
    held = stage.client.service_client(Callee).held.with_options(idempotency_key=stage.key("once"))
    await held.send(key)
    await stage.seen.until(key, "callee")
    await raised(TimeoutError, held.with_options(timeout=timedelta(milliseconds=60))(key))
    stage.seen.open(key, "callee")
    equal(await held.handle().result(), "callee")
    equal(stage.seen.count(key, "callee"), 1)


@guarantee
async def many_at_once(stage: Stage) -> None:
    """Two hundred calls made at once each get their own result."""
    equal(await stage.client.service_client(Caller).many(200), [2 * number for number in range(200)])


@guarantee
async def many_clients(stage: Stage) -> None:
    """A hundred calls from outside at the same time each get their own result."""
    callee = stage.client.service_client(Callee)
    found = await asyncio.gather(*(callee.double(number) for number in range(100)))
    equal(list(found), [2 * number for number in range(100)])


@guarantee
async def caller_gone(stage: Stage) -> None:
    """A client that gives up waiting cancels nothing."""
    key = stage.key()
    held = stage.client.service_client(Callee).held.with_options(idempotency_key=stage.key("once"))
    waiting = asyncio.ensure_future(held(key))
    await stage.seen.until(key, "callee")
    waiting.cancel()
    await asyncio.wait([waiting])
    stage.seen.open(key, "callee")
    equal(await held.handle().result(), "callee")


@guarantee
async def wire_names(stage: Stage) -> None:
    """A handler is called by its wire name, whatever it is called in Python."""
    equal(await stage.client.service_client(Callee).renamed(), "found")
    equal(await stage.client.service_client(Caller).renamed(), "found")


@guarantee
async def recursion(stage: Stage) -> None:
    """A service may call itself: it holds no key."""
    equal(await stage.client.service_client(Callee).factorial(20), 2432902008176640000)


@guarantee
async def invocation_id(stage: Stage) -> None:
    """The id that the handler reads is that of the caller's handle; each invocation has its own."""
    callee = stage.client.service_client(Callee)
    first, second = await callee.id.send(), await callee.id.send()
    equal(await first.result(), first.id)
    equal(await second.result(), second.id)
    true(first.id != second.id, f"two invocations have the id {first.id}")
