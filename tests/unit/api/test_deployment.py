"""The deployment: what backends learn of services, and how attempts read input and write output."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from restate_patterns import (
    App,
    Context,
    InvalidInput,
    ObjectContext,
    ObjectSharedContext,
    Service,
    VirtualObject,
    handler,
)
from restate_patterns.api.deployment import AppDeployment
from restate_patterns.options import HandlerOptions
from restate_patterns.seam import HandlerInfo, HandlerKind, Request, ServiceInfo, ServiceKind, Target
from tests.support.engines.apps import running
from tests.support.engines.engines import bench


@dataclass
class Order:
    user: str
    tickets: list[str]


@dataclass
class Shop(Service):
    """Sells tickets.

    To anybody.
    """

    greeting: str = "hello"

    @handler(private=True)
    async def sell(self, ctx: Context, order: Order) -> int:
        """Sell them.

        And count them.
        """
        return len(order.tickets)

    @handler
    async def greet(self, ctx: Context, name: str = "you") -> str:
        return f"{self.greeting} {name}"

    @handler
    async def maybe(self, ctx: Context, name: str | None) -> str | None:
        return name

    @handler
    async def raw(self, ctx: Context, data: bytes) -> bytes:
        return data[::-1]

    @handler
    async def nothing(self, ctx: Context) -> None: ...


@dataclass
class Box(VirtualObject):
    size: int

    @handler
    async def put(self, ctx: ObjectContext) -> None: ...

    @handler
    async def look(self, ctx: ObjectSharedContext) -> int:
        return self.size


def test_services_are_described() -> None:
    services = AppDeployment([Shop(), Box(3)]).services
    shop = services["Shop"]

    assert list(services) == ["Shop", "Box"]
    assert (shop.kind, shop.documentation) == (ServiceKind.SERVICE, "Sells tickets.\n\nTo anybody.")
    assert services["Box"].documentation is None, "the signature that dataclass writes is none"
    assert replace(shop.handlers["sell"], input_schema=None) == HandlerInfo(
        "sell",
        HandlerKind.STATELESS,
        HandlerOptions(private=True),
        output_schema={"type": "integer"},
        documentation="Sell them.\n\nAnd count them.",
    )
    schema = shop.handlers["sell"].input_schema
    assert schema is not None
    assert (schema["title"], schema["required"]) == ("Order", ["user", "tickets"])


def test_inputs_and_outputs_are_described() -> None:
    services = AppDeployment([Shop(), Box(3)]).services
    handlers = services["Shop"].handlers

    assert not handlers["greet"].input_required
    assert handlers["maybe"].input_required
    assert (handlers["raw"].input_content_type, handlers["raw"].output_content_type) == (
        "*/*",
        "application/octet-stream",
    )
    assert (handlers["nothing"].takes_input, handlers["nothing"].has_output) == (False, False)
    assert [info.kind for info in services["Box"].handlers.values()] == [HandlerKind.EXCLUSIVE, HandlerKind.SHARED]


@pytest.mark.anyio
async def test_inputs_and_outputs_travel() -> None:
    async with running(Shop("ahoy")) as app:
        shop = app.client.service_client(Shop)

        assert await shop.greet() == "ahoy you"
        assert await shop.greet(name="ann") == "ahoy ann"
        assert await shop.maybe(None) is None
        assert await shop.raw(b"\x00\xff") == b"\xff\x00"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("raw", b"", None),
        ("greet", b"", None),
        ("maybe", b"", None),
        ("nothing", b"{}", "Shop.nothing takes no input"),
        ("sell", b"", "the body is empty, expected Order"),
        ("sell", b'{"user": "ann", "tickets": ["a", 1]}', "tickets[1]: Input should be a valid string (found 1)"),
        ("sell", b"{", "Invalid JSON"),
    ],
)
async def test_bad_input_is_terminal(name: str, body: bytes, sentence: str | None) -> None:
    async with bench(AppDeployment([Shop()])) as found:
        result = await found.engine.call(Request(Target("Shop", name), body))

    if sentence is None:
        assert result.failure is None
    else:
        assert result.failure is not None
        assert result.failure.code == InvalidInput.code == 400
        assert sentence in result.failure.message


@pytest.mark.anyio
async def test_an_invocation_whose_handler_is_gone_pauses() -> None:
    async with running(Shop()) as app:
        services = app.bench.deployment.services
        gone = HandlerInfo("gone", HandlerKind.STATELESS, HandlerOptions())
        assert isinstance(services, dict)
        services["Shop"] = ServiceInfo("Shop", ServiceKind.SERVICE, {**services["Shop"].handlers, "gone": gone})
        accepted = await app.bench.engine.submit(Request(Target("Shop", "gone")), None)
        await app.bench.settle()
        view = (await app.bench.engine.describe_invocation(accepted.invocation_id)).view

    assert "Shop/gone has an invocation in flight, but this program has no such handler" in (view.last_failure or "")


@pytest.mark.anyio
async def test_an_app_starts_in_memory_by_default() -> None:
    app = App([Shop()], name="shop")

    assert app.name == "shop"
    async with app.start() as client:
        assert await client.service_client(Shop).greet() == "hello you"
