"""The narrow part of ASGI that the ingress and the admin API use, and how a response is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


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


async def send_response(response: Response, send: Send, *, head_only: bool = False) -> None:
    """Send a whole answer."""
    response.headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": b"" if head_only else response.body})
