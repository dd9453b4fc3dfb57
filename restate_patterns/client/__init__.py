"""`Client`: typed clients of services from outside, over HTTP or in the same process."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from restate_patterns.api.links import Link
from restate_patterns.api.typed_clients import Clients
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.seam import Caller

__all__ = ["Client"]


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
