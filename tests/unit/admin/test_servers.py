"""Which server answers, and what a client does with one that it cannot work with."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from restate_patterns.admin import AdminClient, NoAnswer, NotAnAdminApi, Refused, ServerKind, UnsupportedServer
from restate_patterns.client import resolving
from restate_patterns.client.errors import ServerUnreachable, UnexpectedAnswer

pytestmark = pytest.mark.anyio

VERSION = {"version": "1.7.12", "min_admin_api_version": 2, "max_admin_api_version": 4}


def admin(answer: Callable[[httpx.Request], httpx.Response]) -> AdminClient:
    return AdminClient("http://127.0.0.1:9070/", transport=httpx.MockTransport(answer), token="t")


@pytest.mark.parametrize(
    ("fields", "kind", "numbers"),
    [
        ({}, ServerKind.RESTATE, (1, 7, 12)),
        ({"version": "1.5.0-rc.1"}, ServerKind.RESTATE, (1, 5, 0)),
        ({"server": "restate-patterns", "version": "0.1.0"}, ServerKind.EMBEDDED, (0, 1, 0)),
    ],
)
async def test_kinds(fields: dict[str, object], kind: ServerKind, numbers: tuple[int, ...]) -> None:
    found = await admin(lambda request: httpx.Response(200, json=VERSION | fields)).server()
    assert (found.kind, found.numbers) == (kind, numbers)


@pytest.mark.parametrize(
    ("fields", "fix"),
    [
        ({"version": "1.4.3"}, "1.5 or newer is needed"),
        ({"version": "0.9"}, "1.5 or newer is needed"),
        ({"version": "nightly"}, "1.5 or newer is needed"),
        ({"version": "2.0.0", "min_admin_api_version": 5, "max_admin_api_version": 7}, "update restate-patterns"),
    ],
)
async def test_servers_that_do_not_fit(fields: dict[str, object], fix: str) -> None:
    """Also when the first request is another one."""
    for ask in (AdminClient.server, AdminClient.list_services, AdminClient.list_invocations):
        with pytest.raises(UnsupportedServer, match=fix):
            await ask(admin(lambda request: httpx.Response(200, json=VERSION | fields)))


async def test_the_token_goes_along() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json=VERSION)

    await admin(answer).server()
    assert seen == ["Bearer t"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404, json={"message": "x"}, headers={"x-restate-error-source": "ingress"}), NotAnAdminApi),
        (httpx.Response(200, text="<html>"), UnexpectedAnswer),
        (httpx.Response(200, json=["x"]), UnexpectedAnswer),
        (httpx.Response(200, json={"version": 7}), UnexpectedAnswer),
        (httpx.Response(401, text="who are you"), UnexpectedAnswer),
    ],
    ids=repr,
)
async def test_strange_servers(answer: httpx.Response, error: type[Exception]) -> None:
    with pytest.raises(error):
        await admin(lambda request: answer).list_services()


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx.ConnectError("refused"), ServerUnreachable),
        (httpx.ConnectTimeout("slow"), ServerUnreachable),
        (httpx.ReadTimeout("slow"), NoAnswer),
        (httpx.RemoteProtocolError("closed"), NoAnswer),
    ],
    ids=repr,
)
async def test_no_answer(failure: Exception, error: type[Exception]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(error):
        await admin(answer).server()


async def test_limits() -> None:
    for limit in (0, 1_001):
        with pytest.raises(ValueError, match="from 1 to 1000"):
            await admin(lambda request: httpx.Response(200, json=VERSION)).list_invocations(limit=limit)


async def test_a_server_that_has_just_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "QUERY_RETRY_S", 0)
    queries: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            return httpx.Response(200, json=VERSION)
        queries.append(request)
        if len(queries) < 3:
            return httpx.Response(500, json={"message": "External error: expecting a partition store"})
        return httpx.Response(200, json={"rows": []})

    assert await admin(answer).list_invocations() == []
    assert len(queries) == 3
    with pytest.raises(Refused, match="something else"):
        await admin(
            lambda request: (
                httpx.Response(200, json=VERSION)
                if request.url.path == "/version"
                else httpx.Response(500, json={"message": "something else"})
            )
        ).list_invocations()
