"""What a notice of the machine came to, as the completion that an attempt hears of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from restate_patterns.client.translate import terminal_error
from restate_patterns.errors import Failure, InvocationNotFound, JournalMismatch
from restate_patterns.restate.envelope import unwrap
from restate_patterns.restate.machine import Answer
from restate_patterns.seam import Completion, OperationHandle, ValueOrFailure
from restate_patterns.values.failures import failure_of_text, to_failure

Read: TypeAlias = Callable[[OperationHandle, Answer], Completion]

_NO_INVOCATION: Final = Failure(404, "not found")
"""What the server says to an attach that names nothing."""


def plain(handle: OperationHandle, answer: Answer) -> Completion:
    """Give what most things come to."""
    failure = answer.failure
    if failure is not None and not failure.metadata:  # the server names its own errors by their sentence alone
        failure = to_failure(terminal_error(failure))
    return Completion(handle, None, answer.value, failure)


def resolved(handle: OperationHandle, answer: Answer) -> Completion:
    """Give what an awakeable or a signal came to."""
    failure = answer.failure
    if failure is not None and not failure.metadata:  # from outside, where all of it is in the text
        failure = failure_of_text(failure.message, failure.code)
    return Completion(handle, None, answer.value, failure)


def attached(handle: OperationHandle, answer: Answer) -> Completion:
    """Give the output of an invocation."""
    if answer.failure == _NO_INVOCATION:
        return Completion(handle, None, None, to_failure(InvocationNotFound()))
    return plain(handle, answer)


def own_result(handle: OperationHandle, answer: Answer) -> Completion:
    """Give the result of a step that no handler asked for."""
    recorded = unwrap(ValueOrFailure(answer.value, answer.failure))
    return Completion(handle, recorded.time_ms, *recorded.result)


def step_result(name: str, fingerprint: str, handle: OperationHandle, answer: Answer) -> Completion:
    """Give the result of a step of the handler.

    Raises:
        JournalMismatch: It is the result of another step, or of other arguments.
    """
    asked = f"step {name!r} with arguments of fingerprint {fingerprint}"
    try:
        recorded = unwrap(ValueOrFailure(answer.value, answer.failure))
    except ValueError as error:
        raise JournalMismatch(handle, str(error), asked) from None
    if recorded.fingerprint != fingerprint:
        raise JournalMismatch(handle, f"step {name!r} with arguments of fingerprint {recorded.fingerprint}", asked)
    return Completion(handle, recorded.time_ms, *recorded.result)
