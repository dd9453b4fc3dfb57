"""Over HTTP only: what is repeated, what never is, and what strange servers get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from restate_patterns import client as client_module
from restate_patterns.client.errors import (
    OutcomeUnknown,
    ServerUnavailable,
    ServerUnreachable,
    UnexpectedAnswer,
)
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import IdempotencyRef, Request, Target, ValueOrFailure

pytestmark = pytest.mark.anyio

ADD = Target("Counter", "add", "k")
PLAIN = Request(ADD, b"1")
KEYED = Request(ADD, b"1", idempotency_key="i")
TRIES = RetryPolicy(initial=timedelta(0), maximum=timedelta(0), max_attempts=3)
OK = httpx.Response(200, headers={"x-restate-id": "inv_1"}, content=b"1")


class Scripted:
    """Answers with one item of a script after another, and counts."""

    def __init__(self, *script: httpx.Response | Exception) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        item = self.script[min(len(self.requests), len(self.script)) - 1]
        if isinstance(item, Exception):
            raise item
        return item

    def caller(self, token: str | None = None, admin_url: str | None = None) -> HttpCaller:
        transport = httpx.MockTransport(self)
        return HttpCaller(
            "http://127.0.0.1:8080/", admin_url=admin_url, token=token, retries=TRIES, transport=transport
        )


def problem(status: int, message: str = "no", source: str = "ingress") -> httpx.Response:
    headers = {"x-restate-error-source": source}
    return httpx.Response(status, headers=headers, json={"code": status, "message": message, "source": source})


REFUSED = httpx.ConnectError("refused")
BROKEN = httpx.ReadError("broken")
REPEATABLE: dict[str, Callable[[HttpCaller], object]] = {
    "call with a key": lambda caller: caller.call(KEYED, None),
    "attach": lambda caller: caller.attach("inv_1", None),
    "output": lambda caller: caller.output("inv_1"),
    "awakeable": lambda caller: caller.complete_awakeable("sign_1", ValueOrFailure(b"1", None)),
    "cancel": lambda caller: caller.cancel("inv_1"),
}


async def test_not_connected_is_repeated() -> None:
    server = Scripted(REFUSED, httpx.ConnectTimeout("slow"), OK)
    assert await server.caller().call(PLAIN, None) == b"1"
    assert len(server.requests) == 3


async def test_unreachable() -> None:
    server = Scripted(REFUSED)
    with pytest.raises(ServerUnreachable, match=r"no server answers at http://127.0.0.1:8080") as raised:
        await server.caller().call(PLAIN, None)
    assert isinstance(raised.value, ConnectionError)
    assert len(server.requests) == 3


@pytest.mark.parametrize("error", [BROKEN, httpx.WriteError("broken"), httpx.RemoteProtocolError("closed")], ids=repr)
async def test_sent_once_only(error: Exception) -> None:
    server = Scripted(error, OK)
    with pytest.raises(OutcomeUnknown, match=r"Counter/k/add.*unknown.*idempotency key"):
        await server.caller().call(PLAIN, None)
    with pytest.raises(OutcomeUnknown):
        await Scripted(error, OK).caller().send(PLAIN, 0)
    assert len(server.requests) == 1


async def test_503_is_not_repeated_without_a_key() -> None:
    server = Scripted(problem(503, "shutting down"), OK)
    with pytest.raises(ServerUnavailable, match="shutting down"):
        await server.caller().call(PLAIN, None)
    assert len(server.requests) == 1


@pytest.mark.parametrize("trouble", [REFUSED, BROKEN, problem(503)], ids=repr)
@pytest.mark.parametrize("ask", REPEATABLE.values(), ids=REPEATABLE)
async def test_safe_requests_are_repeated(
    ask: Callable[[HttpCaller], object], trouble: httpx.Response | Exception
) -> None:
    server = Scripted(trouble, trouble, OK)
    await ask(server.caller())  # type: ignore[misc]  # an awaitable of something
    assert len(server.requests) == 3


@pytest.mark.parametrize("trouble", [REFUSED, BROKEN, problem(503)], ids=repr)
async def test_tries_end(trouble: httpx.Response | Exception) -> None:
    server = Scripted(trouble)
    with pytest.raises((ServerUnreachable, OutcomeUnknown, ServerUnavailable)):
        await server.caller().call(KEYED, None)
    assert len(server.requests) == 3


async def test_503_of_a_handler_is_its_result() -> None:
    server = Scripted(problem(503, "closed on sundays", source="invocation"))
    with pytest.raises(Exception, match="closed on sundays"):
        await server.caller().call(KEYED, None)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(200, text="<html>"), "does not look like a Restate ingress"),
        (httpx.Response(404, text="nginx"), "does not look like a Restate ingress"),
        (httpx.Response(500, json=["x"]), "does not look like a Restate ingress"),
        (httpx.Response(401, text="who?"), "give `token=`"),
        (httpx.Response(403, json={}), "give `token=`"),
        (httpx.Response(502, text="bad gateway"), "does not look like"),
    ],
    ids=repr,
)
async def test_strange_servers(answer: httpx.Response, message: str) -> None:
    caller = Scripted(answer).caller()
    for ask in (caller.call(PLAIN, None), caller.attach("inv_1", None), caller.send(PLAIN, 0)):
        with pytest.raises(UnexpectedAnswer, match=message):
            await ask


async def test_token_and_key_are_sent() -> None:
    server = Scripted(OK)
    await server.caller(token="t").call(KEYED, None)
    assert server.requests[0].headers["authorization"] == "Bearer t"
    assert server.requests[0].headers["idempotency-key"] == "i"
    assert server.requests[0].headers["content-type"] == "application/json"


async def test_admin_url() -> None:
    beside, given = Scripted(httpx.Response(202)), Scripted(httpx.Response(202))
    await beside.caller().cancel("inv_1")
    assert str(beside.requests[0].url) == "http://127.0.0.1:9070/invocations/inv_1/cancel"
    await given.caller(admin_url="http://admin:1").cancel("inv_1")
    assert str(given.requests[0].url) == "http://admin:1/invocations/inv_1/cancel"


async def test_cancel_by_reference_finds_the_id() -> None:
    """It asks once which server answers."""
    version = {"server": "restate-patterns", "version": "1", "min_admin_api_version": 3, "max_admin_api_version": 3}
    found, done = httpx.Response(200, json={"id": "inv_7"}), httpx.Response(202)
    server = Scripted(httpx.Response(200, json=version), found, done, found, done)
    caller = server.caller()
    for _ in range(2):
        await caller.cancel(IdempotencyRef(ADD, "i"))
    paths = [request.url.path for request in server.requests]
    assert paths == ["/version", *["/embedded/invocations/resolve", "/invocations/inv_7/cancel"] * 2]


async def test_cancel_by_reference_on_restate() -> None:
    version = {"version": "1.7.12", "min_admin_api_version": 2, "max_admin_api_version": 4}
    server = Scripted(
        httpx.Response(200, json=version), httpx.Response(200, json={"rows": [{"id": "inv_7"}]}), httpx.Response(202)
    )
    await server.caller().cancel(IdempotencyRef(ADD, "i"))
    assert server.requests[1].url.path == "/query"
    assert server.requests[1].headers["accept"] == "application/json"
    assert server.requests[2].url.path == "/invocations/inv_7/cancel"


@pytest.mark.parametrize("url", ["", "localhost:8080", "127.0.0.1", "ftp://x", "http://", "http://127.0.0.1:port"])
async def test_bad_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://127.0.0.1:8080"):
        client_module.Client(url)


async def test_no_server_at_all() -> None:
    tries = RetryPolicy(max_attempts=1)
    with pytest.raises(ServerUnreachable):
        await HttpCaller("http://127.0.0.1:9", retries=tries).call(PLAIN, None)


async def test_cancelling_the_wait() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    caller = HttpCaller("http://127.0.0.1:8080", transport=httpx.MockTransport(never))
    with pytest.raises(TimeoutError, match=r"the call of Counter/k/add took over 0.01 s"):
        await caller.call(PLAIN, 0.01)


async def test_unsendable_header() -> None:
    request = Request(ADD, b"1", idempotency_key="a\nb")
    with pytest.raises(ValueError, match="cannot be sent"):
        await Scripted(httpx.LocalProtocolError("Illegal header value")).caller().call(request, None)
