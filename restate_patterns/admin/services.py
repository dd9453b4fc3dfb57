"""Services and their handlers as an admin API describes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from restate_patterns.admin.connection import JsonObject
from restate_patterns.seam import ServiceKind
from restate_patterns.text.durations import parse_duration_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerView:
    """A handler as callers see it."""

    name: str
    kind: str | None
    """`Exclusive`, `Shared` or `Workflow`; None for a handler of a plain service."""
    public: bool = True
    documentation: str | None = None
    input_description: str = "any"
    output_description: str = "any"
    input_json_schema: object = None
    output_json_schema: object = None
    retention_s: float | None = None
    """How long its results stay readable, where the handler says so itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """A service as callers see it."""

    name: str
    kind: ServiceKind
    handlers: Sequence[HandlerView] = ()
    deployment_id: str
    revision: int
    public: bool = True
    documentation: str | None = None


def service_of(fields: JsonObject, *, by_name: bool = False) -> ServiceView:
    """Read a service from the JSON of an admin API; its handlers as they come, or by name."""
    handlers = [_handler_of(each) for each in cast("Sequence[JsonObject]", fields["handlers"])]
    if by_name:
        handlers.sort(key=lambda each: each.name)
    return ServiceView(
        name=str(fields["name"]),
        kind=ServiceKind(fields["ty"]),
        handlers=tuple(handlers),
        deployment_id=str(fields["deployment_id"]),
        revision=int(str(fields["revision"])),
        public=bool(fields.get("public", True)),
        documentation=_text(fields, "documentation"),
    )


def service_json(service: ServiceView) -> dict[str, object]:
    """Write a service as an embedded server does."""
    return {
        "name": service.name,
        "ty": service.kind.value,
        "handlers": [_handler_json(handler) for handler in service.handlers],
        "deployment_id": service.deployment_id,
        "revision": service.revision,
        "public": service.public,
        "documentation": service.documentation,
    }


def _handler_of(fields: JsonObject) -> HandlerView:
    return HandlerView(
        name=str(fields["name"]),
        kind=_text(fields, "ty"),
        public=bool(fields.get("public", True)),
        documentation=_text(fields, "documentation"),
        input_description=str(fields.get("input_description", "any")),
        output_description=str(fields.get("output_description", "any")),
        input_json_schema=fields.get("input_json_schema"),
        output_json_schema=fields.get("output_json_schema"),
        retention_s=_retention_s(fields),
    )


def _handler_json(handler: HandlerView) -> dict[str, object]:
    return {
        "name": handler.name,
        "ty": handler.kind,
        "public": handler.public,
        "documentation": handler.documentation,
        "input_description": handler.input_description,
        "output_description": handler.output_description,
        "input_json_schema": handler.input_json_schema,
        "output_json_schema": handler.output_json_schema,
        "retention_s": handler.retention_s,
    }


def _retention_s(fields: JsonObject) -> float | None:
    found = fields.get("retention_s")
    if isinstance(found, (int, float)):
        return float(found)
    text = _text(fields, "idempotency_retention") or _text(fields, "workflow_completion_retention")
    if text is None:
        return None
    try:
        return parse_duration_ms(text) / 1000
    except ValueError:
        return None


def _text(fields: JsonObject, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None
