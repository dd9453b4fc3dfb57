"""Handles: the same verbs on an invocation, by id, by idempotency key and by workflow, inside and outside."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from restate_patterns import (
    Cancelled,
    Context,
    InvocationNotFound,
    NotReady,
    Service,
    TerminalError,
    UsageError,
    Workflow,
    WorkflowContext,
    handler,
)
from tests.support.engines.apps import running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

DAY = timedelta(days=1)


class Sold(TerminalError, code=410, name="sold-in-handles"):
    seat: int


class Slow(Service):
    def __init__(self) -> None:
        self.done: list[str] = []

    @handler
    async def work(self, ctx: Context, name: str) -> str:
        await asyncio.sleep(60)
        if name == "sold":
            raise Sold(seat=3)
        self.done.append(name)
        return name.upper()

    @handler
    async def watch(self, ctx: Context, name: str) -> list[str]:
        """Use each verb from inside a handler."""
        work = ctx.service_client(Slow).work
        handle = await work.with_options(idempotency_key=name).send(name)
        said = [str(isinstance(await handle.output(), NotReady))]
        try:
            await handle.result(timeout=timedelta(seconds=1))
        except TimeoutError:
            said.append("timeout")
        said += [await handle.result(), await work.with_options(idempotency_key=name).handle().result()]
        again = ctx.invocation(Slow.work, handle.id)
        said.append(str(await again.output()))
        return said

    @handler
    async def gives_up(self, ctx: Context) -> str:
        handle = await ctx.service_client(Slow).work.send("cancelled")
        await asyncio.sleep(1)  # one that has not begun would leave nothing behind
        await handle.cancel()
        try:
            return await handle.result()
        except Cancelled as error:
            return error.message


class Once(Workflow):
    @handler
    async def run(self, ctx: WorkflowContext, name: str) -> str:
        await asyncio.sleep(60)
        return f"{ctx.key} {name}"


async def test_a_handle_outside() -> None:
    async with running(Slow()) as app:
        handle = await app.client.service_client(Slow).work.send("a")
        assert isinstance(await handle.output(), NotReady)
        with pytest.raises(TimeoutError):
            await handle.result(timeout=timedelta(milliseconds=20))
        await app.bench.advance(DAY)

        assert (await handle.result(), await handle.output()) == ("A", "A")
        assert await app.client.invocation(Slow.work, handle.id).result() == "A"
        assert repr(handle) == f"<handle of Slow.work by {handle.id}>"


async def test_the_same_inside_a_handler() -> None:
    async with running(Slow()) as app:
        handle = await app.client.service_client(Slow).watch.send("a")
        await app.bench.advance(DAY)

        assert await handle.result() == ["True", "timeout", "A", "A", "A"]


async def test_terminal_errors_arrive_through_handles() -> None:
    async with running(Slow()) as app:
        handle = await app.client.service_client(Slow).work.send("sold")
        await app.bench.advance(DAY)

        for ask in (handle.result, handle.output):
            with pytest.raises(Sold) as caught:
                await ask()
            assert caught.value.seat == 3


async def test_an_idempotency_key_makes_one_invocation() -> None:
    slow = Slow()
    async with running(slow) as app:
        work = app.client.service_client(Slow).work.with_options(idempotency_key="once")
        first, second = await work.send("a"), await work.send("a")
        await app.bench.advance(DAY)

        assert first.id == second.id
        assert await work.handle().result() == "A"
        assert set(slow.done) == {"a"}
        with pytest.raises(UsageError, match="by idempotency key 'once'> does not know the invocation id"):
            assert work.handle().id


async def test_a_workflow_has_a_handle_by_its_key() -> None:
    async with running(Once()) as app:
        workflow = app.client.workflow_client(Once, "k")
        with pytest.raises(InvocationNotFound):
            await workflow.run.handle().output()
        await workflow.run.send("a")
        await app.bench.advance(DAY)

        assert await workflow.run.handle().result() == "k a"


async def test_delayed_sends_wait_and_can_be_called_off() -> None:
    slow = Slow()
    async with running(slow) as app:
        work = app.client.service_client(Slow).work
        kept = await work.send_after(timedelta(hours=1), "kept")
        cancelled = await work.send_after(timedelta(hours=1), "cancelled")
        await cancelled.cancel()
        await app.bench.advance(timedelta(minutes=59))
        assert isinstance(await kept.output(), NotReady)
        await app.bench.advance(DAY)

        assert await kept.result() == "KEPT"
        assert set(slow.done) == {"kept"}
        with pytest.raises(ValueError, match=r"Slow\.work\.send_after: the delay .* is below zero"):
            await work.send_after(timedelta(seconds=-1), "x")


async def test_cancelling_reaches_the_handler() -> None:
    async with running(Slow()) as app:
        handle = await app.client.service_client(Slow).gives_up.send()
        await app.bench.advance(DAY)

        assert await handle.result() == "cancelled"
