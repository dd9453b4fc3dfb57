"""What bounds a saga beside its own end: how long it may take, and the errors that undo it besides terminal ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from restate_patterns.errors import DefinitionError, TerminalError, UsageError
from restate_patterns.patterns.saga.final import is_final
from restate_patterns.retries import check_duration, error_classes
from restate_patterns.toolkit import leaves_of

_ZERO = timedelta(0)


class Bounds:
    """The bounds of one saga.

    Args:
        timeout: How long it may take; None for as long as it likes.
        undo_on: Classes of errors that undo it.

    Raises:
        DefinitionError: They make no sense.
    """

    def __init__(self, timeout: timedelta | None, undo_on: Sequence[type[Exception]]) -> None:
        if timeout is not None:
            check_duration("Saga: timeout", timeout)
            if timeout <= _ZERO:
                raise DefinitionError(f"Saga: timeout={timeout} must be above 0")
        self._timeout = timeout
        self._undo_on = error_classes("Saga: undo_on", undo_on)
        self._limit: asyncio.Timeout | None = None

    async def begin(self) -> None:
        """Let the time begin, for the running task."""
        if self._timeout is not None:
            self._limit = asyncio.timeout(self._timeout.total_seconds())
            await self._limit.__aenter__()

    def lift(self) -> None:
        """Let it take as long as it likes from here.

        Raises:
            UsageError: It is over already.
        """
        if self._limit is None:
            return
        if self._limit.expired():
            raise UsageError("saga.pivot() after the saga's timeout: the block must not catch its cancellation")
        self._limit.reschedule(None)

    async def end(self, error: BaseException | None, name: str) -> BaseException | None:
        """Return the error that the saga called `name` ends with, whose block was left with this one."""
        if self._limit is not None:
            try:
                await self._limit.__aexit__(None if error is None else type(error), error, None)
            except TimeoutError:
                return TimeoutError(f"the saga {name!r} was not over within {self._timeout}")
        if error is None or is_final(error):
            return error
        leaves = list(leaves_of(error))
        undoing = [leaf for leaf in leaves if isinstance(leaf, self._undo_on)]
        if not undoing or not all(leaf in undoing or is_final(leaf) for leaf in leaves):
            return error
        return TerminalError(f"the saga {name!r} failed: {type(undoing[0]).__name__}: {undoing[0]}")
