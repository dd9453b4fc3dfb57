"""OpenAPI 3.1 of a service, from the JSON schemas of its handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

from restate_patterns.seam import HandlerInfo, HandlerKind, ServiceInfo, ServiceKind
from restate_patterns.text.durations import DURATION_PATTERN

Json: TypeAlias = dict[str, object]

_LOCAL: Final = "#/$defs/"
_SHARED: Final = "#/components/schemas/"


def openapi(service: ServiceInfo, *, ingress_url: str) -> Json:
    """Give the OpenAPI document of the public handlers of a service.

    The named types of each schema move to `components`, under `handler.Type`: two handlers may use
    one name for two types.
    """
    schemas: Json = {"RestateError": _ERROR, "Accepted": _ACCEPTED}
    paths: Json = {}
    for handler in service.handlers.values():
        if handler.options.private:
            continue
        parent = f"/{service.name}" if service.kind is ServiceKind.SERVICE else f"/{service.name}/{{key}}"
        path = f"{parent}/{handler.name}"
        paths[path] = {"post": _call(service, handler, schemas)}
        paths[f"{path}/send"] = {"post": _send(service, handler, schemas)}
    info: Json = {"title": service.name, "version": "1"}
    if service.documentation:
        info["description"] = service.documentation
    return {
        "openapi": "3.1.0",
        "info": info,
        "servers": [{"url": ingress_url or "/"}],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _call(service: ServiceInfo, handler: HandlerInfo, schemas: Json) -> Json:
    success: Json = {"description": "The output of the handler."}
    if handler.has_output:
        schema = _hoisted(handler.output_schema, f"{handler.name}.output", schemas)
        success["content"] = {handler.output_content_type: {"schema": schema}}
    else:
        success["description"] = "The handler has returned; it has no output."
    return _operation(service, handler, schemas, handler.name, {"200": success}, ())


def _send(service: ServiceInfo, handler: HandlerInfo, schemas: Json) -> Json:
    accepted: Json = {
        "description": "The invocation is accepted.",
        "content": {"application/json": {"schema": {"$ref": f"{_SHARED}Accepted"}}},
    }
    delay: Json = {
        "name": "delay",
        "in": "query",
        "required": False,
        "description": "How long to wait before it starts: ISO 8601 as PT10S, or 10s, 500ms.",
        "schema": {"type": "string", "pattern": DURATION_PATTERN},
    }
    return _operation(service, handler, schemas, f"{handler.name}.send", {"202": accepted}, (delay,))


def _operation(
    service: ServiceInfo,
    handler: HandlerInfo,
    schemas: Json,
    name: str,
    responses: Json,
    parameters: Sequence[Json],
) -> Json:
    operation: Json = {
        "operationId": f"{service.name}.{name}",
        "tags": [service.name],
        "parameters": [*_parameters(service, handler), *parameters],
        "responses": {**responses, "default": _FAILED},
    }
    if handler.documentation:
        operation["description"] = handler.documentation
    if handler.takes_input:
        schema = _hoisted(handler.input_schema, f"{handler.name}.input", schemas)
        operation["requestBody"] = {
            "required": handler.input_required,
            "content": {handler.input_content_type: {"schema": schema}},
        }
    return operation


def _parameters(service: ServiceInfo, handler: HandlerInfo) -> list[Json]:
    parameters: list[Json] = []
    if service.kind is not ServiceKind.SERVICE:
        parameters.append({"name": "key", "in": "path", "required": True, "schema": {"type": "string"}})
    if handler.kind is not HandlerKind.WORKFLOW:
        parameters.append(
            {
                "name": "idempotency-key",
                "in": "header",
                "required": False,
                "description": "Requests with the same key are one invocation.",
                "schema": {"type": "string"},
            }
        )
    return parameters


def _hoisted(schema: Mapping[str, object] | None, prefix: str, schemas: Json) -> object:
    """Move the `$defs` of a schema to `schemas` and point its references there."""
    if schema is None:
        return {}
    root = dict(schema)
    for name, definition in cast("Mapping[str, object]", root.pop("$defs", {})).items():
        schemas[f"{prefix}.{name}"] = _pointed(definition, prefix)
    return _pointed(root, prefix)


def _pointed(node: object, prefix: str) -> object:
    if isinstance(node, Mapping):
        fields = cast("Mapping[str, object]", node)
        return {
            name: _renamed(value, prefix) if name == "$ref" else _pointed(value, prefix)
            for name, value in fields.items()
        }
    if isinstance(node, list | tuple):
        return [_pointed(item, prefix) for item in cast("Sequence[object]", node)]
    if isinstance(node, str):
        return _renamed(node, prefix)
    return node


def _renamed(text: object, prefix: str) -> object:
    if isinstance(text, str) and text.startswith(_LOCAL):
        return f"{_SHARED}{prefix}.{text.removeprefix(_LOCAL)}"
    return text


_ERROR: Final[Json] = {
    "type": "object",
    "required": ["code", "message", "source"],
    "properties": {
        "code": {"type": "integer", "description": "The code of the terminal error, or the HTTP status."},
        "message": {"type": "string"},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "source": {"enum": ["ingress", "invocation"]},
    },
}
_ACCEPTED: Final[Json] = {
    "type": "object",
    "required": ["invocationId", "status"],
    "properties": {
        "invocationId": {"type": "string"},
        "status": {"enum": ["Accepted", "PreviouslyAccepted"]},
        "executionTime": {"type": "string", "format": "date-time"},
    },
}
_FAILED: Final[Json] = {
    "description": "The request was refused, or the invocation failed.",
    "content": {"application/json": {"schema": {"$ref": f"{_SHARED}RestateError"}}},
}
