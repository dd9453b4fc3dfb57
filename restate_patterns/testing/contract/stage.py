"""What a guarantee has to work with: the running backend, the recorder of its definitions, names nobody used before."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from restate_patterns.api.definitions import Definition
from restate_patterns.api.typed_clients import link_of
from restate_patterns.client import Client
from restate_patterns.seam import Caller
from restate_patterns.testing.contract.host import Admin, Host, Running
from restate_patterns.testing.contract.recorder import PATIENCE_S, Recorder


class Stage:
    """Made by `staged`.

    Args:
        host: The backend.
        running: Its definitions, hosted.
        seen: What they record to.
    """

    def __init__(self, host: Host, running: Running, seen: Recorder) -> None:
        self.host = host
        self.seen = seen
        self._running = running
        self._run = uuid.uuid4().hex[:12]
        self._numbers = itertools.count(1)

    @property
    def client(self) -> Client:
        """A client from outside."""
        return self._running.client

    @property
    def caller(self) -> Caller:
        """The same on bytes: for what a typed client does not let through."""
        return link_of(self._running.client).caller

    @property
    def admin(self) -> Admin:
        """The operator's verbs."""
        return self._running.admin

    async def restart(self) -> None:
        """Let the process die and come back."""
        await self._running.restart()

    def key(self, hint: str = "k") -> str:
        """Return a key that no earlier check used, in this run or another."""
        return f"{hint}-{self._run}-{next(self._numbers)}"

    async def paused_because(self, id: str) -> str:
        """Wait until an invocation is paused, and give why."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    reason = await self.admin.paused_because(id)
                    if reason is not None:
                        return reason
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"the invocation {id} was not paused within {PATIENCE_S} s") from None


@asynccontextmanager
async def staged(host: Host, definitions: Callable[[Recorder], Sequence[Definition]]) -> AsyncGenerator[Stage]:
    """Host definitions on a backend for as many checks as one likes."""
    seen = Recorder()
    async with host.start(definitions(seen)) as running:
        yield Stage(host, running, seen)
