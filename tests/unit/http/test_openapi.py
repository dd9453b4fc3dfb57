"""OpenAPI of a service: valid, and it names what a caller needs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from restate_patterns.http.openapi import openapi
from restate_patterns.seam import HandlerKind, ServiceKind
from tests.support.http.fake_engine import SERVICES, handler, service


class Item(BaseModel):
    name: str
    parent: Item | None = None


class Order(BaseModel):
    items: list[Item]


ORDERS = service(
    ServiceKind.VIRTUAL_OBJECT,
    "Orders",
    handler(
        "place",
        input_schema=TypeAdapter(Order).json_schema(),
        output_schema=TypeAdapter(list[Item]).json_schema(),
        documentation="Place an order.",
    ),
    handler("clear", takes_input=False, has_output=False),
    handler("peek", HandlerKind.SHARED, input_required=False),
    handler("hidden", private=True),
)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [ref for value in node.values() for ref in references(value)]
    if isinstance(node, list):
        return [ref for value in node for ref in references(value)]
    return []


@pytest.mark.parametrize("described", [*SERVICES, ORDERS], ids=lambda each: each.name)
def test_every_reference_resolves(described: Any) -> None:
    document: Any = openapi(described, ingress_url="http://127.0.0.1:8080")
    for reference in references(document):
        where = document
        for part in reference.removeprefix("#/").split("/"):
            where = where[part]
    assert "$defs" not in str(document)


@pytest.mark.parametrize("described", [*SERVICES, ORDERS], ids=lambda each: each.name)
def test_is_valid(described: Any) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(openapi(described, ingress_url="http://127.0.0.1:8080"))


def test_names_what_a_caller_needs() -> None:
    document: Any = openapi(ORDERS, ingress_url="http://127.0.0.1:8080")
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {
        f"/Orders/{{key}}/{name}{send}" for name in ("place", "clear", "peek") for send in ("", "/send")
    }
    place = document["paths"]["/Orders/{key}/place"]["post"]
    assert place["description"] == "Place an order."
    assert [each["name"] for each in place["parameters"]] == ["key", "idempotency-key"]
    assert place["requestBody"]["required"] is True
    schema = place["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["items"] == {"$ref": "#/components/schemas/place.output.Item"}
    assert "requestBody" not in document["paths"]["/Orders/{key}/clear"]["post"]
    peek_send = document["paths"]["/Orders/{key}/peek/send"]["post"]
    assert peek_send["requestBody"]["required"] is False
    assert "delay" in [each["name"] for each in peek_send["parameters"]]
