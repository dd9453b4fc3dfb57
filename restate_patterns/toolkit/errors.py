"""Which errors of a handler are an answer, and which have it tried again."""

from __future__ import annotations

from typing import Final

from restate_patterns.errors import AttemptSealed, Failure, JournalMismatch, TerminalError
from restate_patterns.execution.boundary import final_failure
from restate_patterns.retries import leaves_of
from restate_patterns.values.failures import NAME_KEY, from_failure, to_failure

__all__ = ["ATTEMPT_OVER", "failure_name", "from_failure", "leaves_of", "terminal", "to_failure"]

ATTEMPT_OVER: Final = (AttemptSealed, GeneratorExit, JournalMismatch)
"""The attempt is over and nothing may start: the next one comes here again, or a person is asked.

Code that catches errors to act on them lets these pass.
"""


def terminal(error: BaseException) -> TerminalError | None:
    """Return the terminal error that an error, or a group of errors, ends a handler with.

    Returns:
        None where the handler is tried again instead.
    """
    if isinstance(error, TerminalError):
        return error
    failure = final_failure(tuple(leaves_of(error)))
    return None if failure is None else from_failure(failure)


def failure_name(failure: Failure) -> str:
    """Return the name of the class of the error that a failure was made of."""
    return failure.metadata.get(NAME_KEY, "TerminalError")
