"""State, durable promises and awakeables: typed values that others see."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import BaseModel, TypeAdapter

from restate_patterns import (
    AlreadyCompleted,
    AwakeableId,
    Clients,
    Context,
    DurablePromise,
    NotReady,
    ObjectContext,
    ObjectSharedContext,
    Service,
    State,
    StateNotSet,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from restate_patterns.values.serde import codec
from tests.support.engines.apps import running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


class Rejected(TerminalError, code=403, name="rejected-in-state"):
    by: str


class Item(BaseModel):
    name: str
    tags: list[str]


class Wrongly(VirtualObject):
    numbers = State[list[int]](default_factory=lambda: ["one"])  # type: ignore[list-item]  # the mistake under test

    @handler
    async def read(self, ctx: ObjectSharedContext) -> int:
        return len(await self.numbers.get(ctx))


class Box(VirtualObject):
    item = State[Item]()
    names = State[list[str]](default_factory=lambda: ["first"])
    note = State[str | None](default="none yet")
    raw = State[bytes](default=b"")

    @handler
    async def fresh_each_time(self, ctx: ObjectContext) -> list[str]:
        names = await self.names.get(ctx)
        names.append("changed, not set")
        self.names.set(ctx, ["set"])
        (await self.names.get(ctx)).append("changed, not set")
        return await self.names.get(ctx)

    @handler
    async def defaults(self, ctx: ObjectSharedContext) -> list[str | None]:
        return [await self.note.get(ctx), await self.note.get(ctx, None), *await self.names.get(ctx, [])]

    @handler
    async def none_is_a_value(self, ctx: ObjectContext) -> list[str | None]:
        self.note.set(ctx, None)
        stored = await self.note.get(ctx, "default")
        self.note.clear(ctx)
        return [stored, await self.note.get(ctx)]

    @handler
    async def later_changes_are_not_seen(self, ctx: ObjectContext) -> Item:
        item = Item(name="a", tags=["x"])
        self.item.set(ctx, item)
        item.tags.append("y")
        self.raw.set(ctx, b"\xff\x00")
        assert await self.raw.get(ctx) == b"\xff\x00"
        return await self.item.get(ctx)

    @handler
    async def not_set(self, ctx: ObjectSharedContext) -> Item:
        return await self.item.get(ctx)

    @handler
    async def unreadable(self, ctx: ObjectSharedContext) -> Item:
        return await self.item.get(ctx)


class Approval(BaseModel):
    token: AwakeableId[list[int]]
    of: str = "x"


class Registration(Workflow):
    done = DurablePromise[list[int]]()

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        try:
            return f"got {await self.done.value(ctx)}"
        except Rejected as error:
            return f"rejected by {error.by}"

    @handler
    async def finish(self, ctx: WorkflowSharedContext, value: list[int]) -> None:
        await self.done.resolve(ctx, value)

    @handler
    async def refuse(self, ctx: WorkflowSharedContext, by: str) -> None:
        await self.done.reject(ctx, Rejected(by=by))

    @handler
    async def look(self, ctx: WorkflowSharedContext) -> list[int] | None:
        value = await self.done.peek(ctx)
        return None if isinstance(value, NotReady) else value


class Human(VirtualObject):
    """Asks somebody outside."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[Approval] = asyncio.Queue()

    async def _tell(self, approval: Approval) -> None:
        self.asked.put_nowait(approval)

    @handler
    async def ask(self, ctx: ObjectContext) -> list[int]:
        waiting = ctx.awakeable(list[int])
        await ctx.run("tell", self._tell, Approval(token=waiting.id))
        return await waiting

    @handler
    async def answer(self, ctx: ObjectSharedContext, approval: Approval) -> None:
        await approval.token.resolve(ctx, [1, 2])

    @handler
    async def again(self, ctx: ObjectContext) -> list[list[int]]:
        waiting = ctx.awakeable(list[int])
        await waiting.id.resolve(ctx, [3])
        return [await waiting, await waiting]


class Outside(Service):
    @handler
    async def resolve(self, ctx: Context, token: AwakeableId[list[int]]) -> None:
        await token.resolve(ctx, [4])


async def test_state_values_are_fresh_and_defaults_apply() -> None:
    async with running(Box()) as app:
        box = app.client.object_client(Box, "a")

        assert await box.defaults() == ["none yet", None]
        assert await box.fresh_each_time() == ["set"]
        assert await box.none_is_a_value() == [None, "none yet"]
        assert await box.later_changes_are_not_seen() == Item(name="a", tags=["x"])


async def test_a_state_that_is_not_set_is_a_terminal_error_with_its_name() -> None:
    async with running(Box()) as app:
        with pytest.raises(StateNotSet, match=r"the state 'item' was read before it was set") as caught:
            await app.client.object_client(Box, "a").not_set()

    assert caught.value.state == "item"


async def test_a_stored_value_of_another_type_pauses() -> None:
    async with running(Box()) as app:
        await app.bench.engine.set_state("Box", "a", {"item": b'{"name": 3}'})
        handle = await app.client.object_client(Box, "a").unreadable.send()

        assert "the state 'item' of Box can't be read: name: Input should be" in await app.pause_of(handle)


async def test_a_factory_that_makes_another_type_pauses() -> None:
    async with running(Wrongly()) as app:
        handle = await app.client.object_client(Wrongly, "k").read.send()
        assert "Wrongly.numbers: what default_factory makes: " in await app.pause_of(handle)


async def test_a_promise_is_set_once_and_seen_by_all() -> None:
    async with running(Registration()) as app:
        workflow = app.client.workflow_client(Registration, "k")
        assert await workflow.look() is None
        handle = await workflow.run.send()
        await workflow.finish([1, 2])

        assert await handle.result() == "got [1, 2]"
        assert await workflow.look() == [1, 2]
        with pytest.raises(AlreadyCompleted):
            await workflow.finish([3])


async def test_a_rejected_promise_raises_the_class_it_was_rejected_with() -> None:
    async with running(Registration()) as app:
        workflow = app.client.workflow_client(Registration, "k")
        await workflow.refuse("ann")

        assert await workflow.run() == "rejected by ann"
        with pytest.raises(Rejected, match=r"^Rejected$") as caught:
            await workflow.look()
        assert caught.value.by == "ann"


@pytest.mark.parametrize("by", ["outside", "handler", "service"])
async def test_an_awakeable_is_resolved_by_its_id_from_anywhere(by: str) -> None:
    human = Human()
    async with running(human, Outside()) as app:
        client: Clients = app.client
        handle = await client.object_client(Human, "a").ask.send()
        approval = await asyncio.wait_for(human.asked.get(), 10)
        if by == "outside":
            await approval.token.resolve(client, [7])
        elif by == "handler":
            await client.object_client(Human, "a").answer(approval)
        else:
            await client.service_client(Outside).resolve(approval.token)

        expected = {"outside": [7], "handler": [1, 2], "service": [4]}[by]
        assert await asyncio.wait_for(handle.result(timeout=timedelta(seconds=10)), 10) == expected


async def test_an_awakeable_can_be_rejected_and_awaited_twice() -> None:
    human = Human()
    async with running(human) as app:
        handle = await app.client.object_client(Human, "a").ask.send()
        approval = await asyncio.wait_for(human.asked.get(), 10)
        await approval.token.reject(app.client, Rejected(by="bob"))

        with pytest.raises(Rejected) as caught:
            await asyncio.wait_for(handle.result(), 10)
        assert caught.value.by == "bob"
        assert await app.client.object_client(Human, "b").again() == [[3], [3]]


def test_an_awakeable_id_is_a_string_that_remembers_its_type() -> None:
    token = Approval.model_validate_json('{"token": "sign_1"}').token

    assert isinstance(token, AwakeableId)
    assert token == "sign_1"
    assert Approval(token=token).model_dump_json() == '{"token":"sign_1","of":"x"}'
    assert TypeAdapter(AwakeableId[bool]).json_schema() == {"type": "string"}
    assert codec(AwakeableId[bool]).decode(b'"sign_1"') == "sign_1"
