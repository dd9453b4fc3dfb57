"""Why a verb on an invocation is refused: from answers of either kind of server to one set of errors. Pure."""

from __future__ import annotations

from typing import Final

from restate_patterns.admin.connection import Answer
from restate_patterns.admin.errors import Refused
from restate_patterns.client.errors import ServerUnavailable
from restate_patterns.engine.errors import (
    CancelRefused,
    EngineError,
    InvocationCompleted,
    InvocationNotCompleted,
    InvocationNotPaused,
    MalformedId,
    NotAccepting,
    WorkflowAlreadyInvoked,
)
from restate_patterns.errors import InvocationNotFound

_BY_NAME: Final[dict[object, type[EngineError]]] = {
    each.__name__: each
    for each in (
        CancelRefused,
        InvocationCompleted,
        InvocationNotCompleted,
        InvocationNotPaused,
        MalformedId,
        NotAccepting,
        WorkflowAlreadyInvoked,
    )
}
_NEEDS_COMPLETED: Final = ("restart-as-new", "purge")
_TOO_EARLY: Final = 425


def refusal_of(verb: str, invocation_id: str, answer: Answer) -> Exception:
    """Return the error that a refused verb stands for.

    Restate answers 409 to a `pause` of what is completed and of what has not started alike: that is
    `InvocationNotPaused` here, and who can look at the invocation tells the two apart.
    """
    named = _BY_NAME.get(answer.fields.get("error"))
    if named is not None:
        return _with_sentence(named, invocation_id, answer.message)
    match answer.status:
        case 400:
            return MalformedId(invocation_id)
        case 404:
            return InvocationNotFound(message=f"there is no invocation '{invocation_id}', or it is past its retention")
        case 409 if verb in _NEEDS_COMPLETED:
            return InvocationNotCompleted(invocation_id)
        case 409 if verb == "pause":
            return InvocationNotPaused(invocation_id, "not running", verb)
        case 409:
            return InvocationCompleted(invocation_id)
        case status if status == _TOO_EARLY and verb in _NEEDS_COMPLETED:
            return InvocationNotCompleted(invocation_id)
        case status if status == _TOO_EARLY:
            return InvocationNotPaused(invocation_id, "not started", verb)
        case 503:
            return ServerUnavailable(answer.message)
        case _:
            return Refused(answer.status, answer.message)


def _with_sentence(kind: type[EngineError], subject: str, sentence: str) -> EngineError:
    """Make an error whose sentence the server has composed, which knows more."""
    error = kind.__new__(kind)
    EngineError.__init__(error, subject, sentence)
    return error
