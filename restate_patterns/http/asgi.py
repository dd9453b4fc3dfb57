"""The narrow part of ASGI that the ingress and the admin API use: read a body, send a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from restate_patterns.http.problems import Problem
from restate_patterns.limits import BODY_BYTES_MAX

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

_DISCARD_BYTES_MAX = 4 * BODY_BYTES_MAX
"""How much of a body that is too large is read, so that its sender gets to see the answer."""


class AsgiApp(Protocol):
    """An ASGI application for HTTP."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


class Response(NamedTuple):
    """A whole answer; `content-length` is added when it is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class ClientGone(Exception):
    """The client went away before its request was complete."""


async def read_body(scope: Scope, receive: Receive, limit_bytes: int = BODY_BYTES_MAX) -> bytes:
    """Give the whole body of a request.

    It stops at the declared length instead of waiting for the end of the stream: that is a round trip
    less, and Granian never tells of an end once the client has gone while the server stops.

    Raises:
        Problem: 413, the body is larger than `limit_bytes`.
        ClientGone: The connection ended first.
    """
    declared_bytes = _declared_bytes(scope)
    if declared_bytes == 0:
        return b""
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= limit_bytes and size != declared_bytes:
        message = await receive()
        parts.append(_part(message))
        size += len(parts[-1])
        more = message.get("more_body", False)
    if size > limit_bytes:
        if more and size != declared_bytes:
            await _discard(receive, _DISCARD_BYTES_MAX - size)
        raise Problem(413, f"the body is larger than {limit_bytes} bytes (limit BODY_BYTES_MAX)")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _declared_bytes(scope: Scope) -> int | None:
    """Give the length the headers declare; None when only the end of the stream tells."""
    streamed: bool = scope["http_version"] == "2"
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            streamed = True
    return None if streamed else 0


def _part(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    return body


async def _discard(receive: Receive, up_to_bytes: int) -> None:
    more = True
    while more and up_to_bytes > 0:
        message = await receive()
        more = message.get("more_body", False)
        up_to_bytes -= len(_part(message))


async def send_response(response: Response, send: Send, *, head_only: bool = False) -> None:
    """Send a whole answer."""
    response.headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": b"" if head_only else response.body})


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has gone; only for a request whose body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
