"""The examples as a newcomer meets them: servers and providers in processes of their own."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from examples.stage import Stage, own_server


@pytest.fixture(scope="module")
def booking(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """The trip booking, served with its three providers."""
    folder: Path = tmp_path_factory.mktemp("booking")
    with Stage(own_server("examples.sagas.booking"), ["flights", "cars", "payments"], folder) as stage:
        yield stage


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """The ticket reservation, served with its two providers."""
    folder: Path = tmp_path_factory.mktemp("tickets")
    with Stage(own_server("examples.sagas.tickets"), ["payments", "mail"], folder) as stage:
        yield stage


@pytest.fixture(scope="module")
def hasty_tickets(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """The ticket reservation where a seat is held for a second instead of 15 minutes."""
    folder: Path = tmp_path_factory.mktemp("hasty-tickets")
    environment = {"HOLD_S": "1"}
    with Stage(own_server("examples.sagas.tickets"), ["payments", "mail"], folder, environment) as stage:
        yield stage


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """The payment state machine."""
    folder: Path = tmp_path_factory.mktemp("state-machine-payments")
    with Stage(own_server("examples.state_machines.payments"), [], folder) as stage:
        yield stage


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """The machine operator, with machines that are quick and still jam."""
    folder: Path = tmp_path_factory.mktemp("state-machine-machines")
    with Stage(own_server("examples.state_machines.machines"), [], folder, {"WORK_S": "0.01"}) as stage:
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
