"""A door below a prefix of somebody else's paths: where a web framework, or a proxy's prefix, has led to it.

The path that is left is what the door knows. It knows no engine, and whether there is one only by its door.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from typing_extensions import override

from restate_patterns.http.asgi import AsgiApp, Receive, Scope, Send
from restate_patterns.http.door import Door

_NOT_RUNNING: Final = (
    "the engine behind this app was never started: enter `async with ingress.running() as client:` in the lifespan of "
    "the app that it is mounted in (frameworks do not run the lifespan of what they mount), or, where it is served by "
    "itself, serve it with its lifespan on"
)


class Mount(AsgiApp):
    """Hands requests to a door, once there is one, by the path below the prefix."""

    def __init__(self) -> None:
        self.door: Door | None = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.door is None:
            raise RuntimeError(_NOT_RUNNING)
        await self.door({**scope, "raw_path": raw_path_below(scope)}, receive, send)


def raw_path_below(scope: Scope) -> bytes:
    """Give the path as the client sent it, without the prefix that led here.

    Some servers leave the raw path out: a slash that was written `%2F` then counts as any other.
    """
    raw_path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    prefix: str = scope.get("root_path", "").rstrip("/")
    parts = raw_path.split(b"/")
    count = 1 + prefix.count("/")
    # The prefix may be written in more than one way, and a proxy may have cut it off already.
    if prefix and unquote_to_bytes(b"/".join(parts[:count])) == prefix.encode():
        return b"/" + b"/".join(parts[count:])
    return raw_path
