"""SIGTERM and SIGINT as something to wait for; the handlers from before are back afterwards."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """The signals that asked this process to stop."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[signal.Signals] = asyncio.Queue()

    def put(self, arrived: signal.Signals) -> None:
        """Note a signal."""
        self._arrived.put_nowait(arrived)

    async def next(self) -> signal.Signals:
        """Wait for the next signal."""
        return await self._arrived.get()


@asynccontextmanager
async def stop_signals() -> AsyncGenerator[StopSignals]:
    """Catch SIGTERM and SIGINT inside the block; only in the main thread."""
    loop = asyncio.get_running_loop()
    stops = StopSignals()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, stops.put, number)
    try:
        yield stops
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
