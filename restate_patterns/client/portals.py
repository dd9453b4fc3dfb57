"""How plain threads have something awaited in an event loop of another thread.

It knows event loops and threads, not clients.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import sys
import threading
from collections.abc import Awaitable, Generator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from restate_patterns.client.errors import ClientClosed
from restate_patterns.errors import UsageError
from restate_patterns.execution.loop import InnerLoop
from restate_patterns.execution.threads import DaemonThreads
from restate_patterns.limits import LOOP_LOOK_S, TASKS_GRACE_S, THREADS_MAX
from restate_patterns.system.tasks import end_tasks

T = TypeVar("T")

_CLOSED: Final = (
    "the client is closed, or the event loop that it asks in has ended. Take another one; what was accepted is kept, "
    "and its result can be asked for by its id or idempotency key"
)


class Portal:
    """A way into an event loop that runs in another thread.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._process = os.getpid()

    @property
    def leads_nowhere(self) -> bool:
        """Whether no thread runs the loop: this is a forked child, or the interpreter ends."""
        return os.getpid() != self._process or sys.is_finalizing()

    def run(self, awaitable: Awaitable[T], timeout_s: float | None = None) -> T:
        """Have something awaited in the loop, and wait for what it gives.

        Raises:
            ClientClosed: The loop has ended.
            TimeoutError: `timeout_s` passed; it was cancelled.
            UsageError: The thread that asks would wait for itself, or this is a forked child.
        """
        try:
            self._check()
            if not inspect.isawaitable(awaitable):
                raise UsageError(
                    "wait(...): give it what a handler of a client returns when it is called, as in "
                    f"`client.wait(client.service_client(Orders).place('tea'))`, not {awaitable!r}"
                )
        except BaseException:
            drop(awaitable)
            raise
        asked = _within(timeout_s, awaitable)
        try:
            done = asyncio.run_coroutine_threadsafe(asked, self._loop)
        except RuntimeError:
            asked.close()
            drop(awaitable)
            raise ClientClosed(_CLOSED) from None
        try:
            return self._result(done)
        finally:
            if self._loop.is_closed():  # it may have ended before it came to this
                asked.close()
                drop(awaitable)
            elif not done.done():  # whoever pressed Ctrl-C waits no longer
                done.cancel()

    def _result(self, done: Future[T]) -> T:
        while True:
            try:
                return done.result(LOOP_LOOK_S)
            except TimeoutError:
                if done.done():
                    return done.result()
                if self._loop.is_closed():  # it tells nobody of what it did not come to
                    raise ClientClosed(_CLOSED) from None
            except CancelledError:
                raise ClientClosed(_CLOSED) from None

    def _check(self) -> None:
        running = asyncio._get_running_loop()
        if self.leads_nowhere:
            raise UsageError(
                "this process was forked from the one whose thread runs the client's event loop, and has no such "
                "thread: make the client in the child, after the fork (a server that forks its workers has a hook for "
                "that; gunicorn calls it post_fork)"
            )
        if isinstance(running, InnerLoop):
            raise UsageError(
                "wait(...) was called inside a handler: what it does is in no journal, and all else stands still "
                "meanwhile. Take a client from the context and await it: `await ctx.service_client(...).handler(...)`"
            )
        if running is self._loop:
            raise UsageError(
                "wait(...) was called in the thread of the event loop that it waits for, so neither would go on: "
                "await it there (`await client.service_client(...).handler(...)`), or call wait(...) in another "
                "thread, as in `await asyncio.to_thread(function, client)`"
            )


class LoopThread:
    """An event loop in a thread of its own, from its first use until it is closed. It keeps no process.

    Args:
        name: What the thread is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._guard = threading.Lock()
        self._portal: Portal | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._held: list[_Held[Any]] = []

    @property
    def running(self) -> Portal | None:
        """The way into the loop, where it runs."""
        portal = self._portal
        return None if portal is None or self._closed or portal.leads_nowhere else portal

    def portal(self) -> Portal:
        """Return the way into the loop, which runs from now on.

        Raises:
            ClientClosed: It was closed.
        """
        portal = self._portal
        if portal is None:
            with self._guard:
                portal = self._portal = self._portal or self._start()
        return portal

    def _start(self) -> Portal:
        if self._closed:
            raise ClientClosed(_CLOSED)
        loop = self._loop = asyncio.new_event_loop()
        loop.set_default_executor(DaemonThreads(THREADS_MAX, f"{self._name} executor"))
        self._thread = threading.Thread(target=_run, args=(loop,), name=self._name, daemon=True)
        self._thread.start()
        atexit.register(self.close)
        return Portal(loop)

    def close(self) -> None:
        """End the loop with all that runs in it; does nothing when it was closed before, or never used.

        What was entered is left before, in good order: also where the process ends and nobody did.
        """
        for held in reversed(self._held):
            self._leave(held)
        with self._guard:
            runs = self.running is not None
            self._closed = True
        atexit.unregister(self.close)
        if runs and self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(2 * TASKS_GRACE_S)

    @contextmanager
    def entered(self, block: AbstractAsyncContextManager[T]) -> Generator[T]:
        """Enter an `async with` in the loop while this block lasts: enter and leave it in one task, as it would be."""
        held = _Held(block)
        self._held.append(held)
        try:
            yield self.portal().run(held.enter())
        finally:
            self._held.remove(held)
            self._leave(held)

    def _leave(self, held: _Held[Any]) -> None:
        running = self.running
        if running is not None:
            running.run(held.leave())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Held(Generic[T]):
    """An `async with` that lasts until it is told to end."""

    def __init__(self, block: AbstractAsyncContextManager[T]) -> None:
        self._block = block
        self._left = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def enter(self) -> T:
        entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(entered))
        return await entered

    async def _hold(self, entered: asyncio.Future[T]) -> None:
        try:
            async with self._block as value:
                if not entered.done():
                    entered.set_result(value)
                    await self._left.wait()
        except Exception as error:
            if entered.done():
                raise
            entered.set_exception(error)

    async def leave(self) -> None:
        self._left.set()
        if self._task is not None:
            await self._task


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(end_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _within(timeout_s: float | None, awaitable: Awaitable[T]) -> T:
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"wait(...) took over {timeout_s} s; what was accepted goes on") from None


def drop(awaitable: object) -> None:
    """Close a coroutine that nobody will await."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
