"""`BlockingClient`: the typed clients for threads without an event loop. One verb, and no second set of methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from restate_patterns.api.links import Link
from restate_patterns.api.typed_clients import Clients
from restate_patterns.client.errors import ClientClosed
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.client.portals import LoopThread, Portal, drop
from restate_patterns.seam import Caller

T = TypeVar("T")


class BlockingClient(Clients):
    """Calls services from programs that are not async: scripts, threads, Flask, Django.

        with BlockingClient("http://127.0.0.1:8080") as client:
            total = client.wait(client.object_client(Cart, "ann").add_ticket("A1"))

    Its typed clients and handles are those of `Client`, and so are results and errors; `wait` has one of their calls
    made, and waits for it. Any number of threads may use one at the same time. Its event loop runs in a thread of its
    own from the first `wait` on, and keeps no process.

    Args:
        ingress_url: Where the server takes calls.
        admin_url: Where its admin API is, which `cancel` needs. Default: the same host, port 9070.
        token: Sent as `authorization: Bearer ...` with each request.
        admin_token: The one of the admin API. Default: the same.

    Raises:
        ValueError: A URL is none of a server.
    """

    __slots__ = ("_http", "_portal", "_thread")

    def __init__(
        self,
        ingress_url: str = "http://127.0.0.1:8080",
        *,
        admin_url: str | None = None,
        token: str | None = None,
        admin_token: str | None = None,
    ) -> None:
        http = HttpCaller(ingress_url, admin_url=admin_url, token=token, admin_token=admin_token)
        super().__init__(Link(http))
        self._http: HttpCaller | None = http
        self._thread: LoopThread | None = LoopThread("restate-patterns client")
        self._portal: Callable[[], Portal] = self._thread.portal

    @classmethod
    def over(cls, caller: Caller, portal: Portal) -> Self:
        """Return a client of what is behind a caller, whose event loop runs in another thread."""
        client = cls.__new__(cls)
        Clients.__init__(client, Link(caller))
        client._http = client._thread = None
        client._portal = lambda: portal
        return client

    def wait(self, awaitable: Awaitable[T], *, timeout: timedelta | None = None) -> T:
        """Return what a call, a handle or an answer of this client comes to, once it has.

        Args:
            awaitable: Such as `client.object_client(Cart, "ann").add_ticket("A1")`, or `handle.result()`.
            timeout: The longest wait; what was accepted goes on after it. Default: no end.

        Raises:
            TerminalError: The one the handler ended with, as the class it raised where that is imported.
            TimeoutError: `timeout` passed.
            ClientClosed: The client was closed, also meanwhile.
            UsageError: The wait would never end: this is the thread of the client's event loop, a handler, or a
                forked child.
        """
        try:
            portal = self._portal()
        except ClientClosed:
            drop(awaitable)
            raise
        return portal.run(awaitable, None if timeout is None else timeout.total_seconds())

    def close(self) -> None:
        """Close what this client has of its own, connections and a thread; `with` does it.

        Who still waits gets `ClientClosed`. The block of an app, and the client of one, are not its own.
        """
        if self._thread is None or self._http is None:
            return
        running = self._thread.running
        try:
            if running is not None:
                running.run(self._http.aclose())
        finally:
            self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
