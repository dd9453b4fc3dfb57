"""The operator's verbs of the contract, through the admin client."""

from __future__ import annotations

from typing_extensions import override

from restate_patterns.admin import AdminClient, InvocationStatus
from restate_patterns.testing.contract import Admin


class ClientAdmin(Admin):
    """What an operator may do to invocations of a server of either kind."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    @override
    async def paused_because(self, id: str) -> str | None:
        view = (await self._admin.describe_invocation(id)).view
        return view.last_failure or "" if view.status is InvocationStatus.PAUSED else None

    @override
    async def kill(self, id: str) -> None:
        await self._admin.kill(id)

    @override
    async def pause(self, id: str) -> None:
        await self._admin.pause(id)

    @override
    async def resume(self, id: str) -> None:
        await self._admin.resume(id)

    @override
    async def restart_as_new(self, id: str) -> str:
        return await self._admin.restart_as_new(id)

    @override
    async def purge(self, id: str) -> None:
        await self._admin.purge(id)
