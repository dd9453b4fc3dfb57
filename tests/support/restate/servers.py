"""Real Restate servers for tests: started when the first test asks, shared by all, stopped at the end.

A test that takes one of the fixtures is marked `restate` by itself. Tests share the servers, so each
registers services under names, or calls keys, of its own; a test that kills nodes runs its own server.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path

import pytest

from restate_patterns.retries import RetryPolicy
from restate_patterns.server import RunningServer, ServerConfig, ServerError, install, running_server
from tests.support.pages import ROOT

INSTALL_DIRECTORY = ROOT / ".restate"
QUICK_RETRIES = RetryPolicy(initial=timedelta(milliseconds=20), maximum=timedelta(milliseconds=200))
PARTITIONS_COUNT = 4
"""A server comes with 24, each of which costs it time at its start and ever after."""
FIXTURES = {"restate_binary", "restate_server", "suspending_restate_server"}
STOP_S = 30.0


@pytest.fixture(scope="session")
def restate_binary() -> Path:
    """The server's program; it is downloaded on a machine that has never had it."""
    return install(INSTALL_DIRECTORY)


def quick_config(
    binary: Path, *, inactivity_timeout: timedelta | None = None, request_identity_key: Path | None = None
) -> ServerConfig:
    """Give what most tests run on: a server that retries quickly, and else is as it comes."""
    return ServerConfig(
        binary=binary,
        retry_policy=QUICK_RETRIES,
        partitions_count=PARTITIONS_COUNT,
        inactivity_timeout=inactivity_timeout,
        request_identity_key=request_identity_key,
    )


@pytest.fixture(scope="session")
def restate_server(restate_binary: Path) -> Iterator[RunningServer]:
    """A server as it comes, which retries quickly."""
    with served(quick_config(restate_binary)) as server:
        yield server


@pytest.fixture(scope="session")
def suspending_restate_server(restate_binary: Path) -> Iterator[RunningServer]:
    """A server that suspends at each wait, so that every handler replays after each."""
    with served(quick_config(restate_binary, inactivity_timeout=timedelta(0))) as server:
        yield server


@contextlib.contextmanager
def served(config: ServerConfig) -> Iterator[RunningServer]:
    """Run a server beside the event loops of the tests, which come and go."""
    started: Future[RunningServer] = Future()
    finish = threading.Event()

    async def serve() -> None:
        try:
            async with running_server(config) as server:
                started.set_result(server)
                await asyncio.to_thread(finish.wait)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    # Its own thread from start to end: on Linux a server ends with the thread that started it.
    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="restate server")
    thread.start()
    try:
        yield started.result()
    finally:
        finish.set()
        thread.join(STOP_S)
        assert not thread.is_alive(), "the Restate server did not stop"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, so that `-m 'not restate'` leaves them out."""
    for item in items:
        if isinstance(item, pytest.Function) and FIXTURES & set(item.fixturenames):
            item.add_marker("restate")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Download the server before the first test: a slow line must not count against a test's timeout."""
    wanted = any(item.get_closest_marker("restate") for item in session.items)
    if wanted and not session.config.option.collectonly:
        # The fixture tries again, and says what is wrong to the tests that need it.
        with contextlib.suppress(ServerError):
            install(INSTALL_DIRECTORY, tell=lambda line: print(line, flush=True))
