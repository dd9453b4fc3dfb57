"""Undoing: no undo overtakes the action that it undoes, whatever ended the wait."""

from __future__ import annotations

import asyncio
import time

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.errors import Cancelled, TerminalError
from restate_patterns.testing.contract.expect import equal, raised
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

CLEAN_UP_S = 0.05


class Undoing(Recording, Service, name="ContractUndoing"):
    async def slow_to_stop(self, key: str) -> str:
        """Take a moment to stop when asked to."""
        self.seen.note(key, "begun")
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(CLEAN_UP_S)
            self.seen.note(key, "stopped")
        return "done"

    def thread(self, key: str) -> str:
        """Be an action that nobody can stop."""
        self.seen.note(key, "begun")
        time.sleep(0.3)
        self.seen.note(key, "stopped")
        return "done"

    async def undo(self, key: str) -> None:
        """Undo."""
        self.seen.note(key, "undone")

    @handler
    async def timeout(self, ctx: Context, key: str) -> str:
        doing = asyncio.create_task(ctx.run("do", self.slow_to_stop, key))
        await ctx.run("begun", self.seen.until, key, "begun")
        try:
            async with asyncio.timeout(0.03):
                return await doing
        except TimeoutError:
            await ctx.run("undo", self.undo, key)
            return "undone"

    @handler
    async def thread_timeout(self, ctx: Context, key: str) -> str:
        doing = asyncio.create_task(ctx.run("do", self.thread, key))
        await ctx.run("begun", self.seen.until, key, "begun")
        try:
            async with asyncio.timeout(0.03):
                return await doing
        except TimeoutError:
            await ctx.run("undo", self.undo, key)
            return "undone"

    @handler
    async def failing_sibling(self, ctx: Context, key: str) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.run("do", self.slow_to_stop, key))
                group.create_task(self.fail_when_begun(ctx, key))
        except* TerminalError:
            await ctx.run("undo", self.undo, key)
        return "undone"

    async def fail_when_begun(self, ctx: Context, key: str) -> None:
        """Fail once the other has begun."""
        await ctx.run("begun", self.seen.until, key, "begun")
        raise TerminalError("no", code=409)

    @handler
    async def cancelled(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.run("do", self.slow_to_stop, key)
        except Cancelled:
            await ctx.run("undo", self.undo, key)
            raise

    @handler
    async def task(self, ctx: Context, key: str) -> str:
        task = asyncio.create_task(ctx.run("do", self.slow_to_stop, key))
        await ctx.run("begun", self.seen.until, key, "begun")
        task.cancel()
        await asyncio.wait([task])
        await ctx.run("undo", self.undo, key)
        return "undone"


DEFINITIONS = (Undoing,)
IN_ORDER = ["begun", "stopped", "undone"]


@guarantee
async def timeout(stage: Stage) -> None:
    """A step whose wait times out is asked to stop, and the undo begins only when it has stopped."""
    key = stage.key()
    equal(await stage.client.service_client(Undoing).timeout(key), "undone")
    equal(stage.seen.notes(key), IN_ORDER)


@guarantee
async def thread(stage: Stage) -> None:
    """An action in a thread, which cannot be stopped, is waited for before the undo begins."""
    key = stage.key()
    equal(await stage.client.service_client(Undoing).thread_timeout(key), "undone")
    equal(stage.seen.notes(key), IN_ORDER)


@guarantee
async def failing_sibling(stage: Stage) -> None:
    """A step whose sibling in a task group fails has stopped before the undo begins."""
    key = stage.key()
    equal(await stage.client.service_client(Undoing).failing_sibling(key), "undone")
    equal(stage.seen.notes(key), IN_ORDER)


@guarantee
async def cancelled_invocation(stage: Stage) -> None:
    """A step under way when its invocation is cancelled has stopped before the undo begins."""
    key = stage.key()
    sent = await stage.client.service_client(Undoing).cancelled.send(key)
    await stage.seen.until(key, "begun")
    await sent.cancel()
    await raised(Cancelled, sent.result())
    equal(stage.seen.notes(key), IN_ORDER)


@guarantee
async def cancelled_task(stage: Stage) -> None:
    """A step in a task that the handler cancels has stopped when the task has ended."""
    key = stage.key()
    equal(await stage.client.service_client(Undoing).task(key), "undone")
    equal(stage.seen.notes(key), IN_ORDER)
