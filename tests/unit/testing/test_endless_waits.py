"""A wait that nothing can end says why and what would; one that anything could end goes on."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextlib
import queue
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from datetime import timedelta

import pytest

from restate_patterns import (
    App,
    AwakeableId,
    Context,
    DurablePromise,
    InvocationPaused,
    ObjectContext,
    Service,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from restate_patterns.testing import EndlessWait, TestEnvironment, run_test

pytestmark = pytest.mark.anyio
QUARTER = timedelta(minutes=15)
LOOK_S = 0.005
LONG_S = 20 * LOOK_S
"""Many looks."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("restate_patterns.testing.endless_waits.STILL_LOOK_S", LOOK_S)
    caplog.set_level("CRITICAL")


ids: list[AwakeableId[int]] = []
working = threading.Event()


def broken() -> None:
    raise ValueError("no seats")


def slow() -> None:
    working.wait(LONG_S)


async def slow_on_the_loop() -> None:
    await asyncio.sleep(LONG_S)


class Seat(VirtualObject):
    """Waits for everything that there is to wait for."""

    @handler
    async def nap(self, ctx: ObjectContext) -> int:
        await asyncio.sleep(QUARTER.total_seconds())
        return 1

    @handler
    async def fail(self, ctx: ObjectContext) -> int:
        raise ValueError("no seats")

    @handler
    async def fail_in_step(self, ctx: ObjectContext) -> int:
        await ctx.run("sell", broken)
        return 1

    @handler
    async def wrong(self, ctx: ObjectContext) -> int:
        raise UsageError("a bug")

    @handler
    async def ask(self, ctx: ObjectContext) -> int:
        awakeable = ctx.awakeable(int)
        ids.append(awakeable.id)
        return await awakeable

    @handler
    async def listen(self, ctx: ObjectContext) -> int:
        return await ctx.signal("go", int)

    @handler
    async def work(self, ctx: ObjectContext) -> int:
        await ctx.run("slow", slow)
        await ctx.run("slow on the loop", slow_on_the_loop)
        return 1


class Desk(Service):
    """Waits for seats."""

    @handler
    async def call(self, ctx: Context, name: str) -> int:
        result: int = await getattr(ctx.object_client(Seat, "A1"), name)()
        return result


class Vote(Workflow):
    """Waits for a promise, or an hour."""

    outcome = DurablePromise[int]()

    @handler
    async def run(self, ctx: WorkflowContext) -> int:
        async with asyncio.timeout(3600):
            return await self.outcome.value(ctx)

    @handler
    async def decide(self, ctx: WorkflowSharedContext, outcome: int) -> None:
        await self.outcome.resolve(ctx, outcome)


@pytest.fixture(params=[False, True], ids=["plain", "replayed"])
async def env(request: pytest.FixtureRequest) -> AsyncGenerator[TestEnvironment]:
    async with run_test(App([Seat(), Desk(), Vote()]), replay_always=request.param) as env:
        yield env


@pytest.mark.parametrize(
    ("name", "why", "fix"),
    [
        ("nap", "waits for a timer that is due in 15 min", "`await env.advance(timedelta(minutes=15))`"),
        ("fail", "failed, last with ValueError: no seats, and its next try is in 50 ms", "(milliseconds=50))`"),
        (
            "fail_in_step",
            "waits for the step 'sell', which failed, last with ValueError: no seats; its next try is in 50 ms",
            "`await env.advance(timedelta(milliseconds=50))`",
        ),
        ("wrong", "is paused: UsageError: a bug", "mend that and resume it: `await env.engine.resume('inv_"),
        ("ask", "waits for the awakeable sign_", "resolve the awakeable: `await awakeable_id.resolve(env.client, ...)"),
        (
            "listen",
            "waits for the signal 'go', which nobody has resolved",
            "resolve the signal: `await handle.signal('go', ...).resolve(...)`",
        ),
    ],
)
async def test_the_reason_is_found_behind_a_call(env: TestEnvironment, name: str, why: str, fix: str) -> None:
    with pytest.raises(EndlessWait) as found:
        await env.client.service_client(Desk).call(name)
    assert str(found.value).startswith("Desk/call (inv_")
    assert found.value.why.startswith(f"waits for Seat/A1/{name} (inv_")
    assert f"), which {why}" in found.value.why
    assert fix in found.value.fixes[0]
    assert fix in str(found.value)


async def test_a_promise_or_time(env: TestEnvironment) -> None:
    with pytest.raises(EndlessWait) as found:
        await env.client.workflow_client(Vote, "v").run()
    assert (
        found.value.why
        == "waits for a timer that is due in 1 h and for the promise 'outcome', which nobody has resolved"
    )
    assert found.value.fixes == (
        "let time pass, as with `await env.advance(timedelta(hours=1))`",
        "let a handler of Vote resolve the promise 'outcome'",
    )


async def test_a_delayed_send_and_a_turn_on_a_key(env: TestEnvironment) -> None:
    seat = env.client.object_client(Seat, "A1")
    handle = await seat.nap.send_after(timedelta(days=1, milliseconds=1))
    with pytest.raises(EndlessWait, match=r"is to start in 1 d 1 ms.*timedelta\(days=1, milliseconds=1\)"):
        await handle.result()
    await seat.nap.send()
    with pytest.raises(EndlessWait, match=r"its turn on the key 'A1', held by Seat/A1/nap .* which waits for a timer"):
        await seat.ask()


async def test_the_way_out_that_it_names_is_one(env: TestEnvironment) -> None:
    """After the error the test goes on, does what it says, and has its result."""
    handle = await env.client.service_client(Desk).call.send("nap")
    with pytest.raises(EndlessWait):
        await handle.result()
    await env.advance(QUARTER)
    assert await handle.result() == 1


async def test_what_is_awaited_itself_and_pauses_says_so_as_everywhere(env: TestEnvironment) -> None:
    with pytest.raises(InvocationPaused, match="a bug"):
        await env.client.object_client(Seat, "A1").wrong()


async def gathered(first: Awaitable[int], second: Awaitable[int]) -> None:
    await asyncio.gather(first, second)


async def grouped(first: Awaitable[int], second: Awaitable[int]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(gathered(first, second))


async def awaited(first: Awaitable[int], second: Awaitable[int]) -> None:
    done, _ = await asyncio.wait([asyncio.ensure_future(first), asyncio.ensure_future(second)])
    for task in done:
        task.result()


@pytest.mark.parametrize("how", [gathered, grouped, awaited])
async def test_tasks_that_wait_for_each_other_are_seen_through(
    env: TestEnvironment, how: Callable[[Awaitable[int], Awaitable[int]], Awaitable[None]]
) -> None:
    desk = env.client.service_client(Desk)
    first, second = [asyncio.create_task(desk.call("nap")) for _ in range(2)]
    with contextlib.suppress(ExceptionGroup), pytest.raises(EndlessWait):
        await how(first, second)
    for task in (first, second):
        with contextlib.suppress(EndlessWait, asyncio.CancelledError):
            await task


async def test_a_limit_of_the_test_s_own_is_kept_and_has_the_reason(env: TestEnvironment) -> None:
    with pytest.raises(TimeoutError) as passed:
        async with asyncio.timeout(LONG_S):
            await env.client.object_client(Seat, "A1").nap()
    assert passed.value.__cause__ is not None
    assert "Seat/A1/nap" in passed.value.__cause__.__notes__[0]
    assert passed.value.__cause__.__notes__[0].endswith("waits for a timer that is due in 15 min")


async def by_a_task(env: TestEnvironment) -> None:
    for _ in range(20):
        await asyncio.sleep(LOOK_S)
    await env.advance(QUARTER)


async def by_an_event_of_a_thread(env: TestEnvironment) -> None:
    loop, said = asyncio.get_running_loop(), asyncio.Event()
    threading.Timer(LONG_S, loop.call_soon_threadsafe, (said.set,)).start()
    await said.wait()
    await env.advance(QUARTER)


async def by_what_nobody_sees(env: TestEnvironment) -> None:
    """As a driver in C does it: its threads are not Python's."""
    loop = asyncio.get_running_loop()
    said: asyncio.Future[None] = loop.create_future()

    def say() -> None:
        time.sleep(LONG_S)
        loop.call_soon_threadsafe(said.set_result, None)

    _thread.start_new_thread(say, ())
    await said
    await env.advance(QUARTER)


async def by_a_thread_of_asyncio(env: TestEnvironment) -> None:
    await asyncio.to_thread(threading.Event().wait, LONG_S)
    await env.advance(QUARTER)


async def by_a_connection(env: TestEnvironment) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await env.advance(QUARTER)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(LONG_S)
        writer.write(b"\n")
        await reader.read()
        writer.close()


@pytest.mark.parametrize(
    "moved", [by_a_task, by_an_event_of_a_thread, by_what_nobody_sees, by_a_thread_of_asyncio, by_a_connection]
)
async def test_whoever_lets_time_pass_beside_it_is_waited_for(
    env: TestEnvironment, moved: Callable[[TestEnvironment], Awaitable[None]]
) -> None:
    results = await asyncio.gather(env.client.object_client(Seat, "A1").nap(), moved(env))
    assert results[0] == 1


async def test_whoever_comes_without_a_task_is_waited_for(env: TestEnvironment) -> None:
    """A timer, a thread of nobody's, and a thread of a pool that was there before: none is a task of the loop."""
    loop, seat = asyncio.get_running_loop(), env.client.object_client(Seat, "A1")
    tasks: list[asyncio.Task[None]] = []

    def move() -> None:
        tasks.append(loop.create_task(env.advance(QUARTER)))

    loop.call_later(LONG_S, move)
    assert await seat.nap() == 1
    thread = threading.Timer(LONG_S, loop.call_soon_threadsafe, (move,))
    thread.start()
    assert await seat.nap() == 1
    await asyncio.to_thread(thread.join)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (working.wait(LONG_S), loop.call_soon_threadsafe(move)))
        assert await seat.nap() == 1
        await asyncio.gather(*tasks)


async def test_work_is_waited_for(env: TestEnvironment) -> None:
    """A step in a thread, and one on the loop, take as long as they take."""
    assert await env.client.object_client(Seat, "A1").work() == 1


async def test_what_others_of_the_test_resolve_is_waited_for(env: TestEnvironment) -> None:
    async def answer() -> None:
        await env.settle()
        await asyncio.sleep(LONG_S)
        await ids[-1].resolve(env.client, 3)
        await env.settle()
        await asyncio.sleep(LONG_S)
        await env.client.workflow_client(Vote, "v").decide(4)

    calls = (env.client.object_client(Seat, "A1").ask(), env.client.workflow_client(Vote, "v").run(), answer())
    first, second, _ = await asyncio.gather(*calls)
    assert (first, second) == (3, 4)


async def test_a_crash_beside_it_is_waited_for(env: TestEnvironment) -> None:
    async def crash_and_move() -> None:
        for _ in range(3):
            await asyncio.sleep(LONG_S)
            await env.crash()
        await env.advance(QUARTER)

    result, _ = await asyncio.gather(env.client.object_client(Seat, "A1").nap(), crash_and_move())
    assert result == 1


@pytest.fixture
def worker() -> Iterator[queue.SimpleQueue[Callable[[], object]]]:
    """A thread of the test's, which was there before its environment, and does what it gets a while later."""
    work: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def do() -> None:
        job = work.get()
        threading.Event().wait(LONG_S)
        job()

    thread = threading.Thread(target=do)
    thread.start()
    yield work
    thread.join()


async def test_a_thread_that_was_there_before_is_waited_for(worker: queue.SimpleQueue[Callable[[], object]]) -> None:
    async with run_test(App([Seat()])) as env:
        loop = asyncio.get_running_loop()
        worker.put(lambda: asyncio.run_coroutine_threadsafe(env.advance(QUARTER), loop))
        assert await env.client.object_client(Seat, "A1").nap() == 1


def test_a_loop_beside_the_main_thread_is_waited_for() -> None:
    """Who drives the loop from the main thread may be about to let time pass."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = contextlib.AsyncExitStack()

    async def begin() -> TestEnvironment:
        return await stack.enter_async_context(run_test(App([Seat()])))

    try:
        env = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        napping = asyncio.run_coroutine_threadsafe(env.client.object_client(Seat, "A1").nap(), loop)
        with pytest.raises(concurrent.futures.TimeoutError):
            napping.result(LONG_S)
        asyncio.run_coroutine_threadsafe(env.advance(QUARTER), loop).result()
        assert napping.result() == 1
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
