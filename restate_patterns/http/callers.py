"""Places for callers who wait for answers that take as long as they like.

A caller who waits holds a stream, and with HTTP/1.1 a connection. Whatever ends its wait comes as another
request, so those who wait may never have all connections: only they need a place here.
"""

from __future__ import annotations

from restate_patterns.http.asgi import Scope
from restate_patterns.http.problems import Problem
from restate_patterns.limits import WAITING_CALLERS_MAX


class Places:
    """A number of places, each taken with `with`.

    Args:
        most: How many there are.
    """

    __slots__ = ("_most", "_taken")

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def __enter__(self) -> None:
        if self._taken >= self._most:
            raise Problem(
                503,
                f"{self._taken} callers wait for their answers already, as many as may (limit WAITING_CALLERS_MAX, and "
                "the system's limit on open files): try again later, or use /send, which does not wait",
                headers=((b"retry-after", b"1"),),
            )
        self._taken += 1

    def __exit__(self, *_: object) -> None:
        self._taken -= 1


class Callers:
    """Those who wait at one port.

    Args:
        connections_max: How many connections it may have; a quarter of them is kept for those who do not wait.
    """

    __slots__ = ("_connections", "_streams")

    def __init__(self, connections_max: int = 2 * WAITING_CALLERS_MAX) -> None:
        self._connections = Places(max(1, min(WAITING_CALLERS_MAX, connections_max - max(1, connections_max // 4))))
        self._streams = Places(WAITING_CALLERS_MAX)

    def place_for(self, scope: Scope) -> Places:
        """Give where the caller of a request takes its place; taking it raises `Problem` 503 when there is none."""
        return self._streams if scope["http_version"] == "2" else self._connections
