"""Threads without an event loop: what they get, how they are let go, and where waiting would never end."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from restate_patterns import (
    AlreadyInvoked,
    App,
    AwakeableId,
    BlockingClient,
    Client,
    ClientClosed,
    Context,
    Embedded,
    NotReady,
    Service,
    UsageError,
    handler,
)
from restate_patterns.client.portals import LoopThread, Portal
from restate_patterns.embedded.file_errors import FileOwnedError
from restate_patterns.http.server import HttpServer
from tests.support.bounds import PATIENCE_S
from tests.support.processes.workshop import Approval, Bell, Counter, OutOfStockError, Shop, make

T = TypeVar("T")
WAIT = timedelta(seconds=PATIENCE_S)


@asynccontextmanager
async def served() -> AsyncIterator[HttpServer]:
    backend = Embedded(ingress_port=0, admin_port=0)
    engine = backend.engine(make().deployment)
    await engine.start()
    async with backend.http_server(engine) as server:
        yield server
    await engine.stop()


@contextmanager
def over_http() -> Iterator[BlockingClient]:
    with (
        LoopThread("server") as thread,
        thread.entered(served()) as server,
        BlockingClient(server.ingress_url, admin_url=server.admin_url) as client,
    ):
        yield client


@pytest.fixture(params=["over HTTP", "in process"])
def client(request: pytest.FixtureRequest) -> Iterator[BlockingClient]:
    if request.param == "over HTTP":
        with over_http() as client:
            yield client
    else:
        with make().start_blocking() as client:
            yield client


def eventually(look: Callable[[], T | None]) -> T:
    for _ in range(int(PATIENCE_S / 0.01)):
        if (found := look()) is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come")


def test_calls_handles_errors_and_awakeables(client: BlockingClient) -> None:
    counter = client.object_client(Counter, "a/b é")
    assert client.wait(counter.add(3)) == 3
    handle = client.wait(counter.add.with_options(idempotency_key="once").send(5))
    assert client.wait(handle.result(timeout=WAIT)) == 8
    assert client.wait(client.invocation(Counter.add, handle.id).output()) == 8
    with pytest.raises(OutOfStockError) as raised:
        client.wait(client.service_client(Shop).buy("tea"))
    assert (raised.value.item, raised.value.code) == ("tea", 410)

    ring = client.wait(client.service_client(Shop).ring.send())
    bell = eventually(lambda: client.wait(client.object_client(Bell, "door").known()))
    client.wait(AwakeableId[str](bell).resolve(client, "ding"))
    assert client.wait(ring.result(timeout=WAIT)) == "ding"

    approval = client.workflow_client(Approval, "ann")
    client.wait(approval.run.send(100))
    with pytest.raises(AlreadyInvoked):
        client.wait(approval.run(100))


def test_many_threads_use_one_client(client: BlockingClient) -> None:
    def add(_: int) -> int:
        return client.wait(client.object_client(Counter, "shared").add(1))

    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(add, range(100))) == list(range(1, 101))


def test_a_time_limit_ends_the_wait_alone(client: BlockingClient) -> None:
    with pytest.raises(TimeoutError, match=r"wait\(\.\.\.\) took over 0\.02 s; what was accepted goes on"):
        client.wait(client.object_client(Counter, "k").hold(), timeout=timedelta(milliseconds=20))
    nap = client.service_client(Shop).nap.with_options(timeout=timedelta(milliseconds=20))
    with pytest.raises(TimeoutError, match="the invocation goes on"):
        client.wait(nap(3600), timeout=WAIT)
    slept = client.wait(client.service_client(Shop).nap.send(3600))
    assert isinstance(client.wait(slept.output()), NotReady)
    client.wait(slept.cancel())


def waiting_in(threads: ThreadPoolExecutor, client: BlockingClient, key: str) -> Callable[[], object]:
    """Have a thread wait for what does not end, and give how its wait ended once it has."""
    holding = threads.submit(lambda: client.wait(client.object_client(Counter, key).hold()))
    probe = client.object_client(Counter, key).get
    client.wait(probe())
    return lambda: holding.exception(PATIENCE_S)


def test_who_waits_is_told_when_the_client_closes() -> None:
    with ThreadPoolExecutor(4) as threads:
        with over_http() as client:
            over = [waiting_in(threads, client, str(key)) for key in range(2)]
        with make().start_blocking() as client:
            inside = [waiting_in(threads, client, str(key)) for key in range(2)]
        for ended in (*over, *inside):
            assert isinstance(ended(), ClientClosed)
    with pytest.raises(ClientClosed, match="is closed"):
        client.wait(client.service_client(Shop).nothing())


def test_a_client_that_is_closed_leaves_no_thread() -> None:
    """Neither the one of its loop, nor those that looked up the host."""
    before = set(threading.enumerate())
    with make().start_blocking() as client:
        client.wait(asyncio.to_thread(list[int]))
        client.wait(client.service_client(Shop).nothing())
        assert {thread.name.split("_")[0] for thread in set(threading.enumerate()) - before} >= {
            "restate-patterns app",
            "restate-patterns app executor",
        }
    eventually(lambda: None if set(threading.enumerate()) - before else True)


def test_a_client_that_was_never_used_makes_no_thread() -> None:
    before = threading.active_count()
    with BlockingClient("http://127.0.0.1:1") as client:
        assert threading.active_count() == before
    with pytest.raises(ClientClosed):
        client.wait(client.service_client(Shop).nothing())
    client.close()


def test_a_block_that_can_not_begin_says_why(tmp_path: Path) -> None:
    with make().start_blocking(Embedded(tmp_path / "a.db")) as client:
        assert client.wait(client.object_client(Counter, "k").add(1)) == 1
        with pytest.raises(FileOwnedError), make().start_blocking(Embedded(tmp_path / "a.db")):
            pass
    with make().start_blocking(Embedded(tmp_path / "a.db")) as client:
        assert client.wait(client.object_client(Counter, "k").get()) == 1


def test_what_a_block_raises_comes_out_of_it() -> None:
    with pytest.raises(KeyError, match="mine"), make().start_blocking():
        raise KeyError("mine")


def test_ctrl_c_gets_a_waiting_thread_out() -> None:
    """In the main thread, which alone gets signals; the client is as good as before."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with make().start_blocking() as client:
            waits = threading.Event()

            async def waited() -> None:
                waits.set()
                await asyncio.Event().wait()

            def press() -> None:
                waits.wait(PATIENCE_S)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

            pressing = threading.Thread(target=press)
            pressing.start()
            with pytest.raises(KeyboardInterrupt):
                client.wait(waited())
            pressing.join()
            assert client.wait(client.object_client(Counter, "k").add(1)) == 1
    finally:
        signal.signal(signal.SIGINT, before)


class Impatient(Service):
    """Uses the client of threads where it must not."""

    client: BlockingClient

    @handler
    async def inside(self, ctx: Context) -> str:
        """Wait inside a handler."""
        try:
            self.client.wait(self.client.service_client(Impatient).outside())
        except UsageError as error:
            return str(error)
        return ""

    @handler
    async def outside(self, ctx: Context) -> int:
        return await ctx.run("step", self.from_a_thread)

    def from_a_thread(self) -> int:
        """A step in a thread may."""
        return self.client.wait(self.client.service_client(Impatient).seven())

    @handler
    async def seven(self, ctx: Context) -> int:
        return 7


@pytest.mark.anyio
async def test_an_async_program_gives_its_client_to_threads() -> None:
    app = Impatient()
    async with App([app]).start() as client:
        app.client = client.blocking()
        asked = client.blocking()
        assert await asyncio.to_thread(lambda: asked.wait(asked.service_client(Impatient).seven())) == 7
        with pytest.raises(UsageError, match="in the thread of the event loop that it waits for"):
            asked.wait(asked.service_client(Impatient).seven())
        assert "inside a handler" in await client.service_client(Impatient).inside()
        assert await client.service_client(Impatient).outside() == 7
        asked.close()
        assert await asyncio.to_thread(lambda: asked.wait(asked.service_client(Impatient).seven())) == 7
    with pytest.raises(ClientClosed):
        await asyncio.to_thread(lambda: asked.wait(asked.service_client(Impatient).seven()))


def test_where_no_loop_runs_the_async_client_has_no_view_for_threads() -> None:
    with pytest.raises(UsageError, match="BlockingClient"):
        Client("http://127.0.0.1:1").blocking()


def test_what_is_no_call_is_refused(client: BlockingClient) -> None:
    wrong: Awaitable[int] = 3  # type: ignore[assignment]  # what types can't stop
    with pytest.raises(UsageError, match="give it what a handler of a client returns"):
        client.wait(wrong)


def test_a_loop_that_ended_keeps_no_thread() -> None:
    """One that is stopped but tells nobody takes with it what it was asked and did not come to."""
    loop = asyncio.new_event_loop()

    async def never() -> None: ...

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: Portal(loop).run(never()))
        eventually(lambda: loop._ready or None)  # type: ignore[attr-defined]  # the request has arrived
        loop.close()
        assert isinstance(waiting.exception(PATIENCE_S), ClientClosed)


@pytest.mark.anyio
async def test_the_client_over_http_keeps_to_one_loop() -> None:
    async with served() as server, Client(server.ingress_url) as client:
        await client.service_client(Shop).nothing()

        def elsewhere() -> None:
            asyncio.run(client.service_client(Shop).nothing())

        with pytest.raises(UsageError, match="in another event loop than before"):
            await asyncio.to_thread(elsewhere)
        await client.service_client(Shop).nothing()
        threads = client.blocking()
        await asyncio.to_thread(lambda: threads.wait(threads.service_client(Shop).nothing()))


FORKED = """
import atexit, os, sys
from contextlib import ExitStack
from restate_patterns import BlockingClient, Embedded
from tests.support.processes.workshop import Counter, Shop, make

unused = BlockingClient("http://127.0.0.1:1")
with make().start_blocking() as client:
    client.wait(client.service_client(Shop).nothing())
    child = os.fork()
    if not child:
        try:
            client.wait(client.service_client(Shop).nothing())
        except Exception as error:
            print(type(error).__name__, error, flush=True)
        try:
            unused.wait(unused.service_client(Shop).nothing())
        except Exception as error:
            print(type(error).__name__, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    client.wait(client.service_client(Shop).nothing())
    print("the parent goes on", flush=True)
opened = ExitStack()
atexit.register(opened.close)
forgotten = make().start_blocking(Embedded(sys.argv[1]))
client = opened.enter_context(forgotten)
client.wait(client.object_client(Counter, "k").add(7))
left = make().start_blocking(Embedded(sys.argv[2]))
client = left.__enter__()
client.wait(client.object_client(Counter, "k").add(7))
"""


def test_a_forked_child_is_told_and_what_is_left_open_is_closed_with_the_process(tmp_path: Path) -> None:
    files = [tmp_path / "a.db", tmp_path / "b.db"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    first, second, third = done.stdout.splitlines()
    assert first.startswith("UsageError this process was forked")
    assert (second, third) == ("ServerUnreachable", "the parent goes on")
    assert done.stderr == ""
    for file in files:
        assert not file.with_name(f"{file.name}-wal").exists(), "the engine was not stopped in good order"
        with make().start_blocking(Embedded(file)) as client:
            assert client.wait(client.object_client(Counter, "k").get()) == 7
