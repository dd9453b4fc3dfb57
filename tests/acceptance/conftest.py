"""The workshop on each kind of server: what the verbs of an operator are tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.processes.dev_server import DevServer
from tests.support.processes.workshops import Workshop
from tests.support.restate.restate_server import restate_workshop

KINDS = ["embedded", pytest.param("restate", marks=pytest.mark.restate)]


@pytest.fixture(scope="module", params=KINDS)
def workshop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """The workshop, on an embedded server and on a Restate server."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "restate":
        with restate_workshop(folder) as started:
            yield started
        return
    server = DevServer(folder, "tests.support.processes.workshop:app", "--no-reload", "--db", "workshop.db")
    try:
        server.start()
        yield Workshop("embedded", server.ingress_url, server.admin_url)
    finally:
        server.close()


@pytest.fixture(scope="module")
def restate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """The workshop on a Restate server."""
    with restate_workshop(tmp_path_factory.mktemp("restate")) as started:
        yield started
