"""The time to leave in: one deadline for all who have to end, cut short when somebody is in a hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable


class Grace:
    """A deadline that is handed on from one who ends to the next.

    Args:
        total_s: Seconds from now.
        hurry: When it is done nobody is waited for any more.
    """

    def __init__(self, total_s: float, hurry: Coroutine[object, object, object] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._end_s = self._loop.time() + total_s
        self._hurry = None if hurry is None else asyncio.ensure_future(hurry)

    def left_s(self, keep_s: float = 0.0) -> float:
        """Give the seconds that are left, but for those kept for who ends after."""
        if self._hurry is not None and self._hurry.done():
            return 0.0
        return max(0.0, self._end_s - self._loop.time() - keep_s)

    async def hurried(self) -> None:
        """Wait until somebody is in a hurry."""
        if self._hurry is None:
            await asyncio.Event().wait()
        else:
            await asyncio.wait([self._hurry])

    async def wait(self, for_all: Iterable[asyncio.Future[None]], keep_s: float = 0.0) -> None:
        """Wait until all are done, the time but for `keep_s` seconds is over, or somebody is in a hurry."""
        everything = asyncio.ensure_future(_all_done(list(for_all)))
        hurry = asyncio.ensure_future(self.hurried())
        try:
            await asyncio.wait([everything, hurry], timeout=self.left_s(keep_s), return_when=asyncio.FIRST_COMPLETED)
        finally:
            everything.cancel()
            hurry.cancel()

    def close(self) -> None:
        """Listen to nobody any more."""
        if self._hurry is not None:
            self._hurry.cancel()


async def _all_done(futures: list[asyncio.Future[None]]) -> None:
    if futures:
        await asyncio.wait(futures)
