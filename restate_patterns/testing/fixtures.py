"""For pytest: `durable`, for async tests under pytest-asyncio, anyio's plugin, or anything else that runs them.

Take it by its name, `from restate_patterns.testing.fixtures import durable`, or as a plugin, with
`pytest_plugins = ["restate_patterns.testing.fixtures"]`, in a `conftest.py`. No other module of the package knows
pytest.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import pytest

from restate_patterns.testing.clock import START
from restate_patterns.testing.environment import TestEnvironment, run_test

if TYPE_CHECKING:
    from restate_patterns.app import App

__all__ = ["Durable", "durable"]


class Durable(Protocol):
    """Runs an app on the engine in memory: `run_test`, or what a `conftest.py` puts in its place."""

    def __call__(
        self, app: App, *, replay_always: bool = False, start: datetime = START
    ) -> AbstractAsyncContextManager[TestEnvironment]:
        """Run an app as long as an `async with` block lasts; see `run_test`."""
        ...


@pytest.fixture
def durable() -> Durable:
    """Return what runs an app in a test.

        async def test_the_seat_is_held(durable: Durable) -> None:
            async with durable(App([Seat()])) as env:
                assert await env.client.object_client(Seat, "A1").hold("ann")

    It is no async fixture, so it does not matter which plugin runs the test.
    """
    return run_test
