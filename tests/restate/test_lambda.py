"""Services as an AWS Lambda function: a real Restate server invokes our handler; only the cloud is stood in for."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from benchmarks.processes import running, wait_for_listener
from restate_patterns import Client
from restate_patterns.admin import AdminClient, FunctionNotInvoked
from restate_patterns.cli.exits import Exit
from restate_patterns.server import RunningServer, free_ports
from tests.support.bounds import PATIENCE_S
from tests.support.pages import ROOT
from tests.support.processes.dev_server import run_here
from tests.support.restate.lambda_shop import Order, Till
from tests.support.restate.restate_server import own_server

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.restate]

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:shop:1"
COMMAND = (
    sys.executable,
    "-m",
    "tests.support.restate.lambda_stand_in",
    "tests.support.restate.lambda_function",
)


class Cloud:
    """The stand-in's process, which can be killed and started again where it was."""

    def __init__(self, folder: Path, port: int) -> None:
        self.log = folder / "lambda.log"
        self.port = port

    @contextmanager
    def up(self) -> Iterator[None]:
        """Run it while the block lasts; it is killed at its end."""
        with running([*COMMAND, str(self.port)], self.log, cwd=ROOT) as process:
            wait_for_listener(process, self.port, self.log)
            yield
            process.kill()

    def invoked(self, path: str) -> int:
        """How often the function was invoked for a path."""
        return self.log.read_text().count(f"invoked {path}\n")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    (port,) = free_ports(1)
    return Cloud(tmp_path_factory.mktemp("lambda"), port)


@pytest.fixture(scope="module")
def server(cloud: Cloud) -> Iterator[RunningServer]:
    """A server whose AWS is the stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{cloud.port}")
        patch.setenv("AWS_REGION", "eu-central-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "stand-in")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "stand-in")
        with own_server() as started:
            yield started


@pytest.fixture
async def client(server: RunningServer, anyio_backend: str) -> AsyncIterator[Client]:
    async with Client(server.ingress_url, admin_url=server.admin_url) as made:
        yield made


async def test_a_function_that_does_not_answer(server: RunningServer) -> None:
    """The sentence says what may be wrong, and not that the URL is."""
    async with AdminClient(server.admin_url) as admin:
        with pytest.raises(FunctionNotInvoked, match="lambda:InvokeFunction") as caught:
            await admin.register(ARN)
        assert ARN in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((ARN, "--http1"), Exit.USAGE, "use_http_11 (--http1) is for endpoints with a URL"),
        (("http://127.0.0.1:9", "--assume-role", "arn:aws:iam::1:role/r"), Exit.USAGE, "is for a Lambda function"),
        ((ARN.removesuffix(":1"),), Exit.REFUSED, "version or alias"),
    ],
)
def test_mistakes(server: RunningServer, arguments: tuple[str, ...], code: Exit, sentence: str) -> None:
    done = run_here("deployments", "register", *arguments, "--admin-url", server.admin_url)
    assert done.code == code
    assert sentence in done.stderr


def test_registered_and_listed(server: RunningServer, cloud: Cloud) -> None:
    """By its ARN, wherever an endpoint is named; nothing has changed when it is registered again."""
    arn = f"{ARN.removesuffix(':1')}:2"
    with cloud.up():
        for said in (f": {arn} is registered", f": {arn} was registered before, and nothing has changed"):
            done = run_here("deployments", "register", arn, "--admin-url", server.admin_url)
            assert said in done.stdout, done.stderr
    listed = run_here("deployments", "list", "--json", "--admin-url", server.admin_url)
    (found,) = [each for each in json.loads(listed.stdout)["deployments"] if each["arn"] == arn]
    assert found["protocol_type"] == "RequestResponse"
    assert arn in run_here("deployments", "list", "--admin-url", server.admin_url).stdout


async def test_every_kind_of_wait(server: RunningServer, cloud: Cloud, client: Client) -> None:
    """A step, a sleep, calls and an awakeable; the function does not wait, it is invoked again."""
    with cloud.up():
        await register(server)
        order = await client.service_client(Order).place.send("north")
        till = client.object_client(Till, "north")
        deadline = time.monotonic() + PATIENCE_S
        while (bell := await till.hung()) is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert cloud.invoked("/invoke/Order/place") >= 3
        await bell.resolve(client, "ready")
        assert await order.result() == "charged for north, 7 in the till, ready"


async def test_killed_in_the_middle(server: RunningServer, cloud: Cloud, client: Client, tmp_path: Path) -> None:
    """What was recorded before the function died is not done again; another instance goes on."""
    with cloud.up():
        await register(server)
        order = await client.service_client(Order).place_once_killed.send(str(tmp_path))
        deadline = time.monotonic() + PATIENCE_S
        while not await anyio.Path(tmp_path, "died").exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    with cloud.up():
        assert await order.result() == "the first step ran 1 time"
    assert await anyio.Path(tmp_path, "first").read_text() == "x"


async def register(server: RunningServer) -> None:
    async with AdminClient(server.admin_url) as admin:
        await admin.register(ARN)
