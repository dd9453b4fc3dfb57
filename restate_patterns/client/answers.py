"""Answers of a server as values, outputs or errors. Pure: no connection here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, cast

import httpx

from restate_patterns.client.errors import InvocationPaused, RequestRefused, ServerUnavailable, UnexpectedAnswer
from restate_patterns.client.translate import terminal_error
from restate_patterns.engine.errors import MalformedId
from restate_patterns.errors import Failure, InvocationNotFound, TerminalError
from restate_patterns.seam import Accepted
from restate_patterns.text.durations import parse_rfc3339_ms

NOT_READY_STATUS: Final = 470


def may_be_unknown(answer: httpx.Response) -> bool:
    """Say whether an answer to an attach may mean that there is no such invocation.

    Restate answers with the terminal error 404 `not found`, which a handler may have raised as well.
    """
    return answer.status_code == 404 and _message(answer) == "not found"


def check_known(answer: httpx.Response) -> None:
    """Check an answer to an output for whether there is such an invocation.

    Raises:
        InvocationNotFound: There is none.
    """
    if answer.status_code == 404 and answer.headers.get("x-restate-error-source") == "ingress":
        raise InvocationNotFound(message=_message(answer))


def output_of(answer: httpx.Response) -> bytes:
    """Return the body of a success.

    Raises:
        TerminalError: The invocation failed, or the request was refused.
        ServerUnavailable: 503 of the server itself.
        UnexpectedAnswer: It is no answer of this API.
    """
    if answer.is_success and "x-restate-error-source" not in answer.headers:
        if "x-restate-id" not in answer.headers:
            raise _unexpected(answer)
        return answer.content
    raise error_of(answer)


def looked_up(answer: httpx.Response) -> bytes:
    """Return the output of an invocation that was asked for by a reference.

    Raises:
        InvocationNotFound: There is no such invocation.
        TerminalError: The invocation failed, or the reference is malformed.
    """
    check_known(answer)
    return output_of(answer)


def accepted(answer: httpx.Response) -> Accepted:
    """Return what a server says of a send that it took.

    Raises:
        TerminalError: The request was refused.
        UnexpectedAnswer: It is no answer of this API.
    """
    if not answer.is_success:
        raise error_of(answer)
    fields = _fields(answer)
    invocation_id, start = fields.get("invocationId"), fields.get("executionTime")
    if not isinstance(invocation_id, str):
        raise _unexpected(answer)
    previously = fields.get("status") == "PreviouslyAccepted"
    return Accepted(invocation_id, previously, parse_rfc3339_ms(start) if isinstance(start, str) else None)


def error_of(answer: httpx.Response) -> Exception:
    """Return the error that an answer of the ingress stands for."""
    fields = _fields(answer)
    message, code = fields.get("message"), fields.get("code")
    if not isinstance(message, str) or not isinstance(code, int):
        return _unexpected(answer)
    reason = fields.get("pausedBecause")
    if isinstance(reason, str):
        return InvocationPaused(answer.headers.get("x-restate-id", ""), reason, message)
    if fields.get("source") != "invocation":
        if answer.status_code == 401:
            return _unexpected(answer)
        if answer.status_code == 503:
            return ServerUnavailable(message)
    error = terminal_error(Failure(code, message, _texts(fields.get("metadata"))))
    is_refusal = fields.get("source") != "invocation" and type(error) is TerminalError
    return RequestRefused(message=message, code=code) if is_refusal else error


def unavailable(answer: httpx.Response) -> Exception:
    """Return the error of a server, or of a gateway before it, that takes no work now."""
    message = _fields(answer).get("message")
    return ServerUnavailable(message) if isinstance(message, str) else _unexpected(answer)


def refused_verb(answer: httpx.Response, invocation_id: str) -> Exception | None:
    """Return why an invocation can't be cancelled; None when it can, or when it has ended anyway.

    Raises:
        UnexpectedAnswer: It is no answer of the admin API.
    """
    if answer.is_success:
        return None
    if answer.status_code == 409 and _fields(answer).get("error") != "CancelRefused":
        return None
    return _admin_error(answer, invocation_id)


def _admin_error(answer: httpx.Response, invocation_id: str) -> Exception:
    message = _message(answer)
    if answer.status_code == 401:
        return _unexpected(answer)
    if answer.status_code == 503:
        return ServerUnavailable(message)
    if answer.status_code == 404:
        return InvocationNotFound(message=message)
    if answer.status_code == 400:
        message = str(MalformedId(invocation_id))
    return TerminalError(message, code=answer.status_code)


def _message(answer: httpx.Response) -> str:
    message = _fields(answer).get("message")
    if not isinstance(message, str):
        raise _unexpected(answer)
    return message


def _texts(metadata: object) -> dict[str, str]:
    if not isinstance(metadata, Mapping):
        return {}
    return {name: str(text) for name, text in cast("Mapping[str, object]", metadata).items()}


def _fields(answer: httpx.Response) -> Mapping[str, object]:
    try:
        found: object = json.loads(answer.content)
    except ValueError:
        raise _unexpected(answer) from None
    return cast("Mapping[str, object]", found) if isinstance(found, Mapping) else {}


def _unexpected(answer: httpx.Response) -> UnexpectedAnswer:
    return UnexpectedAnswer(str(answer.request.url), answer.status_code, answer.text)
