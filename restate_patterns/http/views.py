"""The JSON of the admin API: invocations, services and state for people and tools."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import cast

from restate_patterns.engine.interface import InvocationDetail, InvocationView
from restate_patterns.http.durations import rfc3339
from restate_patterns.http.json_text import read_json
from restate_patterns.seam import HandlerInfo, HandlerKind, ServiceInfo, ServiceKind

DEPLOYMENT_ID = "dp_embedded"
"""The one deployment of an embedded server: the app in its own process."""

BASE64_KEY = "$base64"
"""Wraps a state value that is not JSON: `{"$base64": "..."}`."""


def invocation_json(view: InvocationView) -> dict[str, object]:
    """Give an invocation; times are RFC 3339."""
    return {
        "id": view.id,
        "target": str(view.target),
        "service": view.target.service,
        "handler": view.target.handler,
        "key": view.target.key,
        "status": view.status.value,
        "created_at": rfc3339(view.created_ms),
        "modified_at": rfc3339(view.modified_ms),
        "scheduled_at": _time(view.scheduled_ms),
        "completed_at": _time(view.completed_ms),
        "attempt_count": view.attempt_count,
        "last_failure": view.last_failure,
        "next_retry_at": _time(view.next_retry_ms),
        "waits_for": list(view.waits_for),
        "idempotency_key": view.idempotency_key,
        "invoked_by": view.invoked_by,
        "failure": None if view.failure is None else {"code": view.failure.code, "message": view.failure.message},
    }


def detail_json(detail: InvocationDetail) -> dict[str, object]:
    """Give an invocation with its journal."""
    return {
        "invocation": invocation_json(detail.view),
        "journal": [entry._asdict() for entry in detail.journal],
    }


def service_json(service: ServiceInfo) -> dict[str, object]:
    """Give a service as Restate's admin API does."""
    return {
        "name": service.name,
        "ty": service.kind.value,
        "handlers": [handler_json(handler, service) for handler in service.handlers.values()],
        "deployment_id": DEPLOYMENT_ID,
        "revision": 1,
        "public": not all(handler.options.private for handler in service.handlers.values()),
        "documentation": service.documentation,
    }


def handler_json(handler: HandlerInfo, service: ServiceInfo) -> dict[str, object]:
    """Give a handler as Restate's admin API does."""
    retention = handler.options.retention
    return {
        "name": handler.name,
        "ty": None if service.kind is ServiceKind.SERVICE else _kind(handler.kind),
        "public": not handler.options.private,
        "documentation": handler.documentation,
        "input_description": _input_description(handler),
        "output_description": f'value of content-type "{handler.output_content_type}"'
        if handler.has_output
        else "none",
        "input_json_schema": handler.input_schema,
        "output_json_schema": handler.output_schema,
        "retention_s": None if retention is None else retention.total_seconds(),
    }


def state_json(state: Mapping[str, bytes]) -> dict[str, object]:
    """Give state by name: JSON where the value is JSON that `read_json` reads, else `{"$base64": ...}`."""
    return {name: _value(value) for name, value in sorted(state.items())}


def state_bytes(values: Mapping[str, object]) -> dict[str, bytes]:
    """Read state from the form of `state_json`.

    Raises:
        ValueError: A `$base64` is not base64.
    """
    return {name: _value_bytes(value) for name, value in values.items()}


def _value(value: bytes) -> object:
    try:
        return read_json(value)
    except ValueError:
        return {BASE64_KEY: base64.b64encode(value).decode("ascii")}


def _value_bytes(value: object) -> bytes:
    if isinstance(value, dict) and list(cast("dict[str, object]", value)) == [BASE64_KEY]:
        return base64.b64decode(str(cast("dict[str, object]", value)[BASE64_KEY]), validate=True)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else rfc3339(time_ms)


def _kind(kind: HandlerKind) -> str:
    return HandlerKind.SHARED.value if kind is HandlerKind.STATELESS else kind.value


def _input_description(handler: HandlerInfo) -> str:
    if not handler.takes_input:
        return "none"
    value = f'value of content-type "{handler.input_content_type}"'
    return value if handler.input_required else f"one of none or {value}"
