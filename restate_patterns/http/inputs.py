"""Whether a body and its content type fit a handler; what is in the body is the handler's business."""

from __future__ import annotations

from restate_patterns.http.problems import Problem
from restate_patterns.seam import HandlerInfo
from restate_patterns.values.serde import ANYTHING, JSON, OCTETS


def check_input(handler: HandlerInfo, content_type: str | None, body: bytes) -> None:
    """Check body and content type against what a handler takes.

    Raises:
        Problem: 400, with what to send instead.
    """
    if not handler.takes_input:
        if body or content_type is not None:
            raise _bad(f"the handler '{handler.name}' takes no input: send neither a body nor a content type")
        return
    wanted = handler.input_content_type
    if body:
        if content_type is None:
            named = OCTETS if _essence(wanted) == ANYTHING else wanted
            raise _bad(f"the body has no content type, add the header 'content-type: {named}'")
        if not _matches(content_type, wanted):
            raise _bad(f"Content-type '{content_type}' does not match '{wanted}'")
    elif handler.input_required and _essence(wanted) == JSON:
        if content_type is not None:
            raise _bad(f"the content type '{content_type}' comes with an empty body, which the handler needs")
        raise _bad(f"the handler '{handler.name}' needs a body of content type '{wanted}'")


def check_argument(handler: HandlerInfo, body: bytes) -> None:
    """Check an argument before it is accepted, where nobody waits to hear later that it is none.

    Raises:
        InvalidInput: It is none, with the place and the reason.
    """
    error = handler.argument_error(body)
    if error is not None:
        raise error


def _bad(reason: str) -> Problem:
    return Problem(400, f"input validation error: {reason}")


def _essence(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _matches(content_type: str, wanted: str) -> bool:
    if content_type == wanted:
        return True
    given, pattern = _essence(content_type), _essence(wanted)
    if pattern.endswith("/*"):
        return pattern == ANYTHING or given.startswith(pattern[:-1])
    return given == pattern
