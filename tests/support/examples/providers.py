"""The examples' providers inside the test's own process: the same code without sockets."""

from __future__ import annotations

import asyncio

import httpx
from pydantic import JsonValue, TypeAdapter

from examples.providers.provider import Provider, Request
from examples.sagas.remote import RemoteApi

_BODY = TypeAdapter(dict[str, JsonValue])


def api_of(provider: Provider) -> RemoteApi:
    """Give the API of a provider that lives in this process."""

    async def handle(request: httpx.Request) -> httpx.Response:
        body = _BODY.validate_json(request.content or b"{}")
        key = request.headers.get("idempotency-key")
        answer = provider.answer(Request(request.method, request.url.path, body, key))
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        answer.sent()
        if answer.lost:
            raise httpx.ReadError("the connection was closed", request=request)
        return httpx.Response(answer.reply.status, json=answer.reply.body)

    client = httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url=f"http://{provider.name}")
    return RemoteApi(client)
