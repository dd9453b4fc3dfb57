"""Parts of a saga: blocks inside it with a place of their own on the stack, and where the running code is."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Protocol

from typing_extensions import override

from restate_patterns.patterns.saga.final import is_final
from restate_patterns.patterns.saga.stack import Group
from restate_patterns.toolkit import ATTEMPT_OVER

_group: ContextVar[Group | None] = ContextVar("restate_patterns_saga_group", default=None)
_undoing: ContextVar[Group | None] = ContextVar("restate_patterns_saga_undoing", default=None)


def enter(group: Group) -> Token[Group | None]:
    """Have the running code, and tasks made in it, be in a group until `leave`."""
    return _group.set(group)


def leave(token: Token[Group | None]) -> None:
    """Have the running code be where it was before."""
    _group.reset(token)


def begin_undoing(root: Group) -> None:
    """Tell that the running task undoes something of a saga: what it does there is no action that comes late."""
    _undoing.set(root)


def undoes(root: Group) -> bool:
    """Return whether the running task undoes something of a saga."""
    return _undoing.get() is root


def innermost() -> Group | None:
    """Return the group that the running code is in, of whatever saga."""
    return _group.get()


def group_in(root: Group) -> Group:
    """Return the group of a saga that the running code is in; for code from elsewhere, that of the whole saga."""
    found = _group.get()
    while found is not None:
        if found.root is root:
            return found
        found = found.outer
    return root


class Parted(Protocol):
    """The saga, as its parts see it."""

    def begin(self) -> Group:
        """Return the group that the running code is in, where it may begin something."""
        ...

    async def undo_part(self, part: Group, error: BaseException) -> None:
        """Undo a part that failed."""
        ...


class Part(AbstractAsyncContextManager[None]):
    """A block inside a saga: a group of its own on the stack.

    Args:
        saga: Whose part it is.
        parallel: Whether what is registered in it is undone at the same time.
        savepoint: Whether it is undone alone when it fails.
    """

    def __init__(self, saga: Parted, *, parallel: bool, savepoint: bool) -> None:
        self._saga = saga
        self._parallel = parallel
        self._savepoint = savepoint

    @override
    async def __aenter__(self) -> None:
        self._part = self._saga.begin().open(parallel=self._parallel)
        self._token = enter(self._part)

    @override
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ATTEMPT_OVER):
            return
        leave(self._token)
        if self._savepoint and error is not None and is_final(error):
            await self._saga.undo_part(self._part, error)
