"""Errors of the HTTP layer, and the one table from the engine's errors to statuses."""

from __future__ import annotations

from collections.abc import Mapping

from restate_patterns import errors
from restate_patterns.engine import errors as engine_errors
from restate_patterns.values.failures import to_failure

_STATUS_OF: dict[type[engine_errors.EngineError], int] = {
    engine_errors.MalformedId: 400,
    engine_errors.InvocationCompleted: 409,
    engine_errors.InvocationNotCompleted: 409,
    engine_errors.InvocationNotPaused: 409,
    engine_errors.InvocationPaused: 470,
    engine_errors.WorkflowAlreadyInvoked: 409,
    engine_errors.CancelRefused: 409,
    engine_errors.NotAccepting: 503,
    engine_errors.EngineStopped: 503,
}


class Problem(Exception):
    """A request that gets an error as its answer.

    Args:
        status: HTTP status, which is also the code in the body.
        message: The sentence people read.
        invocation_id: The invocation it is about, if there is one.
        headers: Headers to add to the answer.
        error: The class of the engine's error, for programs.
        paused_because: Why the invocation is paused, when that is the problem.
        metadata: What a client needs to raise the class of the error.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        invocation_id: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        error: str | None = None,
        paused_because: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.invocation_id = invocation_id
        self.headers = headers
        self.error = error
        self.paused_because = paused_because
        self.metadata = metadata or {}


def problem_of(error: engine_errors.EngineError | errors.TerminalError) -> Problem:
    """Translate what an engine raised."""
    name = type(error).__name__
    if isinstance(error, errors.TerminalError):
        return Problem(error.code, error.message, error=name, metadata=to_failure(error).metadata)
    about = (engine_errors.WorkflowAlreadyInvoked, engine_errors.InvocationPaused)
    invocation_id = error.subject if isinstance(error, about) else None
    paused_because = error.reason if isinstance(error, engine_errors.InvocationPaused) else None
    headers = ((b"retry-after", b"1"),) if isinstance(error, engine_errors.NotAccepting) else ()
    status = _STATUS_OF.get(type(error), 500)
    return Problem(
        status, str(error), invocation_id=invocation_id, headers=headers, error=name, paused_because=paused_because
    )
