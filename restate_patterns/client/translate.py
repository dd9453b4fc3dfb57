"""From answers and engine errors to the errors a caller sees: one table for both clients."""

from __future__ import annotations

from typing import Final

from restate_patterns.client import errors
from restate_patterns.engine.errors import (
    EngineError,
    EngineStopped,
    InvocationPaused,
    MalformedId,
    NotAccepting,
    WorkflowAlreadyInvoked,
)
from restate_patterns.errors import (
    AlreadyCompleted,
    AlreadyInvoked,
    Cancelled,
    Failure,
    IdempotencyKeyReused,
    Killed,
    TerminalError,
)
from restate_patterns.values.failures import from_failure

_BY_SENTENCE: Final[dict[tuple[int, str], type[TerminalError]]] = {
    (each.code, each.message): each
    for each in (AlreadyCompleted, AlreadyInvoked, Cancelled, IdempotencyKeyReused, Killed)
}
"""Errors of the system that a server names by code and sentence alone."""
_BY_SENTENCE[409, "canceled"] = Cancelled  # what Restate says of one that was cancelled before it began


def terminal_error(failure: Failure) -> TerminalError:
    """Return the error a failure stands for, as the class that was raised where it is known."""
    if not failure.metadata:
        known = _BY_SENTENCE.get((failure.code, failure.message))
        if known is not None:
            return known()
    return from_failure(failure)


def outside_error(error: EngineError | TerminalError) -> Exception:
    """Return what a caller outside sees for what the engine raises instead of a result."""
    if isinstance(error, TerminalError):
        return errors.RequestRefused(message=error.message, code=error.code) if type(error) is TerminalError else error
    if isinstance(error, InvocationPaused):
        return errors.InvocationPaused(error.subject, error.reason, str(error))
    if isinstance(error, EngineStopped):
        return errors.ClientClosed(str(error))
    if isinstance(error, NotAccepting):
        return errors.ServerUnavailable(str(error))
    if isinstance(error, WorkflowAlreadyInvoked):
        return AlreadyInvoked()
    if isinstance(error, MalformedId):
        return errors.RequestRefused(message=str(error))
    return TerminalError(str(error), code=409)
