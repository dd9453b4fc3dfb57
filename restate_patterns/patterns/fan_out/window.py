"""Runs calls for items, so many at a time, and tells of each as it ends.

Whoever reads the outcomes drives it: an item begins when there is room for it in the window, and what has ended takes
room until it was read. So what is in memory is bounded by the window, however many items there are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from restate_patterns.api.context import Context
from restate_patterns.errors import Cancelled, UsageError
from restate_patterns.patterns.fan_out.outcomes import Outcome
from restate_patterns.toolkit import cancel_count, stopping, terminal

T = TypeVar("T")
R = TypeVar("R")

_NO_MORE: Any = object()


class Window(Generic[T, R]):
    """Calls for items, in the order of the items, `size` at a time.

    Args:
        ctx: The handler's own context.
        items: Of any number; read as there is room.
        call: What to do with each. A handler of a client is called so that its callee is cancelled with it.
        size: How many at a time.

    Raises:
        UsageError: The size is not a number above 0.
    """

    def __init__(
        self, ctx: Context, items: Iterable[T] | AsyncIterable[T], call: Callable[[T], Awaitable[R]], size: int
    ) -> None:
        if type(size) is not int or size < 1:
            raise UsageError(f"window={size!r}: how many items are under way at once, a whole number from 1 up")
        self._ctx = ctx
        self._call = stopping(ctx, call)
        self._size = size
        self._now, self._later = _iterators(items)
        self._begun_count = 0
        self._running: dict[asyncio.Future[Any], int] = {}
        self._ended: deque[tuple[int, asyncio.Future[Any]]] = deque()
        """What has ended and was not read, in that order."""
        self._pull: asyncio.Future[Any] | None = None
        """The wait for the next item, where items are waited for."""
        self._woken: asyncio.Future[None] | None = None
        self._cancels = cancel_count(ctx)

    async def next(self) -> Outcome[R] | None:
        """Wait for the next item to end; None after the last.

        Raises:
            TerminalError: Of the items themselves; what ran has ended.
            Cancelled: The invocation was cancelled; what ran has ended.
            asyncio.CancelledError: This task was cancelled; what ran has ended.
            Exception: An item ended with an error that has the handler tried again. What runs is left alone, as the
                next attempt comes here again.
        """
        try:
            while True:
                self._fill()
                if self._ended:
                    return self._outcome(*self._ended.popleft())
                if not self._running and self._pull is None:
                    return None
                await self._something_ended()
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) or terminal(error) is not None:
                await self.stop()
            raise

    async def stop(self) -> None:
        """Cancel what runs, and wait until it has ended; what became of it is dropped.

        Raises:
            asyncio.CancelledError: This task was cancelled meanwhile; raised after the wait.
            Exception: Something ended with an error that has the handler tried again.
        """
        self._now = self._later = None
        for task in [*self._running, *([] if self._pull is None else [self._pull])]:
            task.cancel()
        interrupted: BaseException | None = None
        while self._running or self._pull is not None:
            try:
                await self._something_ended()
            except (asyncio.CancelledError, Cancelled) as error:
                interrupted = error
        failures = [None if task.cancelled() else task.exception() for _, task in self._ended]
        self._ended.clear()
        for failure in failures:
            if failure is not None and terminal(failure) is None:
                raise failure
        if interrupted is not None:
            raise interrupted

    def _fill(self) -> None:
        while len(self._running) + len(self._ended) < self._size:
            if self._later is not None and self._pull is None:
                self._pull = asyncio.ensure_future(_next_of(self._later))
                self._pull.add_done_callback(self._pulled)
            item = next(self._now, _NO_MORE) if self._now is not None else _NO_MORE
            if item is _NO_MORE:
                return
            self._begin(item)

    def _begin(self, item: T) -> None:
        task = asyncio.ensure_future(self._one(item))
        self._running[task] = self._begun_count
        self._begun_count += 1
        task.add_done_callback(self._one_ended)

    async def _one(self, item: T) -> R:
        return await self._call(item)

    def _one_ended(self, task: asyncio.Future[Any]) -> None:
        self._ended.append((self._running.pop(task), task))
        self._wake()

    def _pulled(self, pull: asyncio.Future[Any]) -> None:
        self._pull = None
        if pull.cancelled() or pull.exception() is not None:
            self._later = None
            if not pull.cancelled():
                self._ended.append((self._begun_count, pull))
        elif pull.result() is _NO_MORE:
            self._later = None
        elif self._later is not None:
            self._begin(pull.result())
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def _something_ended(self) -> None:
        self._woken = asyncio.get_running_loop().create_future()
        await self._woken

    def _outcome(self, index: int, task: asyncio.Future[Any]) -> Outcome[R]:
        error = task.exception()
        if error is None:
            return Outcome(index, task.result(), None)
        known = terminal(error)
        if known is None or index == self._begun_count:  # the latter is an error of the items themselves
            raise error
        if isinstance(known, Cancelled) and cancel_count(self._ctx) != self._cancels:
            raise known
        return Outcome(index, None, known)


def _iterators(items: Any) -> tuple[Iterator[Any] | None, AsyncIterator[Any] | None]:
    if hasattr(items, "__iter__"):
        return iter(items), None
    if hasattr(items, "__aiter__"):
        return None, aiter(items)
    raise UsageError(f"the items of a fan-out are a list, a generator or an async iterator, not {items!r}")


async def _next_of(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _NO_MORE)
