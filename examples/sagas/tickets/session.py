"""The older face of the cart: a service that takes the user in the body instead of the path.

An earlier edition of the same example was called like this, and its clients still work:

    curl -X POST http://localhost:8080/UserSession/addTicket -H 'content-type: application/json' \
        -d '{"key": "user_1", "request": "Rolling-stones-A22"}'

A service can forward to an object like anybody else.
"""

from __future__ import annotations

from pydantic import BaseModel

from examples.sagas.tickets.cart import Cart
from restate_patterns import Context, Service, handler


class User(BaseModel):
    """A request about a user's cart."""

    key: str


class TicketOf(User):
    """A request about one seat and a user's cart."""

    request: str


class UserSession(Service):
    """Forwards to the cart of the user named in the body."""

    @handler(name="addTicket")
    async def add_ticket(self, ctx: Context, ticket: TicketOf) -> bool:
        """Reserve a seat for a user."""
        return await ctx.object_client(Cart, ticket.key).add_ticket(ticket.request)

    @handler(name="expireTicket")
    async def expire_ticket(self, ctx: Context, ticket: TicketOf) -> None:
        """Let go of a seat of a user."""
        await ctx.object_client(Cart, ticket.key).expire_ticket(ticket.request)

    @handler
    async def checkout(self, ctx: Context, user: User) -> bool:
        """Pay for all seats of a user."""
        return await ctx.object_client(Cart, user.key).checkout()
