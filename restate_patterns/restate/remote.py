"""The Restate server as attempts ask it: through its ingress and its admin API."""

from __future__ import annotations

from typing_extensions import override

from restate_patterns.admin import AdminClient
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.restate.references import Server
from restate_patterns.seam import InvocationRef


class RemoteServer(Server):
    """A server at its URLs.

    Args:
        ingress_url: The ingress.
        admin_url: The admin API.
        token: Sent as `authorization: Bearer ...`.
    """

    def __init__(self, ingress_url: str, admin_url: str, token: str | None = None) -> None:
        self.caller = HttpCaller(ingress_url, admin_url=admin_url, token=token)
        self.admin = AdminClient(admin_url, token=token)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.caller.aclose()
        await self.admin.aclose()

    @override
    async def resolve(self, ref: InvocationRef) -> str:
        return await self.admin.resolve_ref(ref)

    @override
    async def output(self, ref: InvocationRef) -> bytes | None:
        return await self.caller.output(ref)

    @override
    async def pause(self, invocation_id: str) -> None:
        await self.admin.pause(invocation_id)
