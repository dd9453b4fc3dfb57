"""From a reference (idempotency key, workflow) to an invocation id, by the admin API of either kind of server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

import httpx

from restate_patterns.client.errors import ServerUnavailable, UnexpectedAnswer
from restate_patterns.client.servers import ServerKind, ServerVersion
from restate_patterns.client.sql import resolving
from restate_patterns.client.urls import ref_query, ref_words
from restate_patterns.errors import InvocationNotFound, TerminalError
from restate_patterns.limits import QUERY_RETRY_S, QUERY_TRIES_MAX
from restate_patterns.seam import InvocationRef


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """A question to an admin API that changes nothing, so it may be repeated."""

    method: str
    path: str
    """With its query, percent-encoded."""
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Ask: TypeAlias = Callable[[AdminRequest], Awaitable[httpx.Response]]
"""Sends a question, and raises a `ClientError` when there is no answer."""

_NOT_OPEN: Final = b"partition store"

VERSION: Final = AdminRequest("GET", "/version")


async def query(sql: str, ask: Ask) -> httpx.Response:
    """Run a query on a Restate server; gives its answer, whatever it says.

    A server that has just started takes requests a moment before its tables are open: that is waited for.
    """
    headers = {"content-type": "application/json", "accept": "application/json"}
    request = AdminRequest("POST", "/query", json.dumps({"query": sql}).encode(), headers)
    for _ in range(QUERY_TRIES_MAX - 1):
        answer = await ask(request)
        if answer.status_code != 500 or _NOT_OPEN not in answer.content:
            return answer
        await asyncio.sleep(QUERY_RETRY_S)
    return await ask(request)


async def server_version(ask: Ask) -> ServerVersion:
    """Find out which server answers.

    Raises:
        ServerUnavailable: It takes no questions now.
        UnexpectedAnswer: What answers is no admin API.
    """
    answer = await ask(VERSION)
    if answer.status_code == 503:
        raise ServerUnavailable(f"{answer.request.url} is not available now")
    found = ServerVersion.from_json(fields_of(answer)) if answer.is_success else None
    if found is None:
        raise unexpected(answer)
    return found


async def resolve(ref: InvocationRef, kind: ServerKind, ask: Ask) -> str:
    """Return the id of the invocation that a reference names.

    Raises:
        InvocationNotFound: It names nothing.
        ServerUnavailable: The server takes no questions now.
        UnexpectedAnswer: What answers is no admin API.
    """
    if isinstance(ref, str):
        return ref
    if kind is ServerKind.EMBEDDED:
        answer = await ask(AdminRequest("GET", f"/embedded/invocations/resolve?{ref_query(ref)}"))
        found = fields_of(_checked(answer)).get("id")
    else:
        answer = await query(resolving(ref), ask)
        rows = rows_of(_checked(answer))
        if not rows:
            raise InvocationNotFound(message=f"there is no invocation {ref_words(ref)}")
        found = rows[0].get("id")
    if not isinstance(found, str):
        raise unexpected(answer)
    return found


def fields_of(answer: httpx.Response) -> Mapping[str, object]:
    """Return the JSON object of an answer.

    Raises:
        UnexpectedAnswer: It has none.
    """
    try:
        found: object = json.loads(answer.content)
    except ValueError:
        raise unexpected(answer) from None
    if not isinstance(found, Mapping):
        raise unexpected(answer)
    return cast("Mapping[str, object]", found)


def rows_of(answer: httpx.Response) -> list[Mapping[str, object]]:
    """Return the rows of a query's answer.

    Raises:
        UnexpectedAnswer: It is none.
    """
    rows = fields_of(answer).get("rows")
    if not isinstance(rows, list):
        raise unexpected(answer)
    return cast("list[Mapping[str, object]]", rows)


def unexpected(answer: httpx.Response) -> UnexpectedAnswer:
    """Return the error of an answer that is none of this API."""
    return UnexpectedAnswer(str(answer.request.url), answer.status_code, answer.text)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    message = fields_of(answer).get("message")
    if not isinstance(message, str) or answer.status_code == 401:
        raise unexpected(answer)
    if answer.status_code == 503:
        raise ServerUnavailable(message)
    if answer.status_code == 404:
        raise InvocationNotFound(message=message)
    raise TerminalError(message, code=answer.status_code)
