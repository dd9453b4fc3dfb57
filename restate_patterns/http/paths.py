"""Paths of the ingress: what a request asks for, decided without touching an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

from restate_patterns.http.problems import Problem
from restate_patterns.seam import (
    RUN_HANDLER,
    HandlerInfo,
    IdempotencyRef,
    InvocationRef,
    ServiceInfo,
    ServiceKind,
    Target,
    WorkflowRef,
)

BAD_PATH = "bad path, expected either /:service-name/:handler or /:object-name/:object-key/:handler"

Look: TypeAlias = Literal["attach", "output"]


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call a handler, or send to it."""

    target: Target
    service: ServiceInfo
    handler: HandlerInfo
    send: bool


@dataclass(frozen=True, slots=True)
class LookAt:
    """Wait for the output of an invocation, or look whether it is there."""

    ref: InvocationRef
    look: Look


@dataclass(frozen=True, slots=True)
class CompleteAwakeable:
    """Resolve or reject an awakeable."""

    awakeable_id: str
    reject: bool


@dataclass(frozen=True, slots=True)
class Health:
    """Ask whether the server is up."""


Asked: TypeAlias = Invoke | LookAt | CompleteAwakeable | Health


def segments_of(raw_path: bytes) -> list[str]:
    """Split a path before decoding it, so that `%2F` is part of a segment.

    Raises:
        Problem: 400, it is no path, or a segment is not UTF-8.
    """
    path = raw_path.partition(b"?")[0]
    if not path.startswith(b"/"):
        raise Problem(400, "bad path: it must begin with a slash")
    try:
        if b"%" not in path:
            return path.decode().split("/")[1:]
        return [unquote_to_bytes(part).decode() for part in path.split(b"/")[1:]]
    except UnicodeDecodeError:
        raise Problem(400, "bad path: it is not valid UTF-8; percent-encode the bytes of the UTF-8 text") from None


def query_of(query: bytes) -> list[tuple[str, str]]:
    """Give the names and values of a query, decoded, in their order.

    Raises:
        Problem: 400, one is not UTF-8.
    """
    try:
        return parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Problem(400, "bad query: it is not valid UTF-8") from None


def parse(raw_path: bytes, services: Mapping[str, ServiceInfo]) -> Asked:
    """Say what a path asks for.

    Raises:
        Problem: 400 or 404, with the reason.
    """
    segments = segments_of(raw_path)
    if segments[0] != "restate" or segments[0] in services:
        return _invoke(segments, services, "by suffix")
    match segments[1:]:
        case ["health"]:
            return Health()
        case ["call", *rest]:
            return _invoke(rest, services, "call")
        case ["send", *rest]:
            return _invoke(rest, services, "send")
        case [("awakeables" | "a"), awakeable_id, ("resolve" | "reject") as verb]:
            return CompleteAwakeable(awakeable_id, reject=verb == "reject")
        case ["invocation", *ref, ("attach" | "output") as look]:
            return LookAt(_invocation_ref(ref, services), look)
        case ["workflow", name, key, ("attach" | "output") as look]:
            return LookAt(_workflow_ref(name, key, services), look)
        case _:
            raise Problem(404, f"not found: no such path below /restate: '/{'/'.join(segments)}'")


def _invoke(
    segments: Sequence[str],
    services: Mapping[str, ServiceInfo],
    mode: Literal["call", "send", "by suffix"],
) -> Invoke:
    if len(segments) < 2:
        raise Problem(400, BAD_PATH)
    service = _service(segments[0], services)
    rest = list(segments[1:])
    keyed = service.kind is not ServiceKind.SERVICE
    send = mode == "send"
    if mode == "by suffix" and len(rest) == (3 if keyed else 2) and rest[-1] == "send":
        send = True
        rest.pop()
    if len(rest) != (2 if keyed else 1) or "" in rest:
        raise Problem(400, BAD_PATH)
    handler = _handler(service, rest[-1])
    key = rest[0] if keyed else None
    return Invoke(Target(service.name, handler.name, key), service, handler, send)


def _service(name: str, services: Mapping[str, ServiceInfo]) -> ServiceInfo:
    service = services.get(name)
    if service is None:
        raise Problem(
            404,
            f"service '{name}' not found, make sure to register the service before calling it; "
            f"this app has {', '.join(sorted(services)) or 'no service'}",
        )
    return service


def _handler(service: ServiceInfo, name: str) -> HandlerInfo:
    handler = service.handlers.get(name)
    if handler is None:
        raise Problem(
            404,
            f"the service '{service.name}' exists, but the handler '{name}' was not found; "
            f"it has {', '.join(service.handlers)}",
        )
    return handler


def _invocation_ref(ref: Sequence[str], services: Mapping[str, ServiceInfo]) -> InvocationRef:
    if len(ref) == 1:
        return ref[0]
    if len(ref) not in (3, 4):
        raise Problem(
            400,
            "bad path, expected /restate/invocation/:id/attach or "
            "/restate/invocation/:service-name[/:key]/:handler/:idempotency-key/attach (or output)",
        )
    asked = _invoke(ref[:-1], services, "call")
    return IdempotencyRef(asked.target, ref[-1])


def _workflow_ref(name: str, key: str, services: Mapping[str, ServiceInfo]) -> WorkflowRef:
    service = _service(name, services)
    if service.kind is not ServiceKind.WORKFLOW or RUN_HANDLER not in service.handlers:
        raise Problem(400, f"the service '{name}' is a {service.kind.value}, not a workflow")
    return WorkflowRef(name, key)
