"""What a backend gives so that the contract can be checked on it. Three protocols, on one screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from restate_patterns.api.definitions import Definition
from restate_patterns.client import Client


class Admin(Protocol):
    """What an operator may do to an invocation, by its id."""

    async def paused_because(self, id: str) -> str | None:
        """Return why an invocation is paused, or None while it is not."""
        ...

    async def kill(self, id: str) -> None:
        """End an invocation and its outstanding calls without running anything of them."""
        ...

    async def pause(self, id: str) -> None:
        """Make no more attempts until it is resumed."""
        ...

    async def resume(self, id: str) -> None:
        """Make the next attempt now."""
        ...

    async def restart_as_new(self, id: str) -> str:
        """Start a completed invocation again from its beginning, as a new one; give the new id."""
        ...

    async def purge(self, id: str) -> None:
        """Forget a completed invocation."""
        ...


class Running(Protocol):
    """Definitions that are hosted, in this very process."""

    @property
    def client(self) -> Client:
        """A client from outside, asked for anew after a restart: what an earlier one gave need not be good any more."""
        ...

    @property
    def admin(self) -> Admin:
        """The operator's verbs."""
        ...

    async def restart(self) -> None:
        """Let the process of the services die hard (as `kill -9` would), and start it again on the same data.

        Actions of steps that run are gone, unrecorded; so is what was not durable. Requests in flight may fail or
        never be answered. The test's own loop lives on, so what can be cancelled of the dead process is cancelled.
        """
        ...


class Host(Protocol):
    """A backend as the contract sees it; the only thing that its author writes."""

    @property
    def name(self) -> str:
        """What the table of differences calls it."""
        ...

    @property
    def differences(self) -> Mapping[str, str]:
        """Guarantees that it does not give, by name, each with the reason. They must then fail.

        `Sometimes(reason)` is for one that shows at some timings only; it is not checked.
        """
        ...

    def start(self, definitions: Sequence[Definition]) -> AbstractAsyncContextManager[Running]:
        """Host definitions until the block ends."""
        ...
