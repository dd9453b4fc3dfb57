"""Who outside waits for an answer of the engine: nobody of them is left behind when it stops."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from restate_patterns.engine_errors import EngineStopped

T = TypeVar("T")


class Callers:
    """The futures that those outside wait for."""

    def __init__(self) -> None:
        self._open: set[asyncio.Future[Any]] = set()

    async def answer(self, future: asyncio.Future[T]) -> T:
        """Wait for an answer.

        Raises:
            EngineStopped: The engine has stopped, and it will not come.
        """
        self._open.add(future)
        try:
            return await future
        finally:
            self._open.discard(future)

    def leave(self) -> None:
        """Tell everybody who waits that no answer comes."""
        for future in self._open:
            if not future.done():
                future.set_exception(EngineStopped())
