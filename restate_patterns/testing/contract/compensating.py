"""Compensating: what a handler does after its cancellation runs normally, also when it is interrupted."""

from __future__ import annotations

import asyncio

import anyio

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.errors import Cancelled, TerminalError
from restate_patterns.testing.contract.cancelling import HOUR_S, Child
from restate_patterns.testing.contract.expect import equal, raised
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage


class Compensating(Recording, Service, name="ContractCompensating"):
    @handler
    async def compensates(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            await ctx.run("step", self.seen.act, key, "step")
            await ctx.service_client(Child).quick(key)
            await asyncio.sleep(0.02)
            await ctx.service_client(Child).quick.send(key)
            await asyncio.gather(ctx.run("a", self.seen.act, key, "x"), ctx.run("b", self.seen.act, key, "x"))
            await ctx.run("last", self.seen.act, key, "last")
            raise
        return "slept"

    @handler
    async def undo_over_a_restart(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            await ctx.run("one", self.seen.act, key, "one")
            await ctx.run("two", self.seen.hold, key, "two")
            await ctx.run("three", self.seen.act, key, "three")
            raise
        return "slept"

    @handler
    async def shielded(self, ctx: Context, key: str) -> str:
        self.seen.note(key, "began")
        try:
            await asyncio.sleep(HOUR_S)
        except Cancelled:
            with ctx.shielded():
                await ctx.run("undo", self.seen.hold, key, "undo")
                await ctx.service_client(Child).quick(key)
                await asyncio.sleep(0.02)
                await ctx.run("undone", self.seen.act, key, "undone")
            raise
        return "slept"

    @handler
    async def unshielded(self, ctx: Context, key: str) -> list[str]:
        self.seen.note(key, "began")
        log: list[str] = []
        for number in range(2):
            try:
                await ctx.run("told", self.seen.act, key, f"waits {number}")
                await asyncio.sleep(HOUR_S)
            except Cancelled:
                log.append(f"cancelled {number}")
        return log

    @handler
    async def branches(self, ctx: Context, key: str) -> list[str]:
        async def branch(name: str) -> str:
            try:
                self.seen.note(key, "began")
                await asyncio.sleep(HOUR_S)
            except Cancelled:
                return await ctx.run("undo", self.seen.act, key, f"undo {name}")
            return "slept"

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(f"{number}")) for number in range(4)]
        return [task.result() for task in tasks]

    @handler
    async def anyio_branches(self, ctx: Context, key: str) -> list[str]:
        undone: list[str] = []

        async def branch(name: str) -> None:
            try:
                self.seen.note(key, "began")
                await anyio.sleep(HOUR_S)
            except Cancelled:
                undone.append(await ctx.run("undo", self.seen.act, key, f"undo {name}"))

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(branch, f"{number}")
        return sorted(undone)


DEFINITIONS = (Compensating,)


def done(stage: Stage, key: str) -> list[str]:
    """Return what the handler did; that it began is noted on each replay."""
    return [note for note in stage.seen.notes(key) if note != "began"]


@guarantee
async def compensation(stage: Stage) -> None:
    """What the handler does after its cancellation runs normally: steps, calls, sleeps, sends, branches."""
    key = stage.key()
    sent = await stage.client.service_client(Compensating).compensates.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    await raised(Cancelled, sent.result())
    await stage.seen.until(key, "called", 2)
    notes = [note for note in done(stage, key) if note != "called"]
    equal(notes, ["step", "x", "x", "last"])


@guarantee
async def undo_over_a_restart(stage: Stage) -> None:
    """An undo that the death of the process interrupts goes on where it was, and repeats nothing recorded."""
    key = stage.key()
    sent = await stage.client.service_client(Compensating).undo_over_a_restart.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    await stage.seen.until(key, "two")
    await stage.restart()
    stage.seen.open(key, "two")
    await raised(Cancelled, stage.client.invocation(Compensating.undo_over_a_restart, sent.id).result())
    equal(done(stage, key), ["one", "two", "two", "three"])


@guarantee
async def second_cancel_and_shield(stage: Stage) -> None:
    """A second cancel does not reach an undo in `ctx.shielded()`: its steps, calls and sleeps."""
    key = stage.key()
    sent = await stage.client.service_client(Compensating).shielded.send(key)
    await stage.seen.until(key, "began")
    await sent.cancel()
    await stage.seen.until(key, "undo")
    await sent.cancel()
    stage.seen.open(key, "undo")
    await raised(Cancelled, sent.result())
    equal(done(stage, key), ["undo", "called", "undone"])


@guarantee
async def second_cancel(stage: Stage) -> None:
    """A second cancel arrives like the first where nothing shields from it."""
    key = stage.key()
    sent = await stage.client.service_client(Compensating).unshielded.send(key)
    for number in range(2):
        await stage.seen.until(key, f"waits {number}")
        await sent.cancel()
    found: list[str] = []
    try:
        found = await sent.result()
    except TerminalError as error:
        raise AssertionError(f"the handler ended with {error!r}") from error
    equal(found, ["cancelled 0", "cancelled 1"])


@guarantee
async def each_branch(stage: Stage) -> None:
    """Each concurrent branch gets the cancellation and does its own undo, in asyncio's groups and anyio's."""
    undone = [f"undo {number}" for number in range(4)]
    for branches in (
        stage.client.service_client(Compensating).branches,
        stage.client.service_client(Compensating).anyio_branches,
    ):
        key = stage.key()
        sent = await branches.send(key)
        await stage.seen.until(key, "began", 4)
        await sent.cancel()
        equal(await sent.result(), undone)
        equal(sorted(done(stage, key)), undone)
