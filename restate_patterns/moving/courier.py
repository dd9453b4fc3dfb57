"""Carries sends that no ingress takes, as those for private handlers: a service of this process while a file moves.

The server calls it like any service, and may send to whatever it has. It carries nothing but what the file
has, as it is told numbers and looks up the rest, so it opens no way in for anybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.api.typed_clients import link_of
from restate_patterns.seam import Request

COURIER: Final = "MovingCourier"
"""The name under which it is registered while a file moves; names that begin with Restate are reserved."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Order(NamedTuple):
    """What to carry: the number of an invocation on the file, and when it is to start (Unix ms; None for now)."""

    num: int
    start_ms: int | None


class Courier(Service, name=COURIER):
    """Sends what a file has.

    Args:
        request_of: Gives the request of an invocation by its number, always the same.
    """

    def __init__(self, request_of: Callable[[int], Request]) -> None:
        self._request_of = request_of

    @handler
    async def carry(self, ctx: Context, order: Order) -> str:
        """Send it; gives its id on the server. Its delay counts from the time read here, however old by then."""
        delay_ms = 0
        if order.start_ms is not None:
            delay_ms = max(0, order.start_ms - (ctx.now() - _EPOCH) // timedelta(milliseconds=1))
        return await link_of(ctx).caller.send(self._request_of(order.num), delay_ms)
