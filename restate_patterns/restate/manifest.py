"""What the server is told of the services when it discovers them: the SDK's definitions, made from ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

import restate
from restate.endpoint import Endpoint
from restate.handler import TypeHint
from restate.retry_policy import InvocationRetryPolicy
from restate.serde import BytesSerde

from restate_patterns.options import HandlerOptions
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import HandlerInfo, HandlerKind, ServiceInfo, ServiceKind

SdkService: TypeAlias = restate.Service | restate.VirtualObject | restate.Workflow

_ENDLESS_ATTEMPTS: Final = 2**31 - 1
"""The protocol has no word for "no end": at a minute each this is four thousand years."""


def endpoint_of(services: Mapping[str, ServiceInfo]) -> Endpoint:
    """Give the SDK's endpoint that describes these services; nothing ever runs on it."""
    make: Any = Endpoint
    endpoint: Endpoint = make()
    for service in services.values():
        endpoint.bind(_service(service))
    return endpoint


def _service(info: ServiceInfo) -> SdkService:
    made: Any
    match info.kind:
        case ServiceKind.SERVICE:
            made = restate.Service(info.name, description=info.documentation)
        case ServiceKind.VIRTUAL_OBJECT:
            made = restate.VirtualObject(info.name, description=info.documentation)
        case ServiceKind.WORKFLOW:
            made = restate.Workflow(info.name, description=info.documentation)
    for handler in info.handlers.values():
        _declare(made, handler)
    service: SdkService = made
    return service


def _declare(service: Any, info: HandlerInfo) -> None:
    if info.kind is HandlerKind.WORKFLOW:
        declare = service.main
    elif info.kind is HandlerKind.STATELESS:
        declare = service.handler
    else:
        declare = _with_kind(service, "shared" if info.kind is HandlerKind.SHARED else "exclusive")
    declare(
        name=info.name,
        accept=info.input_content_type,
        content_type=info.output_content_type,
        input_serde=BytesSerde(),
        output_serde=BytesSerde(),
        **_options(info),
    )(_stand_in(info))
    made = service.handlers[info.name]
    made.description = info.documentation
    made.handler_io.input_type = _type(info.takes_input, info.input_schema)
    made.handler_io.output_type = _type(info.has_output, info.output_schema)


def _with_kind(service: Any, kind: str) -> Callable[..., Any]:
    def declare(**options: Any) -> Any:
        if isinstance(service, restate.Workflow):  # what is not its main handler is shared
            return service.handler(**options)
        return service.handler(kind=kind, **options)

    return declare


def _stand_in(info: HandlerInfo) -> Callable[..., Any]:
    async def handler(ctx: Any) -> bytes:
        raise AssertionError(f"{info.name} is described here, and run elsewhere")

    handler.__name__ = info.name
    return handler


def _type(present: bool, schema: Mapping[str, object] | None) -> TypeHint[Any]:
    if not present:
        return TypeHint(is_void=True)
    return TypeHint(annotation=object, generate_json_schema=lambda: dict(schema or {}))


def _options(info: HandlerInfo) -> dict[str, Any]:
    options: HandlerOptions = info.options
    retention: timedelta | None = options.retention
    found: dict[str, Any] = {
        "inactivity_timeout": options.inactivity_timeout,
        "journal_retention": retention,
        "ingress_private": options.private,
        "invocation_retry_policy": None if options.retry is None else _retry(options.retry),
    }
    if info.kind is HandlerKind.WORKFLOW:
        found["workflow_retention"] = retention
    else:
        found["idempotency_retention"] = retention
    if info.kind is not HandlerKind.STATELESS:
        found["enable_lazy_state"] = options.lazy_state
    return found


def _retry(policy: RetryPolicy) -> InvocationRetryPolicy:
    return InvocationRetryPolicy(
        initial_interval=policy.initial,
        exponentiation_factor=policy.factor,
        max_interval=policy.maximum,
        max_attempts=policy.max_attempts or _ENDLESS_ATTEMPTS,
        on_max_attempts="kill" if policy.then == "fail" else "pause",
    )
