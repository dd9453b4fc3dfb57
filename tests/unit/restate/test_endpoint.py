"""The endpoint as a server asks it: discovery, health, identity, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from restate_patterns import (
    App,
    Context,
    DefinitionError,
    ObjectContext,
    ObjectSharedContext,
    Restate,
    RetryPolicy,
    Service,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    handler,
)
from restate_patterns.restate.endpoint import Place, place_of

IDENTITY = "publickeyv1_w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f"


class Shop(Service, private=True):
    """Sells."""

    @handler(retry=RetryPolicy(initial=timedelta(seconds=1), max_attempts=3, then="fail"))
    async def buy(self, ctx: Context, amount: int) -> str:
        """Buy something."""
        return str(amount)

    @handler
    async def close(self, ctx: Context) -> None: ...


class Seat(VirtualObject, lazy_state=True, retention=timedelta(hours=1), inactivity_timeout=timedelta(seconds=5)):
    @handler
    async def hold(self, ctx: ObjectContext) -> bytes:
        return b""

    @handler(lazy_state=False)
    async def who(self, ctx: ObjectSharedContext) -> str | None:
        return None


class Signup(Workflow, retention=timedelta(days=2)):
    @handler
    async def run(self, ctx: WorkflowContext) -> None: ...

    @handler
    async def verify(self, ctx: WorkflowSharedContext) -> None: ...


APP = App([Shop(), Seat(), Signup()])


def ask(path: str, *, method: str = "GET", keys: tuple[str, ...] = (), headers: dict[str, str] | None = None) -> Any:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=Restate(identity_keys=keys).asgi_app(APP))
        async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(asked())


def discovered() -> dict[str, Any]:
    accept = {"accept": "application/vnd.restate.endpointmanifest.v4+json"}
    found = json.loads(ask("/discover", headers=accept).content)
    return {service["name"]: service for service in found["services"]}


def handlers_of(service: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in service["handlers"]}


def test_discovery_says_kinds_schemas_and_documentation() -> None:
    services = discovered()
    assert {name: service["ty"] for name, service in services.items()} == {
        "Shop": "SERVICE",
        "Seat": "VIRTUAL_OBJECT",
        "Signup": "WORKFLOW",
    }
    shop = handlers_of(services["Shop"])
    assert services["Shop"]["documentation"] == "Sells."
    assert shop["buy"]["documentation"] == "Buy something."
    assert shop["buy"]["input"]["jsonSchema"] == {"type": "integer"}
    assert shop["close"]["input"] == {}
    assert "contentType" not in shop["close"]["output"]
    seat = handlers_of(services["Seat"])
    assert (seat["hold"]["ty"], seat["who"]["ty"]) == ("EXCLUSIVE", "SHARED")
    assert seat["hold"]["output"]["contentType"] == "application/octet-stream"
    signup = handlers_of(services["Signup"])
    assert (signup["run"]["ty"], signup["verify"]["ty"]) == ("WORKFLOW", "SHARED")


def test_options_become_the_servers() -> None:
    services = discovered()
    buy = handlers_of(services["Shop"])["buy"]
    assert buy["ingressPrivate"] is True
    assert buy["retryPolicyInitialInterval"] == 1000
    assert (buy["retryPolicyMaxAttempts"], buy["retryPolicyOnMaxAttempts"]) == (3, "KILL")
    hold = handlers_of(services["Seat"])["hold"]
    assert (hold["idempotencyRetention"], hold["inactivityTimeout"]) == (3_600_000, 5_000)
    assert hold["enableLazyState"] is True
    assert handlers_of(services["Seat"])["who"]["enableLazyState"] is False
    assert handlers_of(services["Signup"])["run"]["workflowCompletionRetention"] == 172_800_000


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/discover", Place("discover")),
        ("/mounted/here/health", Place("health")),
        ("/invoke/Seat/hold", Place("invoke", "Seat", "hold")),
        ("/mounted/invoke/Seat/discover", Place("invoke", "Seat", "discover")),
        ("/", None),
        ("/invoke/Seat", None),
    ],
)
def test_paths(path: str, place: Place | None) -> None:
    assert place_of(path) == place


def test_health_and_what_is_not_there() -> None:
    assert ask("/health").json() == {"status": "ok"}
    assert ask("/nonsense").status_code == 404
    missing = ask("/invoke/Seat/sit", method="POST")
    assert (missing.status_code, missing.text) == (404, "this deployment has no Seat/sit")
    assert ask("/invoke/Seat/hold", method="POST").status_code == 415


def test_requests_that_are_not_signed_are_refused_with_what_to_do() -> None:
    refused = ask("/discover", keys=(IDENTITY,))
    assert refused.status_code == 401
    assert "request-identity-private-key-pem-file" in refused.text
    assert ask("/health", keys=(IDENTITY,)).status_code == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bind": "9080"}, "HOST:PORT"),
        ({"bind": "127.0.0.1:99999"}, "HOST:PORT"),
        ({"bind": ":9080"}, "HOST:PORT"),
        ({"grace": timedelta(seconds=-1)}, "negative"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        Restate(**options)


def test_a_key_that_is_none() -> None:
    with pytest.raises(DefinitionError, match="publickeyv1_"):
        Restate(identity_keys=["secret"]).asgi_app(APP)


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'restate'", name="restate")

    monkeypatch.setattr("restate_patterns.backends.restate.importlib.import_module", missing)
    with pytest.raises(DefinitionError, match=r"pip install \"restate-patterns\[restate\]\""):
        Restate().asgi_app(APP)


def test_a_lambda_function_answers() -> None:
    handle = Restate().lambda_handler(APP)
    event = {"path": "/health", "httpMethod": "GET", "headers": {}, "body": "", "isBase64Encoded": True}
    try:
        assert [handle(event, None)["statusCode"] for _ in range(2)] == [200, 200]
    finally:
        loop = asyncio.get_event_loop()  # the SDK has made one for the life of the function
        asyncio.set_event_loop(None)
        loop.close()
