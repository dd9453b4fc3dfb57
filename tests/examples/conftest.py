"""The examples as a newcomer meets them: servers and providers in processes of their own."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from examples.stage import RestateUrls, Stage, own_server
from restate_patterns.server import RunningServer


@pytest.fixture(scope="module", params=["embedded", pytest.param("restate", marks=pytest.mark.restate)])
def backend(request: pytest.FixtureRequest) -> RestateUrls | None:
    """The same program on each backend: None for embedded, or the server to run it on."""
    if request.param == "embedded":
        return None
    return _urls(request.getfixturevalue("restate_server"))


@pytest.fixture(scope="module")
def other_backend(request: pytest.FixtureRequest, backend: RestateUrls | None) -> RestateUrls | None:
    """Another server than `backend`: on one server the services of the same names would be the same services."""
    return None if backend is None else _urls(request.getfixturevalue("suspending_restate_server"))


def _urls(server: RunningServer) -> RestateUrls:
    return RestateUrls(server.ingress_url, server.admin_url)


@pytest.fixture(scope="module")
def booking(tmp_path_factory: pytest.TempPathFactory, backend: RestateUrls | None) -> Generator[Stage]:
    """The trip booking, served with its three providers."""
    folder: Path = tmp_path_factory.mktemp("booking")
    command = own_server("examples.sagas.booking")
    with Stage(command, ["flights", "cars", "payments"], folder, restate=backend) as stage:
        yield stage


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory, backend: RestateUrls | None) -> Generator[Stage]:
    """The ticket reservation, served with its two providers."""
    folder: Path = tmp_path_factory.mktemp("tickets")
    with Stage(own_server("examples.sagas.tickets"), ["payments", "mail"], folder, restate=backend) as stage:
        yield stage


@pytest.fixture(scope="module")
def hasty_tickets(tmp_path_factory: pytest.TempPathFactory, other_backend: RestateUrls | None) -> Generator[Stage]:
    """The ticket reservation where a seat is held for a second instead of 15 minutes."""
    folder: Path = tmp_path_factory.mktemp("hasty-tickets")
    command, environment = own_server("examples.sagas.tickets"), {"HOLD_S": "1"}
    with Stage(command, ["payments", "mail"], folder, environment, other_backend) as stage:
        yield stage


@pytest.fixture(autouse=True)
def well_behaved(request: pytest.FixtureRequest) -> Generator[None]:
    """Take back what a test left of its faults."""
    yield
    for name in ("booking", "tickets", "hasty_tickets"):
        if name in request.fixturenames:
            stage: Stage = request.getfixturevalue(name)
            for provider in stage.providers.values():
                provider.behave()
