"""Tasks and futures of the inner loop: numbered in creation order, and hashed by that number.

asyncio and anyio keep tasks in sets. The default hash is an address, so the order of such a set differs
from process to process; here it is the same on each replay of one invocation. The numbers of two invocations
start at different seeds, so that the weak sets that all loops share do not fill with equal hashes.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, Self, TypeVar

from typing_extensions import override

from restate_patterns.errors import NotDurable

T = TypeVar("T")

UNNUMBERED = 1 << 62
"""Sorts what has no number behind everything that has."""


class NumberingLoop(asyncio.AbstractEventLoop):
    """A loop that numbers its tasks and futures."""

    hash_base: int
    """Where the hashes of its tasks and futures begin."""
    count: int
    """How many there have been: the number of the latest."""


class InnerFuture(asyncio.Future[T], Generic[T]):
    """A future of the inner loop."""

    __slots__ = ("number", "seeded_hash", "sleeps")

    def __init__(self, loop: NumberingLoop) -> None:
        loop.count = self.number = number = loop.count + 1
        self.seeded_hash = loop.hash_base + number
        self.sleeps = False
        """Whether this is what `asyncio.sleep` waits for."""
        super().__init__(loop=loop)

    @override
    def __hash__(self) -> int:
        return self.seeded_hash


class InnerTask(asyncio.Task[T], Generic[T]):
    """A task of the inner loop."""

    __slots__ = ("context", "number", "runs_to_its_end", "seeded_hash", "shield_depth")

    def __init__(
        self,
        loop: NumberingLoop,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        name: str | None,
        context: contextvars.Context,
        shield_depth: int,
    ) -> None:
        loop.count = self.number = number = loop.count + 1
        self.seeded_hash = loop.hash_base + number
        self.context = context
        self.shield_depth = shield_depth
        """Above 0: a cancellation of the invocation is not delivered to this task."""
        self.runs_to_its_end = False
        """The end of the handler does not cancel this task, nor tasks made inside: what it does is owed."""
        super().__init__(coro, loop=loop, name=name or f"Task-{number}", context=context)

    @override
    def __hash__(self) -> int:
        return self.seeded_hash

    @override
    def add_done_callback(self, fn: Callable[[Self], object], /, *, context: contextvars.Context | None = None) -> None:
        thread = getattr(fn, "__self__", None)
        if isinstance(thread, threading.Thread):
            # anyio's thread for blocking calls; it ends as soon as it is told that its task is done.
            fn(self)
            raise NotDurable(
                "a handler reached for a thread (anyio.to_thread): its result would not be in the journal. "
                'Wrap it in ctx.run("name", function)'
            )
        super().add_done_callback(fn, context=context)

    @property
    def waits_for(self) -> asyncio.Future[Any] | None:
        """The future this task is suspended on, if any."""
        waiter: asyncio.Future[Any] | None = getattr(self, "_fut_waiter", None)
        return waiter
