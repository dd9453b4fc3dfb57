"""What a saga owes: undo actions, and groups of them, in the order in which they were registered.

Knows no clock and runs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from restate_patterns.errors import TerminalError, UsageError
from restate_patterns.patterns.saga.policy import UndoPolicy


@dataclass(frozen=True, slots=True, eq=False)
class Duty:
    """Something that a saga owes, to do until it has succeeded: an undo, or an action after the pivot.

    Args:
        name: What it is called.
        participant: The service it is done by; None for the saga's own handler.
        run: Does it once; called again for each try.
        policy: How often, and what waits for it.
        read: Makes what a person supplied its result; `b""` stands for a skip.
        last: The error after which no more is tried, because the tries were made elsewhere.
    """

    name: str
    participant: str | None
    run: Callable[[], Coroutine[Any, Any, Any]]
    policy: UndoPolicy
    read: Callable[[bytes], Any]
    last: type[TerminalError] | None = None


@dataclass(slots=True, eq=False)
class Group:
    """A part of the stack: a saga, a savepoint, or what is undone at the same time."""

    parallel: bool = False
    outer: Group | None = None
    """Where this one was opened, also that of a saga around this one."""
    entries: list[Duty | Group] = field(default_factory=list["Duty | Group"])
    is_root: bool = False
    closed: str = ""
    """Why nothing can be added any more."""
    is_failing: bool = False
    """An error has left it: nothing of it begins any more, and what has happened is undone."""

    def add(self, duty: Duty) -> None:
        """Register an undo.

        Raises:
            UsageError: Nobody would run it.
        """
        self.check_open(repr(duty.name))
        self.entries.append(duty)

    def check_open(self, what: str) -> None:
        """Check that an undo can be added.

        Raises:
            UsageError: Nobody would run it.
        """
        if self.closed:
            raise UsageError(f"the undo {what} was registered too late: {self.closed}")

    def check_begins(self, what: str) -> None:
        """Check that something may begin whose undo would come here.

        Raises:
            asyncio.CancelledError: An error has left this part of the saga, or what it is in.
        """
        if self.failing is not None:
            raise asyncio.CancelledError(f"{what} does not begin: its saga is being undone")

    @property
    def root(self) -> Group:
        """The group of the whole saga."""
        return self if self.is_root or self.outer is None else self.outer.root

    @property
    def around(self) -> Iterator[Group]:
        """The group, and the groups of the same saga that it is in, from the inside."""
        yield self
        if not self.is_root and self.outer is not None:
            yield from self.outer.around

    @property
    def failing(self) -> Group | None:
        """The outermost of them that an error has left, or None: what comes late is undone with it."""
        return next((group for group in reversed(list(self.around)) if group.is_failing), None)

    def is_in(self, part: Group) -> bool:
        """Return whether it is this part of the saga, or inside it."""
        return any(group is part for group in self.around)

    def open(self, *, parallel: bool) -> Group:
        """Add a group inside this one."""
        inner = Group(parallel, self, closed=self.closed)
        self.entries.append(inner)
        return inner

    def take(self) -> list[Duty | Group]:
        """Take everything off, newest first: nobody else can undo it too."""
        taken = self.entries[::-1]
        self.entries.clear()
        return taken

    def close(self, why: str) -> None:
        """Forget what is left and take no more, also in the groups inside."""
        self.closed = why
        for entry in self.entries:
            if isinstance(entry, Group):
                entry.close(why)
        self.entries.clear()

    def names(self) -> Iterator[str]:
        """Return the names of what would be undone, in that order."""
        for entry in reversed(self.entries):
            if isinstance(entry, Group):
                yield from entry.names()
            else:
                yield entry.name


class LateGroup(Group):
    """Stands for a part that is being undone where a task of it registers an undo after all.

    What the undo is for may have happened, so it is undone with the rest. The task ends there: what it would do
    next is not to begin.
    """

    @override
    def add(self, duty: Duty) -> None:
        assert self.outer is not None
        self.outer.add(duty)
        raise asyncio.CancelledError(f"the saga is being undone, and {duty.name!r} with it")
