"""The JSON of the admin API: invocations, services and state for people and tools."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from restate_patterns.engine.interface import InvocationDetail, InvocationView
from restate_patterns.limits import RETENTION_MS
from restate_patterns.seam import RUN_HANDLER, HandlerInfo, HandlerKind, ServiceInfo, ServiceKind
from restate_patterns.text.durations import duration_text, rfc3339

DEPLOYMENT_ID = "dp_embedded"
"""The one deployment of an embedded server: the app in its own process."""

_DEFAULT_RETENTION: Final = duration_text(timedelta(milliseconds=RETENTION_MS))


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
        "idempotency_retention": _DEFAULT_RETENTION,
        "journal_retention": _DEFAULT_RETENTION,
        **_workflow_retention(service),
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
        **({} if retention is None else _retention(handler, duration_text(retention))),
    }


def _retention(handler: HandlerInfo, text: str) -> dict[str, object]:
    """Give how long a handler's own option keeps things; nothing where that is the service's."""
    if handler.kind is HandlerKind.WORKFLOW:
        return {"journal_retention": text}
    return {"idempotency_retention": text, "journal_retention": text}


def _workflow_retention(service: ServiceInfo) -> dict[str, object]:
    """Give how long a workflow stays after its run; other services have nothing of that."""
    run = service.handlers.get(RUN_HANDLER) if service.kind is ServiceKind.WORKFLOW else None
    if run is None:
        return {}
    retention = run.options.retention
    text = _DEFAULT_RETENTION if retention is None else duration_text(retention)
    return {"workflow_completion_retention": text}


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else rfc3339(time_ms)


def _kind(kind: HandlerKind) -> str:
    return HandlerKind.SHARED.value if kind is HandlerKind.STATELESS else kind.value


def _input_description(handler: HandlerInfo) -> str:
    if not handler.takes_input:
        return "none"
    value = f'value of content-type "{handler.input_content_type}"'
    return value if handler.input_required else f"one of none or {value}"
