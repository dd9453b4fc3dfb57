"""States and promises under names made at run time: beside declared ones, and what is refused."""

from __future__ import annotations

import enum
import re
from typing import Any

import pytest

from restate_patterns import (
    DurablePromise,
    InvocationHandle,
    NotReady,
    ObjectContext,
    ObjectSharedContext,
    State,
    StateMachine,
    StateNotSet,
    Status,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from tests.support.engines.apps import running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


class Room(VirtualObject):
    names = State[list[str]](default_factory=list, name="the names")
    secret = State[str]()

    @handler
    async def beside(self, ctx: ObjectContext) -> list[object]:
        named = ctx.state("the names", list[str])
        found: list[object] = [await named.get()]
        self.names.set(ctx, ["declared"])
        found.append(await named.get())
        named.set(["named"])
        return [*found, await self.names.get(ctx), await ctx.state("the names", list[str]).get(["default"])]

    @handler
    async def unions(self, ctx: ObjectContext) -> list[object]:
        state = ctx.state("either", int | str | None)
        found: list[object] = []
        for value in (3, "three", None):
            state.set(value)
            found.append(await state.get("default"))
        state.clear()
        return [*found, await state.get("default")]

    @handler
    async def later_changes_are_not_seen(self, ctx: ObjectContext) -> list[list[str]]:
        items = ["a"]
        state = ctx.state("items", list[str])
        state.set(items)
        items.append("not set")
        (await state.get()).append("not set either")
        return [await state.get()]

    @handler
    async def unset(self, ctx: ObjectSharedContext) -> str:
        return await ctx.state("secret", str).get()

    @handler
    async def another_type(self, ctx: ObjectSharedContext) -> None:
        ctx.state("the names", list[int])

    @handler
    async def a_wrong_value(self, ctx: ObjectContext) -> None:
        state: Any = ctx.state("count", int)
        state.set("x")

    @handler
    async def no_text(self, ctx: ObjectContext) -> None:
        name: Any = 3
        ctx.state(name, int)

    @handler
    async def half_a_pair(self, ctx: ObjectContext) -> None:
        ctx.state("\ud800", int)

    @handler
    async def no_type(self, ctx: ObjectContext) -> None:
        ctx.state("x", pytest.Session)

    @handler
    async def written_when_shared(self, ctx: ObjectSharedContext) -> None:
        state: Any = ctx.state("x", int)
        state.set(3)

    @handler
    async def forgotten(self, ctx: ObjectContext) -> None:
        ctx.state("x", int).get(0)  # type: ignore[unused-coroutine]


class Votes(Workflow):
    done = DurablePromise[list[int]]()

    @handler
    async def run(self, ctx: WorkflowContext) -> list[object]:
        return [await self.done.value(ctx), await ctx.promise("more", int | None).value()]

    @handler
    async def tell(self, ctx: WorkflowSharedContext) -> list[str]:
        given = [1]
        resolving = ctx.promise("done", list[int]).resolve(given)
        given.append(2)
        await resolving
        before = await ctx.promise("more", int | None).peek()
        await ctx.promise("more", int | None).resolve(None)
        return [type(before).__name__, repr(await ctx.promise("more", int | None).peek())]

    @handler
    async def another_type(self, ctx: WorkflowSharedContext) -> None:
        ctx.promise("done", str)

    @handler
    async def forgotten(self, ctx: WorkflowSharedContext) -> None:
        ctx.promise("x", int).value()  # type: ignore[unused-coroutine]


class Light(enum.Enum):
    RED = "red"
    GREEN = "green"


class Lamp(StateMachine[Light]):
    status = Status(Light, initial=Light.RED)

    @status.on(Light.RED, to=Light.GREEN)
    async def go(self, ctx: ObjectContext) -> None: ...

    @handler
    async def around_the_table(self, ctx: ObjectContext) -> None:
        ctx.state("status", Light).set(Light.GREEN)


async def test_a_name_that_is_declared_is_the_same_state() -> None:
    async with running(Room()) as app:
        found = await app.client.object_client(Room, "a").beside()
        assert found == [[], ["declared"], ["named"], ["named"]]


async def test_it_holds_what_its_type_says() -> None:
    async with running(Room()) as app:
        room = app.client.object_client(Room, "a")
        assert await room.unions() == [3, "three", None, "default"]
        assert await room.later_changes_are_not_seen() == [["a"]]


async def test_a_state_that_is_not_set_says_how_to_read_it() -> None:
    """One that is declared says it in the words of the declaration."""
    async with running(Room()) as app:
        with pytest.raises(StateNotSet, match=r"'secret' was read before it was set: declare a default"):
            await app.client.object_client(Room, "a").unset()


async def test_promises_beside_a_declared_one() -> None:
    """What is given is what it was when it was given."""
    async with running(Votes()) as app:
        votes = app.client.workflow_client(Votes, "a")
        sent = await votes.run.send()
        assert await votes.tell() == [NotReady.__name__, "None"]
        assert await sent.result() == [[1], None]


REFUSED: list[tuple[Any, str]] = [
    (
        Room.another_type,
        r"ctx\.state\('the names', .*Room\.names is declared .* as list\[str\], not as list\[int\]; .*self\.names",
    ),
    (Room.a_wrong_value, r"ctx\.state\('count', int\)\.set\(\.\.\.\): 'x' is not of the type int"),
    (Room.no_text, r"ctx\.state\(3, int\): the name must be text, not 3"),
    (Room.half_a_pair, r"the name has half of a surrogate pair"),
    (Room.no_type, r"ctx\.state\('x', Session\): Session can't be turned into JSON"),
    (Room.forgotten, r"ctx\.state\('x', int\)\.get: called but never awaited"),
    (Votes.another_type, r"ctx\.promise\('done', str\): Votes\.done is declared .*give the durable promise"),
    (Votes.forgotten, r"ctx\.promise\('x', int\)\.value: called but never awaited"),
    (Lamp.around_the_table, r"ctx\.state\('status', Light\): Lamp\.status has this name and is .*self\.status only"),
]


@pytest.mark.parametrize(("ref", "sentence"), REFUSED, ids=[repr(ref) for ref, _ in REFUSED])
async def test_what_cannot_work_pauses_with_the_sentence(ref: Any, sentence: str) -> None:
    async with running(Room(), Votes(), Lamp()) as app:
        client = (
            app.client.workflow_client(Votes, "a")
            if ref.definition is Votes
            else app.client.object_client(ref.definition, "a")
        )
        handle: InvocationHandle[object] = await getattr(client, ref.attribute).send()
        reason = await app.pause_of(handle)

    assert re.search(sentence, reason), reason


async def test_a_shared_handler_has_nothing_to_write_with() -> None:
    """A type checker says so before."""
    async with running(Room()) as app:
        handle = await app.client.object_client(Room, "a").written_when_shared.send()
        await app.bench.settle()
        view = (await app.bench.engine.describe_invocation(handle.id)).view
        assert "'ReadOnlyState' object has no attribute 'set'" in (view.last_failure or "")
        await app.bench.engine.kill(handle.id)
