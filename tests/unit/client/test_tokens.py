"""Clients bring the token of the port they ask, and say so when it is not taken."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from restate_patterns import Client
from restate_patterns.admin import AdminClient
from restate_patterns.client.errors import UnexpectedAnswer
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.errors import Failure, TerminalError
from restate_patterns.http.exposure import Exposure
from restate_patterns.http.server import HttpServer
from restate_patterns.seam import IdempotencyRef, Request, Target, ValueOrFailure
from tests.support.http.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

TARGET = Target("Greeter", "greet")


@pytest.fixture
async def server(engine: FakeEngine) -> AsyncIterator[HttpServer]:
    exposure = Exposure(ingress_token="for-calls", admin_token="for-operators")
    async with HttpServer(engine, exposure=exposure, ingress_port=0, admin_port=0) as server:
        yield server


async def test_each_port_gets_its_token(server: HttpServer, engine: FakeEngine) -> None:
    engine.behaviours["Greeter/greet"] = lambda _: None
    caller = HttpCaller(server.ingress_url, admin_url=server.admin_url, token="for-calls", admin_token="for-operators")
    try:
        await caller.send(Request(TARGET, b"1", {}, "key"), 0)
        await caller.cancel(IdempotencyRef(TARGET, "key"))
    finally:
        await caller.aclose()
    assert "authorization" not in engine.requests[0].headers


async def test_one_token_for_both(engine: FakeEngine) -> None:
    exposure = Exposure(ingress_token="one", admin_token="one")
    engine.behaviours["Greeter/greet"] = lambda _: None
    async with HttpServer(engine, exposure=exposure, ingress_port=0, admin_port=0) as server:
        caller = HttpCaller(server.ingress_url, admin_url=server.admin_url, token="one")
        try:
            await caller.cancel(await caller.send(Request(TARGET, b"1", {}, None), 0))
        finally:
            await caller.aclose()


@pytest.mark.parametrize("token", [None, "wrong", "for-operators"])
async def test_a_token_that_is_not_taken(server: HttpServer, engine: FakeEngine, token: str | None) -> None:
    caller = HttpCaller(server.ingress_url, admin_url=server.admin_url, token=token, admin_token="wrong")
    refused = pytest.raises(UnexpectedAnswer, match=r"answered 401 .* the token is missing or not accepted")
    try:
        with refused:
            await caller.call(Request(TARGET, b"1", {}, None), None)
        with refused:
            await caller.send(Request(TARGET, b"1", {}, "k"), 0)
        with refused:
            await caller.output("inv_1")
        with refused:
            await caller.complete_awakeable("prom_1", ValueOrFailure(b"1", None))
        with refused:
            await caller.cancel("inv_1")
        with refused:
            await caller.cancel(IdempotencyRef(TARGET, "k"))
    finally:
        await caller.aclose()
    async with AdminClient(server.admin_url, token="for-calls" if token is None else token + "x") as admin:
        with refused:
            await admin.list_services()
    assert engine.requests == []


async def test_a_handlers_401_is_no_matter_of_tokens(server: HttpServer, engine: FakeEngine) -> None:
    engine.behaviours["Greeter/greet"] = lambda _: ValueOrFailure(None, Failure(401, "who are you?"))
    caller = HttpCaller(server.ingress_url, token="for-calls")
    try:
        with pytest.raises(TerminalError, match="who are you"):
            await caller.call(Request(TARGET, b"1", {}, None), None)
    finally:
        await caller.aclose()


def test_the_client_takes_both() -> None:
    Client("http://127.0.0.1:8080", token="a", admin_token="b")
