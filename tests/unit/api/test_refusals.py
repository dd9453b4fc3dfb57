"""What type checkers let pass and the run time refuses, each with its sentence and the way out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from restate_patterns import (
    App,
    AwakeableId,
    Context,
    DefinitionError,
    DurablePromise,
    InvocationHandle,
    ObjectContext,
    ObjectSharedContext,
    Service,
    State,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    handler,
)
from tests.support.engines.apps import running


@dataclass
class Helper(Service):
    http: object

    @handler
    async def work(self, ctx: Context) -> None: ...


class Ticket(VirtualObject):
    status = State[str](default="new")
    attempts = State[int](default=0)

    @handler
    async def look(self, ctx: ObjectSharedContext) -> str:
        return await self.status.get(ctx)

    @handler
    async def own_call(self, ctx: ObjectContext) -> None:
        await self.look()

    @handler
    async def own_send(self, ctx: ObjectContext) -> None:
        await self.look.send()

    @handler
    async def own_options(self, ctx: ObjectContext) -> None:
        self.look.with_options(idempotency_key="k")

    @handler
    async def own_handle(self, ctx: ObjectContext) -> None:
        self.look.handle()

    @handler
    async def assigned(self, ctx: ObjectContext) -> None:
        self.count = 3

    @handler
    async def state_assigned(self, ctx: ObjectContext) -> None:
        self.attempts = 3  # type: ignore[assignment]

    @handler
    async def handler_assigned(self, ctx: ObjectContext) -> None:
        self.look = None  # type: ignore[assignment]

    @handler
    async def others_state(self, ctx: ObjectContext) -> None:
        await ctx.object_client(Ticket, "other").status.get(ctx)

    @handler
    async def written_when_shared(self, ctx: ObjectSharedContext) -> None:
        context: Any = ctx
        self.status.set(context, "x")

    @handler
    async def wrong_value(self, ctx: ObjectContext) -> None:
        value: Any = 3
        self.status.set(ctx, value)

    @handler
    async def forgotten_call(self, ctx: ObjectContext) -> None:
        ctx.service_client(Helper).work()  # type: ignore[unused-coroutine]

    @handler
    async def forgotten_send(self, ctx: ObjectContext) -> None:
        ctx.service_client(Helper).work.send()  # type: ignore[unused-coroutine]

    @handler
    async def forgotten_step(self, ctx: ObjectContext) -> None:
        ctx.run("charge", dict)  # type: ignore[unused-coroutine]

    @handler
    async def forgotten_state(self, ctx: ObjectContext) -> None:
        self.status.get(ctx)  # type: ignore[unused-coroutine]

    @handler
    async def forgotten_awakeable(self, ctx: ObjectContext) -> None:
        AwakeableId[bool]("sign_1").resolve(ctx, True)  # type: ignore[unused-coroutine]

    @handler
    async def wrong_result(self, ctx: ObjectContext) -> int:
        result: Any = "x"
        return result  # type: ignore[no-any-return]


class Other(VirtualObject):
    @handler
    async def foreign_state(self, ctx: ObjectContext) -> str:
        state: State[str] = vars(Ticket)["status"]
        return await state.get(ctx)

    @handler
    async def class_state(self, ctx: ObjectContext) -> str:
        return await Ticket.status.get(ctx)


class Steps(VirtualObject):
    """Each key asks for one thing that can't be."""

    @handler
    async def argument(self, ctx: ObjectContext) -> None:
        await ctx.run("x", print, ctx)

    @handler
    async def keyword(self, ctx: ObjectContext) -> None:
        await ctx.run("x", dict, context=ctx)

    @handler
    async def result(self, ctx: ObjectContext) -> None:
        await ctx.run("x", lambda: ctx)

    @handler
    async def closure(self, ctx: ObjectContext) -> None:
        await ctx.run("x", lambda: str(ctx.now()))

    @handler
    async def closure_dice(self, ctx: ObjectContext) -> None:
        await ctx.run("x", lambda: [ctx.random.random()])

    @handler
    async def called(self, ctx: ObjectContext) -> None:
        async def action() -> int:
            return 1

        coroutine: Any = action()
        await ctx.run("x", coroutine)

    @handler
    async def not_plain(self, ctx: ObjectContext) -> None:
        await ctx.run("x", lambda: {1, 2})

    @handler
    async def not_annotated(self, ctx: ObjectContext) -> None:
        def action() -> int:
            result: Any = "x"
            return result  # type: ignore[no-any-return]

        await ctx.run("x", action)

    @handler
    async def opaque(self, ctx: ObjectContext) -> None:
        def action() -> pytest.Session:
            raise NotImplementedError

        await ctx.run("x", action)

    @handler
    async def client_argument(self, ctx: ObjectContext) -> None:
        await ctx.run("x", print, ctx.object_client(Ticket, "a"))


class Registration(Workflow):
    done = DurablePromise[bool]()

    @handler
    async def run(self, ctx: WorkflowContext) -> None: ...


IN_HANDLERS: list[tuple[Any, str]] = [
    (
        Ticket.own_call,
        r"`self\.look\(\.\.\.\)`: self is no client.*self\.look\.inline\(ctx.*object_client\(Ticket, key\)",
    ),
    (Ticket.own_send, r"`self\.look\.send\(\.\.\.\)`: self is no client"),
    (Ticket.own_options, r"`self\.look\.with_options\(\.\.\.\)`: self is no client"),
    (Ticket.own_handle, r"`self\.look\.handle\(\.\.\.\)`: self is no client"),
    (Ticket.assigned, r"`self\.count = \.\.\.` in a handler of Ticket.*`count = State\[\.\.\.\]\(\)`"),
    (Ticket.state_assigned, r"`self\.attempts = \.\.\.`.*`self\.attempts\.set\(ctx, \.\.\.\)`"),
    (Ticket.handler_assigned, r"`self\.look = \.\.\.`"),
    (Ticket.others_state, r"`client\.status`: 'status' is a state of Ticket, which only its own handlers reach"),
    (
        Ticket.written_when_shared,
        r"Ticket\.status\.set\(ctx\) takes the handler's own ObjectContext; .*SharedContext",
    ),
    (Ticket.wrong_value, r"3 is not of the type str"),
    (Ticket.forgotten_call, r"Helper\.work: called but never awaited"),
    (Ticket.forgotten_send, r"Helper\.work\.send: called but never awaited"),
    (Ticket.forgotten_step, r"ctx\.run\('charge', \.\.\.\): called but never awaited"),
    (Ticket.forgotten_state, r"Ticket\.status\.get: called but never awaited"),
    (Ticket.forgotten_awakeable, r"the awakeable 'sign_1'\.resolve: called but never awaited"),
    (
        Ticket.wrong_result,
        r"Ticket\.wrong_result returned what its annotation does not say: 'x' is not",
    ),
    (Other.foreign_state, r"Ticket\.status was used in Other\.foreign_state.*handlers of its own class only"),
    (Other.class_state, r"Ticket\.status was used in Other\.class_state.*Call a handler of Ticket"),
    (Steps.argument, r"step 'x': an argument is .*contexts and clients are for the handler only"),
    (Steps.keyword, r"step 'x': an argument is .*contexts and clients are for the handler only"),
    (Steps.result, r"step 'x': the result is .*contexts and clients are for the handler only"),
    (Steps.closure, r"used outside its own attempt"),
    (Steps.closure_dice, r"used outside its own attempt"),
    (Steps.called, r"step 'x': give ctx\.run a function.*it was called already: write `fn, arg`"),
    (Steps.not_plain, r"step 'x': .*<lambda> has no return annotation, and returned a set.*annotate"),
    (Steps.not_annotated, r"step 'x': .*action returned what its annotation does not say: 'x' is not of the type int"),
    (Steps.opaque, r"the result of an action can't be stored: .*action: Session can't be turned into JSON"),
    (Steps.client_argument, r"step 'x': an argument is <client of Ticket of key 'a'>"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("ref", "sentence"), IN_HANDLERS, ids=[repr(ref) for ref, _ in IN_HANDLERS])
async def test_a_handler_that_misuses_the_api_pauses_with_the_sentence(ref: Any, sentence: str) -> None:
    async with running(Ticket(), Other(), Steps(), Helper(None)) as app:
        client = app.client.object_client(ref.definition, "a")
        handle: InvocationHandle[object] = await getattr(client, ref.attribute).send()

        reason = await app.pause_of(handle)

    assert re.search(sentence, reason), reason


OUTSIDE: list[tuple[Callable[[Any], object], str]] = [
    (lambda client: client.object_client(Ticket, "a").status, r"`client\.status`: 'status' is a state of Ticket"),
    (lambda client: client.workflow_client(Registration, "a").done, r"'done' is a durable promise of Registration"),
    (lambda client: client.service_client(Helper).http, r"'http' is no handler of Helper.*The handlers are work"),
    (lambda client: setattr(client.service_client(Helper), "http", 3), r"`client\.http = \.\.\.`: <client of Helper>"),
    (lambda client: client.object_client(Helper, "a"), r"Helper is a Service; write `service_client\(Helper\)`"),
    (lambda client: client.service_client(Ticket), r"Ticket is a VirtualObject; write `object_client\(Ticket, key\)`"),
    (lambda client: client.object_client(Registration, "a"), r"write `workflow_client\(Registration, key\)`"),
    (lambda client: client.object_client(Ticket, 3), r"object_client\(Ticket, key\): the key must be text, not 3"),
    (lambda client: client.service_client(Helper(None)), r"service_client: give it the class of the definition"),
    (lambda client: client.service_client("Helper"), r"service_client: give it the class .*not 'Helper'"),
    (lambda client: client.object_client(Ticket, "a").look.inline(None).send(None), r"a body on self"),
    (lambda client: client.object_client(Ticket, "a").look.handle(), r"by its idempotency key"),
    (lambda client: client.invocation("look", "inv_1"), r"name the handler on its class"),
    (lambda _: Ticket.look("a"), r"`Ticket\.look\(\.\.\.\)`: the class names the handler"),  # type: ignore[operator]
    (lambda client: client.workflow_client(Registration, "a").run.handle().id, r"does not know the invocation id"),
    (lambda _: AwakeableId[bool]("x").resolve(3, True).send(None), r"give a context .* or a client"),  # type: ignore[arg-type]
]


@pytest.mark.anyio
@pytest.mark.parametrize(("misuse", "sentence"), OUTSIDE)
async def test_a_misuse_outside_is_refused_with_the_sentence(misuse: Callable[[Any], object], sentence: str) -> None:
    async with running(Ticket(), Helper(None), Registration()) as app:
        with pytest.raises(UsageError, match=sentence):
            misuse(app.client)


@pytest.mark.anyio
async def test_an_app_of_a_client_is_refused() -> None:
    async with running(Ticket()) as app:
        client = app.client.object_client(Ticket, "a")

        with pytest.raises(DefinitionError, match=r"App: <client of Ticket of key 'a'> is a client"):
            App([client])


@pytest.mark.anyio
async def test_wrong_arguments_are_named() -> None:
    async with running(Ticket(), Helper(None)) as app:
        look: Any = app.client.object_client(Ticket, "a").look

        with pytest.raises(TypeError, match=r"Ticket\.look takes no argument; it was called with \(1, x=2\)"):
            await look(1, x=2)
        with pytest.raises(UsageError, match=r"takes no argument"):
            await look.send(None)


@pytest.mark.anyio
async def test_a_client_is_no_instance_and_shows_what_it_is() -> None:
    async with running(Ticket()) as app:
        client: Any = app.client.object_client(Ticket, "a")

        assert not isinstance(client, Ticket)
        assert repr(client) == "<client of Ticket of key 'a'>"
        assert repr(client.look) == "<Ticket.look of key 'a'>"
        assert "look" in dir(client)
        assert not hasattr(client, "__len__")


def test_assignments_outside_of_handlers_are_free() -> None:
    helper = Helper(None)
    helper.http = 3

    assert helper.http == 3
