"""What a saga has begun and not yet seen the end of, in whatever task: no undo overtakes it.

Knows no action: only where on the stack its undo will be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

from typing_extensions import override

from restate_patterns.patterns.saga.stack import Group


class UnderWay:
    """The actions of one saga that are under way.

    Args:
        lost: Hears of the error of an action that ended so in a part that an error had left before.
    """

    def __init__(self, lost: Callable[[BaseException], None]) -> None:
        self._lost = lost
        self._actions: dict[Begun, None] = {}
        self._in_line: dict[asyncio.Task[object], Group] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def begin(self, group: Group, name: str) -> Begun:
        """Count an action as under way, until the `with` block of what this gives is left.

        Args:
            group: Where its undo is registered.
            name: What it is called.
        """
        action = Begun(group, name, self._ended)
        self._actions[action] = None
        return action

    def names(self, part: Group) -> Iterator[str]:
        """Return the names of what is under way in a part of the saga, in the order in which it began."""
        return (action.name for action in self._actions if action.group.is_in(part))

    async def ended(self, part: Group) -> None:
        """Wait until nothing is under way in a part of the saga."""
        while any(True for _ in self.names(part)):
            change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(change)
            await change

    @contextmanager
    def in_line(self, group: Group) -> Generator[None]:
        """Let the running task be cancelled when an error leaves its part: it waits for others, with no end."""
        task = asyncio.current_task()
        assert task is not None
        self._in_line[task] = group
        try:
            yield
        finally:
            del self._in_line[task]

    async def all_ended(self, part: Group) -> None:
        """Cancel the tasks of a failing part of the saga that wait in line, and wait until nothing is under way."""
        for task, group in self._in_line.items():
            if group.is_in(part):
                task.cancel()
        await self.ended(part)

    def _ended(self, action: Begun, error: BaseException | None) -> None:
        del self._actions[action]
        if error is not None and action.group.failing is not None:
            self._lost(error)
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)


class Begun(AbstractContextManager[None]):
    """An action that has begun."""

    def __init__(self, group: Group, name: str, ended: Callable[[Begun, BaseException | None], None]) -> None:
        self.group = group
        self.name = name
        self._ended = ended

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended(self, error)
