"""Handlers and invocations by name: the same verbs without the class, and the sentences about what can't be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from restate_patterns import (
    Context,
    InvocationHandle,
    InvocationNotFound,
    NotReady,
    ObjectContext,
    Saga,
    Service,
    State,
    TerminalError,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WrongValue,
    handler,
)
from tests.support.engines.apps import running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


class Ticket(BaseModel):
    seat: str
    price: int = 3


class Cart(VirtualObject, name="NamedCart"):
    seats = State[list[str]](default_factory=list)

    @handler(name="addTicket")
    async def add(self, ctx: ObjectContext, ticket: Ticket) -> int:
        self.seats.set(ctx, [*await self.seats.get(ctx), ticket.seat])
        return len(await self.seats.get(ctx))

    @handler
    async def all(self, ctx: ObjectContext) -> list[str]:
        return await self.seats.get(ctx)

    @handler
    async def first(self, ctx: ObjectContext) -> str | None:
        return next(iter(await self.seats.get(ctx)), None)


class Blobs(Service, name="NamedBlobs"):
    @handler
    async def turn(self, ctx: Context, blob: bytes) -> bytes:
        return blob[::-1]

    @handler
    async def nothing(self, ctx: Context) -> None: ...


class Signup(Workflow, name="NamedSignup"):
    @handler
    async def run(self, ctx: WorkflowContext, name: str) -> str:
        return f"{ctx.key} is {name}"


class Gateway(Service):
    """Asks for handlers by name, as one does that knows no class."""

    @handler
    async def all(self, ctx: Context, key: str) -> list[object]:
        add = ctx.handler_client("NamedCart", "addTicket", key=key, takes=Ticket, returns=int)
        sent = await add.with_options(idempotency_key="once").send(Ticket(seat="A1"))
        return [
            await sent.result(),
            await add.with_options(idempotency_key="once").handle().result(),
            await ctx.handler_client("NamedCart", "addTicket", key=key)({"seat": "A2"}),
            await ctx.handler_client("NamedCart", "first", key=key, takes=None, returns=str | None)(),
            (await ctx.handler_client("NamedBlobs", "turn", takes=bytes, returns=bytes)(b"\xff\x00")).hex(),
            await ctx.handler_client("NamedBlobs", "nothing", takes=None)(),
            await ctx.handler_client("NamedSignup", "run", key=key, takes=str, returns=str)("ann"),
            await ctx.handler_client("NamedSignup", "run", key=key, returns=str).handle().result(),
            await ctx.invocation_by_id(sent.id, returns=int).result(),
            await ctx.invocation_by_id(sent.id).output(),
        ]

    @handler
    async def undone(self, ctx: Context, key: str) -> None:
        async with Saga(ctx) as saga:
            saga.undo(ctx.handler_client("NamedCart", "addTicket", key=key, takes=Ticket), Ticket(seat="undone"))
            await saga.call(ctx.handler_client("NamedCart", "addTicket", key=key, returns=int), {"seat": "called"})
            raise TerminalError("no")

    @handler
    async def refused(self, ctx: Context) -> list[str]:
        said: list[str] = []
        for service, name, key in (
            ("Nowhere", "work", None),
            ("NamedCart", "missing", "k"),
            ("NamedCart", "first", None),
            ("NamedBlobs", "nothing", "k"),
        ):
            client = ctx.handler_client(service, name, key=key, takes=None)
            for verb in (client, client.send):
                try:
                    await verb()
                except TerminalError as error:
                    said.append(f"{error.code} {error.message}")
        return said


async def test_the_verbs_of_a_handler_by_name_inside_a_handler() -> None:
    """Argument and result are of the given types, of any JSON, bytes, or nothing; whatever the key."""
    async with running(Cart(), Blobs(), Signup(), Gateway()) as app:
        for key in ("ann", "a/b?c"):
            found = await app.client.service_client(Gateway).all(key)
            assert found == [1, 1, 2, "A1", "00ff", None, f"{key} is ann", f"{key} is ann", 1, 1]


async def test_the_same_outside() -> None:
    async with running(Cart(), Blobs(), Signup()) as app:
        client = app.client
        add = client.handler_client("NamedCart", "addTicket", key="a/b", takes=Ticket, returns=int)
        first = client.handler_client("NamedCart", "first", key="a/b", takes=None, returns=str | None)
        assert await first() is None
        assert await add(Ticket(seat="A1")) == 1
        assert await first() == "A1"
        assert await client.object_client(Cart, "a/b").first() == "A1"
        assert await client.handler_client("NamedBlobs", "turn", takes=bytes)(b"]1[") == [1]
        run = client.handler_client("NamedSignup", "run", key="k")
        handle = await run.send("ann")
        assert await run.handle().result() == "k is ann"
        assert repr(add) == "<NamedCart/addTicket of key 'a/b'>"
        assert repr(client.invocation_by_id(handle.id)) == f"<handle of invocation {handle.id} by {handle.id}>"
        with pytest.raises(InvocationNotFound):
            await client.handler_client("NamedCart", "run", key="k").handle().result()


async def test_a_saga_calls_and_undoes_by_name() -> None:
    async with running(Cart(), Gateway()) as app:
        with pytest.raises(TerminalError, match="no"):
            await app.client.service_client(Gateway).undone("a/b")
        assert await app.client.object_client(Cart, "a/b").all() == ["called", "undone"]


REFUSED = [
    "404 service 'Nowhere' not found, make sure to add it to the App",
    "404 the service 'NamedCart' exists, but the handler 'missing' was not found",
    "400 the handlers of 'NamedCart', a VirtualObject, are called with a key, and none is given",
    "400 'NamedBlobs' is a Service, which has no keys: call its handlers without one",
]


async def test_whom_there_is_not_is_a_terminal_error() -> None:
    """Inside and outside, of calls and of sends: what has no such name, and what has a key too many or too few."""
    async with running(Cart(), Blobs(), Gateway()) as app:
        said = await app.client.service_client(Gateway).refused()
        assert said == [sentence for sentence in REFUSED for _ in range(2)]
        for service, name, key in (("NamedCart", "first", None), ("NamedBlobs", "nothing", "k")):
            client = app.client.handler_client(service, name, key=key, takes=None)
            for verb in (client, client.send):
                with pytest.raises(TerminalError, match="key") as refused:
                    await verb()
                assert refused.value.code == 400


async def test_an_id_says_as_much_as_a_handler() -> None:
    """Result, look and cancel by the id alone."""
    async with running(Cart()) as app:
        first = app.client.object_client(Cart, "ann").first
        sent = await first.send()
        handle: InvocationHandle[str | None] = app.client.invocation_by_id(sent.id, returns=str | None)
        assert handle.id == sent.id
        assert await handle.result() is None
        assert not isinstance(await handle.output(), NotReady)
        await handle.cancel()


MISUSES: list[tuple[Callable[[Any], object], str]] = [
    (lambda client: client.handler_client(Cart, "first", key="a"), r"the service is named by its wire name, not by"),
    (
        lambda client: client.handler_client("NamedCart", Cart.first),
        r"the handler is named by .*Cart\.add_ticket\.name",
    ),
    (lambda client: client.handler_client("a/b", "first"), r"'a/b' \(str\) can't be the wire name of a service"),
    (lambda client: client.handler_client("NamedCart", ""), r"'' \(str\) can't be the wire name of a handler"),
    (lambda client: client.handler_client("NamedCart", "x\n"), r"can't be the wire name of a handler"),
    (
        lambda client: client.handler_client("C", "f", key=3),
        r"client\('C', 'f', key=...\): the key must be text",
    ),
    (lambda client: client.handler_client("C", "f", takes=pytest.Session), r"C/f, takes=: Session can't be turned"),
    (lambda client: client.handler_client("C", "f", returns=3), r"C/f, returns=: 3 can't be turned into JSON"),
    (lambda client: client.handler_client("C", "f").handle(), r"C/f\.handle\(\) finds .*idempotency key"),
    (lambda client: client.invocation_by_id(3), r"invocation_by_id\(id\): the id must be text, not 3"),
    (lambda client: client.invocation_by_id("inv_1", returns=pytest.Session), r"Session can't be turned into JSON"),
]


@pytest.mark.parametrize(("misuse", "sentence"), MISUSES)
async def test_what_can_be_no_name_or_type_is_refused_with_the_sentence(
    misuse: Callable[[Any], object], sentence: str
) -> None:
    async with running(Cart()) as app:
        with pytest.raises(UsageError, match=sentence):
            misuse(app.client)


async def test_a_value_of_another_type_is_refused_where_it_is_given() -> None:
    async with running(Cart()) as app:
        add: Any = app.client.handler_client("NamedCart", "addTicket", key="a", takes=Ticket, returns=int)
        with pytest.raises(WrongValue, match=r"NamedCart/addTicket, the argument 'value': 3 is not of the type Ticket"):
            await add(3)
        with pytest.raises(WrongValue, match=r"NamedCart/addTicket takes one argument.*called with \(\)"):
            await add()
