"""`Client`: typed clients of services from outside, over HTTP or in the same process."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from restate_patterns.api.links import Link
from restate_patterns.api.typed_clients import Clients
from restate_patterns.client.blocking import BlockingClient
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.client.portals import Portal
from restate_patterns.errors import UsageError
from restate_patterns.seam import Caller

__all__ = ["BlockingClient", "Client"]


class Client(Clients):
    """Calls services from outside of any handler.

        async with Client("http://127.0.0.1:8080") as client:
            await client.object_client(Cart, "ann").add_ticket("A1")

    Results and errors are those of a call inside a handler. A request that cannot be repeated safely
    is never sent twice; with an idempotency key it is, when the connection breaks.

    Args:
        ingress_url: Where the server takes calls.
        admin_url: Where its admin API is, which `cancel` needs. Default: the same host, port 9070.
        token: Sent as `authorization: Bearer ...` with each request.
        admin_token: The one of the admin API. Default: the same.

    Raises:
        ValueError: A URL is none of a server.
    """

    def __init__(
        self,
        ingress_url: str = "http://127.0.0.1:8080",
        *,
        admin_url: str | None = None,
        token: str | None = None,
        admin_token: str | None = None,
    ) -> None:
        self._http: HttpCaller | None = HttpCaller(
            ingress_url, admin_url=admin_url, token=token, admin_token=admin_token
        )
        super().__init__(Link(self._http))

    @classmethod
    def over(cls, caller: Caller) -> Self:
        """Return a client of whatever is behind a caller, such as an engine in this process."""
        client = cls.__new__(cls)
        client._http = None
        Clients.__init__(client, Link(caller))
        return client

    def blocking(self) -> BlockingClient:
        """Return this client for threads of an async program: `def` endpoints, `asyncio.to_thread`, thread pools.

        It asks in the event loop that runs here, and is good as long as this client is. Threads without such a program
        take `BlockingClient(URL)` or `app.start_blocking(...)`.

        Raises:
            UsageError: No event loop runs here.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                "client.blocking() was called where no event loop runs: call it in the async program that has the "
                "client, and hand what it gives to the threads. A program that is not async takes BlockingClient(URL), "
                "or `with app.start_blocking(...) as client:`"
            ) from None
        return BlockingClient.over(self._link.caller, Portal(loop))

    async def aclose(self) -> None:
        """Close the connections; `async with` does it."""
        if self._http is not None:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
