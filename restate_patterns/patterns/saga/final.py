"""Which errors end a saga, and what is told of them."""

from __future__ import annotations

import asyncio
from typing import Final

from restate_patterns.errors import TerminalError
from restate_patterns.patterns.saga.errors import SagaFailed
from restate_patterns.patterns.saga.record import ErrorRecord, UndoError
from restate_patterns.toolkit import leaves_of, terminal

_UNDOING: Final = (TerminalError, asyncio.CancelledError, TimeoutError)
"""What no retry would mend: the same would come again."""


def is_final(error: BaseException) -> bool:
    """Return whether an error undoes, and is not tried again."""
    return all(isinstance(leaf, _UNDOING) for leaf in leaves_of(error))


def is_cancellation(error: BaseException) -> bool:
    """Return whether an error is a cancellation by asyncio, which must stay one."""
    return all(isinstance(leaf, asyncio.CancelledError) for leaf in leaves_of(error))


def recorded(error: BaseException) -> ErrorRecord:
    """Return an error as the record keeps it."""
    known = terminal(error)
    if known is None:
        return ErrorRecord(name=type(error).__name__, code=500, message=str(error) or type(error).__name__)
    return ErrorRecord.of(known)


def failure_of(error: BaseException, lost: list[UndoError]) -> SagaFailed | None:
    """Return what is raised instead of an error whose undo was skipped in parts; None when it is raised as it is."""
    if not lost or is_cancellation(error):
        return None
    original = terminal(error)
    if isinstance(original, SagaFailed):  # from a savepoint inside
        return _failed(original.original, [*original.undo_errors, *lost])
    return _failed(recorded(error), lost)


def _failed(original: ErrorRecord, undo_errors: list[UndoError]) -> SagaFailed:
    return SagaFailed(code=original.code, original=original, undo_errors=undo_errors)
