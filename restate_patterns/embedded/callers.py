"""Who asks the engine from outside: where they may, and that nobody is left waiting when it stops."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from restate_patterns.engine.errors import EngineStopped
from restate_patterns.errors import UsageError
from restate_patterns.execution.loop import InnerLoop

T = TypeVar("T")


class Callers:
    """The futures that those outside wait for."""

    def __init__(self) -> None:
        self.open: set[asyncio.Future[Any]] = set()
        """Who waits on the way of each call adds its own here, without a coroutine more, and takes it away."""

    async def answer(self, future: asyncio.Future[T]) -> T:
        """Wait for an answer.

        Raises:
            EngineStopped: The engine has stopped, and it will not come.
        """
        self.open.add(future)
        try:
            return await future
        finally:
            self.open.discard(future)

    def leave(self) -> None:
        """Tell everybody who waits that no answer comes."""
        for future in self.open:
            if not future.done():
                future.set_exception(EngineStopped())


def refuse_foreign_loop() -> None:
    """Refuse who asks from another event loop than the engine's; what asks from no loop waits for nothing.

    Raises:
        UsageError: There is such a loop: that of a handler, or of another thread.
    """
    running = asyncio._get_running_loop()
    if isinstance(running, InnerLoop):
        raise UsageError(
            "the client of app.start(...) was used inside a handler: what it does is in no journal. Take a client "
            "from the context: ctx.service_client(...), ctx.object_client(..., key), ctx.workflow_client(..., key)"
        )
    if running is not None:
        raise UsageError(
            "the client of app.start(...) was used in another event loop than the one its block runs in (another "
            "thread, or another asyncio.run). Threads ask through `threads = client.blocking()`, made in the block: "
            "`threads.wait(threads.service_client(...).handler(...))`, from another loop in asyncio.to_thread. Or "
            "serve the app and take Client(URL), one for each loop"
        )
