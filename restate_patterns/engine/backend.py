"""What an `App` runs on. The one argument that year two changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from restate_patterns.seam import Caller, Deployment


class Hosted(Protocol):
    """What has services: an `App`."""

    @property
    def deployment(self) -> Deployment:
        """The services."""
        ...


class Backend(Protocol):
    """Hosts the services of an app. `Embedded` is one; a third party may add another."""

    def start(self, deployment: Deployment) -> AbstractAsyncContextManager[Caller]:
        """Host the services in this process until the block ends.

        Awaits `deployment.started` first, which declares the app's schedules, unless somebody else registers services.

        Returns:
            What typed clients of these services stand on.
        """
        ...

    async def serve(self, deployment: Deployment, started: Callable[[], None]) -> None:
        """Host the services over the network until SIGTERM or SIGINT, then finish within a bound.

        Args:
            deployment: The services.
            started: Called once, when requests are answered.
        """
        ...
