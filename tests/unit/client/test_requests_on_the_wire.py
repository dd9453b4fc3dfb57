"""What the client sends to a server that is somewhere else: method, path, headers and body, request by request."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest
import respx

from restate_patterns import Client, Context, Service, TerminalError, handler

URL = "https://restate.example"
ACCEPTED = {"invocationId": "inv_1", "status": "Accepted"}


class Mail(Service):
    """A service hosted by that server."""

    @handler
    async def deliver(self, ctx: Context, to: str) -> int:
        """Give the number of mails delivered."""
        return len(to)


@respx.mock
def test_a_call_carries_token_key_and_json() -> None:
    route = respx.post(f"{URL}/Mail/deliver").mock(
        return_value=httpx.Response(200, json=3, headers={"x-restate-id": "inv_1"})
    )

    async def call() -> int:
        async with Client(URL, token="secret") as client:
            return await client.service_client(Mail).deliver.with_options(idempotency_key="once")("ann")

    assert asyncio.run(call()) == 3
    request = route.calls.last.request
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["idempotency-key"] == "once"
    assert request.headers["content-type"] == "application/json"
    assert request.content == b'"ann"'


@respx.mock
def test_a_delayed_send_names_its_delay() -> None:
    route = respx.post(url__startswith=f"{URL}/Mail/deliver/send").mock(return_value=httpx.Response(202, json=ACCEPTED))

    async def send() -> str:
        async with Client(URL) as client:
            return (await client.service_client(Mail).deliver.send_after(timedelta(seconds=90), "ann")).id

    assert asyncio.run(send()) == "inv_1"
    assert route.calls.last.request.url.params["delay"] in {"90000ms", "90s", "PT90S", "PT1M30S"}


@respx.mock
def test_a_terminal_error_of_the_service_is_raised() -> None:
    failure = {"code": 402, "message": "no", "source": "invocation"}
    respx.post(f"{URL}/Mail/deliver").mock(
        return_value=httpx.Response(402, json=failure, headers={"x-restate-error-source": "invocation"})
    )

    async def call() -> None:
        async with Client(URL) as client:
            await client.service_client(Mail).deliver("ann")

    with pytest.raises(TerminalError, match="no") as caught:
        asyncio.run(call())
    assert caught.value.code == 402
