"""The marks of one saga: the records that it has locked, or waits in line for."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from restate_patterns.api.context import Context
from restate_patterns.patterns.saga.errors import RecordPending
from restate_patterns.patterns.saga.locks import Lockable, LockRequest
from restate_patterns.patterns.saga.underway import Begun, UnderWay


class Marks:
    """Marks records for one saga and gives them back.

    Args:
        ctx: The saga's context.
        under_way: What the saga has begun.
    """

    def __init__(self, ctx: Context, under_way: UnderWay) -> None:
        self._ctx = ctx
        self._under_way = under_way
        self._records: list[Lockable] = []

    def __bool__(self) -> bool:
        return bool(self._records)

    async def lock(self, record: Lockable, request: LockRequest, begun: Begun, timeout: timedelta | None) -> None:
        """Mark a record; see `Saga.lock`."""
        with begun:
            self._records.append(record)
            try:
                if await record.acquire(request):
                    return
                turn = self._ctx.awakeable(bool)
                if await record.acquire(request.model_copy(update={"turn": turn.id})):
                    return
                async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                    with self._under_way.in_line(begun.group):
                        await turn
            except RecordPending:
                self._records.remove(record)
                raise
            except TimeoutError:
                owner = await record.release(request.owner)
                self._records.remove(record)
                raise RecordPending(record=str(record), owner=owner or "that marked it") from None

    async def give_back(self, owner: str) -> None:
        """Take all marks of the saga away, the newest first."""
        for record in self._records[::-1]:
            await record.release(owner)
