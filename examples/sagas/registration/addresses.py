"""Email addresses: each belongs to one user at most, from the first claim on."""

from __future__ import annotations

from restate_patterns import ObjectContext, ObjectSharedContext, State, TerminalError, VirtualObject, handler


class AddressTaken(TerminalError, code=409):
    """Somebody else has this address."""


class Address(VirtualObject):
    """One address; its key is the address itself."""

    owner = State[str | None](default=None)
    verified = State[bool](default=False)

    @handler(raises=[AddressTaken])
    async def claim(self, ctx: ObjectContext, user: str) -> str:
        """Keep the address for a user; gives the user."""
        if await self.owner.get(ctx) not in (None, user):
            raise AddressTaken
        self.owner.set(ctx, user)
        return user

    @handler
    async def release(self, ctx: ObjectContext, user: str) -> None:
        """Undo a claim; what is verified, or another's, stays."""
        if await self.owner.get(ctx) == user and not await self.verified.get(ctx):
            self.owner.clear(ctx)

    @handler
    async def verify(self, ctx: ObjectContext, user: str) -> None:
        """Say that the user reads it."""
        self.verified.set(ctx, await self.owner.get(ctx) == user)

    @handler
    async def belongs_to(self, ctx: ObjectSharedContext) -> str | None:
        """Give the user whose address this is, proven or not."""
        return await self.owner.get(ctx)
