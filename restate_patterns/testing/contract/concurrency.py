"""Concurrency: branches get their own results, whatever dies; plain asyncio and anyio inside a handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import anyio

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.errors import TerminalError
from restate_patterns.testing.contract.calls import Callee
from restate_patterns.testing.contract.expect import equal
from restate_patterns.testing.contract.guarantee import guarantee
from restate_patterns.testing.contract.recorder import Recording
from restate_patterns.testing.contract.stage import Stage

NAMES = ("a", "b", "c")


class Branches(Recording, Service, name="ContractBranches"):
    """Each branch does two steps of one name, a call and a sleep; the earlier it is made the slower it is."""

    async def slowly(self, key: str, what: str, seconds: float) -> str:
        """Be an action that takes a while."""
        await asyncio.sleep(seconds)
        return await self.seen.act(key, what)

    async def branch(self, ctx: Context, key: str, number: int) -> str:
        """Return a text in which everything is this branch's own."""
        name, late_s = NAMES[number], 0.012 * (3 - number)
        one = await ctx.run("step", self.slowly, key, f"{name}1", late_s)
        await asyncio.sleep(late_s)
        two = await ctx.run("step", self.slowly, key, f"{name}2", late_s)
        three = await ctx.service_client(Callee).double(number)
        return f"{one} {two} {three}"

    async def ending(self, ctx: Context, key: str, results: list[str]) -> list[str]:
        """Be replayed once more before the end."""
        await ctx.run("hold", self.seen.hold, key, "hold")
        return results

    @handler
    async def gather(self, ctx: Context, key: str) -> list[str]:
        found = await asyncio.gather(*(self.branch(ctx, key, number) for number in range(3)))
        return await self.ending(ctx, key, list(found))

    @handler
    async def group(self, ctx: Context, key: str) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.branch(ctx, key, number)) for number in range(3)]
        return await self.ending(ctx, key, [task.result() for task in tasks])

    @handler
    async def anyio_group(self, ctx: Context, key: str) -> list[str]:
        found = ["", "", ""]

        async def put(number: int) -> None:
            found[number] = await self.branch(ctx, key, number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(put, number)
        return await self.ending(ctx, key, found)

    @handler
    async def as_completed(self, ctx: Context, key: str) -> list[str]:
        tasks = [asyncio.create_task(self.branch(ctx, key, number)) for number in range(3)]
        found: list[str] = []
        for next_one in asyncio.as_completed(tasks):
            found.append(await next_one)
            await ctx.run("seen", self.seen.act, key, "completed")
        self.seen.note(key, f"order {' '.join(text[0] for text in found)}")
        return await self.ending(ctx, key, sorted(found))

    @handler
    async def wait(self, ctx: Context, key: str) -> list[str]:
        tasks = {asyncio.create_task(self.branch(ctx, key, number)) for number in range(3)}
        found: list[str] = []
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                found.append(task.result())
                await ctx.run("seen", self.seen.act, key, "completed")
        self.seen.note(key, f"order {' '.join(text[0] for text in found)}")
        return await self.ending(ctx, key, sorted(found))

    @handler
    async def nested(self, ctx: Context, key: str) -> list[str]:
        async def one(number: int) -> str:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ctx.run("leaf", self.seen.act, key, f"{number}{leaf}")) for leaf in "xyz"]
            with anyio.move_on_after(0.02):
                await anyio.sleep(3600)
            return "".join([task.result() for task in tasks])

        found = await asyncio.gather(*(one(number) for number in range(3)))
        return await self.ending(ctx, key, list(found))


class Tools(Recording, Service, name="ContractTools"):
    @handler
    async def queue(self, ctx: Context) -> list[int]:
        queue: asyncio.Queue[int | None] = asyncio.Queue(maxsize=2)
        found: list[int] = []

        async def produce() -> None:
            for number in range(5):
                await queue.put(await ctx.service_client(Callee).double(number))
            await queue.put(None)

        async def consume() -> None:
            while (number := await queue.get()) is not None:
                found.append(number)

        await asyncio.gather(consume(), produce())
        return found

    @handler
    async def locks(self, ctx: Context, key: str) -> list[str]:
        lock, limit, start = asyncio.Lock(), asyncio.Semaphore(2), asyncio.Event()
        log: list[str] = []

        async def one(name: str) -> None:
            await start.wait()
            async with limit, lock:
                log.append(f"{name} in")
                await ctx.run("inside", self.seen.act, key, name)
                log.append(f"{name} out")

        tasks = [asyncio.create_task(one(name)) for name in NAMES]
        await asyncio.sleep(0.01)
        start.set()
        await asyncio.gather(*tasks)
        return log

    @handler
    async def failing_group(self, ctx: Context, key: str) -> list[str]:
        log: list[str] = []

        async def long() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                log.append(await ctx.run("undo", self.seen.act, key, "sibling cancelled"))
                raise

        async def fail() -> None:
            await asyncio.sleep(0.01)
            raise TerminalError("no", code=418)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(long())
                group.create_task(fail())
        except* TerminalError as errors:
            log.append(f"caught {len(errors.exceptions)}")
        return log

    @handler
    async def left_over(self, ctx: Context, key: str) -> str:
        async def background(name: str) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await ctx.run("clean up", self.seen.act, key, f"cleaned {name}")

        tasks = [asyncio.create_task(background(name)) for name in NAMES]
        await asyncio.sleep(0.01)
        return f"{len(tasks)} left"

    @handler
    async def abandoned_call(self, ctx: Context, key: str) -> str:
        task = asyncio.create_task(ctx.service_client(Callee).held(key))
        await ctx.run("begun", self.seen.until, key, "callee")
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "abandoned"
        return "awaited"

    @handler
    async def shields(self, ctx: Context, key: str) -> list[str]:
        log: list[str] = []
        with anyio.move_on_after(0.03) as outer:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.06)
                log.append(await ctx.run("shielded", self.seen.act, key, "shielded"))
            await anyio.sleep(3600)
        log.append(f"moved on {outer.cancelled_caught}")
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 3600)
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        log.append("group left")
        return log

    @handler
    async def suspended(self, ctx: Context, key: str) -> str:
        try:
            for _ in range(3):
                await asyncio.sleep(0.01)
                await ctx.service_client(Callee).double(1)
        finally:
            await ctx.run("finally", self.seen.act, key, "finally")
        return "done"

    @handler
    async def generator(self, ctx: Context, key: str) -> list[str]:
        async def numbers() -> AsyncGenerator[str]:
            try:
                for name in NAMES:
                    yield await ctx.run("next", self.seen.act, key, name)
            finally:
                await ctx.run("clean up", self.seen.act, key, "cleaned")

        found: list[str] = []
        async for name in numbers():
            found.append(name)
            if len(found) == 2:
                break
        return found

    @handler
    async def many_sleeps(self, ctx: Context) -> int:
        return sum(await asyncio.gather(*(asyncio.sleep(0.001 * (number % 20), 1) for number in range(200))))

    @handler
    async def first_wins(self, ctx: Context, key: str) -> str:
        tasks = [asyncio.create_task(ctx.run("race", self.racer, key, name), name=name) for name in NAMES]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.wait(tasks)
        winner = min(task.get_name() for task in done)
        self.seen.note(key, f"winner {winner}")
        await ctx.run("hold", self.seen.hold, key, "hold")
        return winner

    async def racer(self, key: str, name: str) -> str:
        """Be one of several of which `b` is the quickest, on the first run."""
        if name != "b":
            await asyncio.sleep(3600)
        return name


DEFINITIONS = (Branches, Tools)
RESULTS = ["a1 a2 0", "b1 b2 2", "c1 c2 4"]


async def unswapped(stage: Stage, handler: str) -> list[str]:
    """Run branches, with a crash in the middle and another at the end; give what was noted."""
    key = stage.key()
    sent = await getattr(stage.client.service_client(Branches), handler).send(key)
    await stage.seen.until(key, "c1")
    await stage.restart()
    await stage.seen.until(key, "hold")
    runs = [stage.seen.count(key, f"{name}{number}") for name in NAMES for number in (1, 2)]
    await stage.restart()
    stage.seen.open(key, "hold")
    equal(await stage.client.invocation(getattr(Branches, handler), sent.id).result(), RESULTS)
    again = [stage.seen.count(key, f"{name}{number}") for name in NAMES for number in (1, 2)]
    equal(again, runs, "how often each step ran")
    return stage.seen.notes(key)


@guarantee
async def gather_is_not_swapped(stage: Stage) -> None:
    """Branches of `gather` whose steps have one name get their own results after crashes."""
    await unswapped(stage, "gather")


@guarantee
async def group_is_not_swapped(stage: Stage) -> None:
    """Branches of a `TaskGroup` whose steps have one name get their own results after crashes."""
    await unswapped(stage, "group")


@guarantee
async def anyio_is_not_swapped(stage: Stage) -> None:
    """Branches of anyio's task group whose steps have one name get their own results after crashes."""
    await unswapped(stage, "anyio_group")


@guarantee
async def as_completed_replays(stage: Stage) -> None:
    """`as_completed` gives the branches in one order on every replay."""
    notes = await unswapped(stage, "as_completed")
    equal(len({note for note in notes if note.startswith("order ")}), 1, f"different orders in {notes}")


@guarantee
async def wait_replays(stage: Stage) -> None:
    """`asyncio.wait` gives its sets in one order on every replay."""
    notes = await unswapped(stage, "wait")
    equal(len({note for note in notes if note.startswith("order ")}), 1, f"different orders in {notes}")


@guarantee
async def nested(stage: Stage) -> None:
    """Groups in `gather`, with scopes of anyio inside, replay as they ran."""
    key = stage.key()
    sent = await stage.client.service_client(Branches).nested.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    found = await stage.client.invocation(Branches.nested, sent.id).result()
    equal(found, ["0x0y0z", "1x1y1z", "2x2y2z"])


@guarantee
async def winner_is_kept(stage: Stage) -> None:
    """Who won a race is the same on every replay."""
    key = stage.key()
    sent = await stage.client.service_client(Tools).first_wins.send(key)
    await stage.seen.until(key, "hold")
    await stage.restart()
    stage.seen.open(key, "hold")
    equal(await stage.client.invocation(Tools.first_wins, sent.id).result(), "b")
    winners = {note for note in stage.seen.notes(key) if note.startswith("winner ")}
    equal(winners, {"winner b"})


@guarantee
async def suspension_undoes_nothing(stage: Stage) -> None:
    """What a `finally` asks for when the handler leaves memory in a wait is not done; at its end it is, once."""
    key = stage.key()
    equal(await stage.client.service_client(Tools).suspended(key), "done")
    equal(stage.seen.notes(key), ["finally"])


@guarantee
async def generators(stage: Stage) -> None:
    """An async generator that was left half-way has cleaned up, with steps, before there is a result."""
    key = stage.key()
    equal(await stage.client.service_client(Tools).generator(key), ["a", "b"])
    equal(stage.seen.notes(key), ["a", "b", "cleaned"])


@guarantee
async def many_sleeps(stage: Stage) -> None:
    """Two hundred sleeps at the same time all end."""
    equal(await stage.client.service_client(Tools).many_sleeps(), 200)


@guarantee
async def queues(stage: Stage) -> None:
    """An `asyncio.Queue` between tasks of a handler works."""
    equal(await stage.client.service_client(Tools).queue(), [0, 2, 4, 6, 8])


@guarantee
async def locks(stage: Stage) -> None:
    """Locks, semaphores and events between tasks of a handler work, in order."""
    found = await stage.client.service_client(Tools).locks(stage.key())
    equal(found, ["a in", "a out", "b in", "b out", "c in", "c out"])


@guarantee
async def failing_group(stage: Stage) -> None:
    """A task group whose member fails cancels the others, which may undo with steps, and then raises."""
    found = await stage.client.service_client(Tools).failing_group(stage.key())
    equal(found, ["sibling cancelled", "caught 1"])


@guarantee
async def tasks_left_over(stage: Stage) -> None:
    """Tasks that outlive the handler are cancelled and clean up before there is a result."""
    key = stage.key()
    equal(await stage.client.service_client(Tools).left_over(key), "3 left")
    equal(sorted(stage.seen.notes(key)), ["cleaned a", "cleaned b", "cleaned c"])


@guarantee
async def abandoned_call(stage: Stage) -> None:
    """Cancelling a task abandons its wait for a call; the callee goes on."""
    key = stage.key()
    equal(await stage.client.service_client(Tools).abandoned_call(key), "abandoned")
    equal(stage.seen.count(key, "callee"), 1)
    stage.seen.open(key, "callee")


@guarantee
async def anyio_scopes(stage: Stage) -> None:
    """Shields of anyio hold off the scope around them, and a cancelled group ends."""
    found = await stage.client.service_client(Tools).shields(stage.key())
    equal(found, ["shielded", "moved on True", "group left"])
