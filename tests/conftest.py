"""What every test gets."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import settings

from restate_patterns.testing import loops

pytest_plugins = ["tests.support.restate.servers", "tests.support.side_by_side"]

# The machine is shared: how long an example takes says nothing about the code.
settings.register_profile("project", deadline=None, print_blob=True)
settings.load_profile("project")


@pytest.fixture
def anyio_backend() -> str:
    """The only loop the framework runs on; for tests marked `anyio`."""
    return "asyncio"


@pytest.fixture(autouse=True)
def threads_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a test that waits in vain told so beside threads that other tests have left."""
    monkeypatch.setattr(loops, "_OF_NOBODY", frozenset(threading.enumerate()) - {threading.main_thread()})


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide settings of the person who runs the tests: proxies and our own variables."""
    for name in list(os.environ):
        if name.startswith("RESTATE_") or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
