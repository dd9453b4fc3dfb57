"""Whether what the target server has registered can take what is in the file. Pure.

A file does not say of which kind its services are; what is said here follows from what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from restate_patterns.admin.services import HandlerView, ServiceView
from restate_patterns.embedded.inventory import Pending
from restate_patterns.embedded.records import Status
from restate_patterns.limits import RESTATE_BODY_BYTES_MAX, RETENTION_MS
from restate_patterns.moving.refusals import Refusal, Why
from restate_patterns.seam import ServiceKind

Services = Mapping[str, ServiceView]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MIME: Final = re.compile(r"[\w.+*-]+/[\w.+*-]+")
_NOT_CARRIED: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "idempotency-key", "keep-alive"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        "x-restate-ingress-path",
    }
)


def handler_of(services: Services, pending: Pending) -> HandlerView | None:
    """Give the handler on the server that an invocation is for."""
    service = services.get(pending.target.service)
    handlers = () if service is None else service.handlers
    return next((each for each in handlers if each.name == pending.target.handler), None)


def needs_courier(services: Services, pending: Pending) -> str | None:
    """Say why no ingress takes an invocation that the server itself can make; None when the ingress does."""
    handler, service = handler_of(services, pending), services.get(pending.target.service)
    if handler is not None and service is not None and not (handler.public and service.public):
        return "the handler is private there"
    for name, value in pending.headers.items():
        if not _NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            return f"HTTP has no header {name!r}: {value!r}"
    return None


def target_refusal(services: Services, pending: Pending, *, courier: bool) -> Refusal | None:
    """Say why the server cannot take an invocation for its handler.

    Args:
        services: What is registered there.
        pending: The invocation.
        courier: Whether the server can call back, and so take sends to private handlers.
    """
    name, subject = pending.target.service, str(pending.target)
    refused = service_refusal(services, name, keyed=pending.target.key is not None, run=pending.is_run)
    if refused is not None:
        return refused
    handler = handler_of(services, pending)
    if handler is None:
        return Refusal(
            Why.HANDLER_MISSING, subject, f"{name} has no handler {pending.target.handler} there", pending.id
        )
    kind = handler.kind or "Stateless"
    if kind not in _kinds(pending):
        return Refusal(
            Why.HANDLER_KIND,
            subject,
            f"the handler is {kind} there and {' or '.join(_kinds(pending))} here",
            pending.id,
        )
    private = None if courier else needs_courier(services, pending)
    if private is not None:
        return Refusal(Why.COURIER, subject, private, pending.id)
    if pending.body_bytes and handler.input_description == "none":
        return Refusal(Why.BODY, subject, "it has an argument, and the handler takes none there", pending.id)
    if pending.body_bytes > RESTATE_BODY_BYTES_MAX:
        size = f"{pending.body_bytes / 2**20:.1f} MiB, and at most {RESTATE_BODY_BYTES_MAX // 2**20} MiB are carried"
        return Refusal(Why.BODY, subject, f"its argument has {size}", pending.id)
    return None


def service_refusal(services: Services, name: str, *, keyed: bool, run: bool = False) -> Refusal | None:
    """Say why the server cannot take anything for a service of which the file has keys, or runs."""
    service = services.get(name)
    if service is None:
        return Refusal(Why.SERVICE_MISSING, name, f"the server has no service {name}")
    wanted = (ServiceKind.VIRTUAL_OBJECT, ServiceKind.WORKFLOW) if keyed else (ServiceKind.SERVICE,)
    if run:
        wanted = (ServiceKind.WORKFLOW,)
    if service.kind in wanted:
        return None
    here = " or ".join(kind.value for kind in wanted)
    return Refusal(Why.SERVICE_KIND, name, f"{name} is a {service.kind.value} there and a {here} here")


def _kinds(pending: Pending) -> tuple[str, ...]:
    if pending.target.key is None:
        return ("Stateless",)
    if pending.is_run:
        return ("Workflow",)
    if pending.place is not None:
        return ("Exclusive",)
    if pending.status is Status.SCHEDULED:
        return ("Exclusive", "Shared")
    return ("Shared",)


def retention_ms(handler: HandlerView | None) -> int:
    """Give how long the server knows an idempotency key after its invocation has ended."""
    if handler is None or handler.retention_s is None:
        return RETENTION_MS
    return int(handler.retention_s * 1000)


def headers_of(
    stored: Mapping[str, str], handler: HandlerView | None, *, has_body: bool, token: bool
) -> dict[str, str]:
    """Give the headers to send: what the handler would have seen here, without those of one connection.

    Args:
        stored: The headers in the file; of a send between handlers they have no content type.
        handler: The handler on the server.
        has_body: Whether there is an argument.
        token: Whether the request carries a token of ours in `authorization`.
    """
    dropped = _NOT_CARRIED | {"authorization"} if token else _NOT_CARRIED
    headers = {name: value for name, value in stored.items() if name.lower() not in dropped}
    if not has_body:
        headers.pop("content-type", None)
    elif "content-type" not in headers:
        found = _MIME.search(handler.input_description) if handler is not None else None
        headers["content-type"] = (
            "application/json" if found is None else found[0].replace("*/*", "application/octet-stream")
        )
    return headers
