"""A crash after every commit, with and without a replay at every wait: the result is that of the undisturbed run."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from restate_patterns import (
    App,
    AwakeableId,
    Context,
    DurablePromise,
    ObjectContext,
    ObjectSharedContext,
    Service,
    Signal,
    State,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from restate_patterns.testing import TestEnvironment, at_every_crash_point, run_test

effects: Counter[str] = Counter()


async def effect(name: str) -> str:
    await asyncio.sleep(0)
    effects[name] += 1
    return name


class Account(VirtualObject):
    balance = State[int](default=100)

    @handler
    async def add(self, ctx: ObjectContext, amount: int) -> int:
        balance = await self.balance.get(ctx) + amount
        if balance < 0:
            raise TerminalError("no money", code=402)
        self.balance.set(ctx, balance)
        return balance

    @handler
    async def read(self, ctx: ObjectSharedContext) -> int:
        return await self.balance.get(ctx)


class Transfer(Service):
    @handler
    async def move(self, ctx: Context, amount: int) -> str:
        await ctx.object_client(Account, "from").add(-amount)
        await ctx.run("receipt", effect, f"receipt {amount}")
        await ctx.object_client(Account, "to").add.send(amount)
        return "moved"

    @handler
    async def swap(self, ctx: Context) -> list[str]:
        async def branch(name: str) -> str:
            first = await ctx.run("step", effect, f"{name}1")
            await asyncio.sleep(1)
            second = await ctx.run("step", effect, f"{name}2")
            return first + second

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(name)) for name in "abc"]
        return [task.result() for task in tasks]


class Approval(Workflow):
    approved = DurablePromise[bool]()
    token = State[AwakeableId[str]]()

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        awakeable = ctx.awakeable(str)
        self.token.set(ctx, awakeable.id)
        try:
            async with asyncio.timeout(3600):
                ok = await self.approved.value(ctx)
        except TimeoutError:
            return "expired"
        return f"{ok} {await awakeable}"

    @handler
    async def approve(self, ctx: WorkflowSharedContext, ok: bool) -> None:
        await self.approved.resolve(ctx, ok)

    @handler
    async def resolve(self, ctx: WorkflowSharedContext, text: str) -> None:
        await (await self.token.get(ctx)).resolve(ctx, text)


class Errand(Service):
    remark = Signal[str]()

    @handler
    async def run(self, ctx: Context) -> list[str]:
        remark = ctx.signal(self.remark)
        heard = [await ctx.signal("begin", str)]
        heard.append(await ctx.run("note", effect, await ctx.signal("early", str)))
        try:
            async with asyncio.timeout(3600):
                await ctx.signal("late", str)
        except TimeoutError:
            heard.append(await remark)
        try:
            await ctx.signal("late", str)
        except TerminalError as error:
            heard.append(error.message)
        return heard

    @handler
    async def tell(self, ctx: Context, errand: str) -> None:
        handle = ctx.invocation(Errand.run, errand)
        for text in ("first", "second"):
            await handle.signal(Errand.remark).resolve(text)
            await handle.signal("early", str).resolve(text)
        await handle.signal("begin", str).resolve("begun")


def everything() -> App:
    effects.clear()
    return App([Account(), Transfer(), Approval(), Errand()])


@pytest.mark.parametrize("replay_always", [False, True])
def test_transfers(replay_always: bool) -> None:
    @at_every_crash_point(everything, replay_always=replay_always)
    async def test(env: TestEnvironment) -> None:
        transfer = env.client.service_client(Transfer)
        assert await asyncio.gather(*(transfer.move(n) for n in (10, 20, 30))) == ["moved"] * 3
        with pytest.raises(TerminalError, match="no money"):
            await transfer.move(1000)
        await env.settle()
        assert await env.client.object_client(Account, "from").read() == 40
        assert await env.client.object_client(Account, "to").read() == 160
        assert set(effects) == {"receipt 10", "receipt 20", "receipt 30"}
        assert sum(effects.values()) <= 3 + 3, "only steps in flight at the crash run twice"

    test()


@pytest.mark.parametrize("replay_always", [False, True])
def test_branches_are_never_swapped(replay_always: bool) -> None:
    @at_every_crash_point(everything, replay_always=replay_always)
    async def test(env: TestEnvironment) -> None:
        swapped = asyncio.ensure_future(env.client.service_client(Transfer).swap())
        while not swapped.done():
            await env.advance(timedelta(seconds=1))
        assert await swapped == ["a1a2", "b1b2", "c1c2"]

    test()


@pytest.mark.parametrize("replay_always", [False, True])
def test_workflows_promises_awakeables_and_timeouts(replay_always: bool) -> None:
    @at_every_crash_point(everything, replay_always=replay_always)
    async def test(env: TestEnvironment) -> None:
        first = env.client.workflow_client(Approval, "1")
        running = asyncio.ensure_future(first.run())
        expiring = asyncio.ensure_future(env.client.workflow_client(Approval, "2").run())
        await env.settle()
        await first.approve(True)
        await first.resolve("yes")
        assert await running == "True yes"
        await env.advance(timedelta(hours=1))
        assert await expiring == "expired"

    test()


@pytest.mark.parametrize("replay_always", [False, True])
def test_signals_early_late_repeated_and_rejected(replay_always: bool) -> None:
    @at_every_crash_point(everything, replay_always=replay_always)
    async def test(env: TestEnvironment) -> None:
        errands = env.client.service_client(Errand)
        errand = await errands.run.send()
        await env.settle()
        await errands.tell(errand.id)
        await env.advance(timedelta(hours=1))
        await errand.signal("late", str).reject(TerminalError("too late"))
        assert await errand.result() == ["begun", "first", "first", "too late"]
        assert set(effects) == {"first"}

    test()


def test_a_crash_on_demand_loses_nothing_that_was_answered() -> None:
    async def test() -> None:
        async with run_test(everything(), replay_always=True) as env:
            account = env.client.object_client(Account, "k")
            for n in range(1, 6):
                assert await account.add(1) == 100 + n
                await env.crash()
            assert await account.read() == 105

    asyncio.run(test())
