"""Deployments: endpoints that are registered, and what a new one would change. Pure: no connection here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import httpx

from restate_patterns.admin.connection import Answer, JsonObject
from restate_patterns.admin.errors import (
    BreakingChange,
    DiscoveryFailed,
    EndpointRefusesIdentity,
    EndpointSpeaksHttp1,
    EndpointUnreachable,
    FunctionNotInvoked,
    NotAnEndpoint,
    RegistrationError,
)
from restate_patterns.admin.services import ServiceView, service_of

_UNREADABLE: Final = "cannot be decoded"
_FUNCTION_ERROR: Final = "returned error: "
_GOT_STATUS = "got status code '"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """An endpoint that is registered."""

    id: str
    url: str
    """Where it is; the ARN of an AWS Lambda function."""
    services: Mapping[str, int]
    """Revision by the name of the service."""
    protocol: str
    """`BidiStream`, or `RequestResponse` (which suspends at every wait)."""
    http_version: str | None = None
    sdk_version: str | None = None
    created_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a registration came to."""

    deployment_id: str
    url: str
    services: Sequence[ServiceView]
    """The services with their handlers, and the revision that each has now."""
    created: bool
    """False when the URL was registered before."""
    changes: Sequence[str] = ()
    """What is different from the revisions before, one sentence each; empty when nothing is."""
    sdk_version: str | None = None


def deployment_of(fields: JsonObject) -> DeploymentView:
    """Read a deployment from the JSON of an admin API."""
    services = cast("Sequence[JsonObject]", fields["services"])
    return DeploymentView(
        id=str(fields["id"]),
        url=str(fields.get("uri") or fields.get("arn") or ""),
        services={str(each["name"]): int(str(each["revision"])) for each in services},
        protocol=str(fields.get("protocol_type") or ("RequestResponse" if "arn" in fields else "")),
        http_version=_text(fields, "http_version"),
        sdk_version=_text(fields, "sdk_version"),
        created_at=_text(fields, "created_at"),
    )


def deployment_json(deployment: DeploymentView) -> dict[str, object]:
    """Write a deployment for programs, in the words of the admin API."""
    services = [{"name": name, "revision": revision} for name, revision in deployment.services.items()]
    return {
        "id": deployment.id,
        "arn" if is_function(deployment.url) else "uri": deployment.url,
        "protocol_type": deployment.protocol,
        "http_version": deployment.http_version,
        "sdk_version": deployment.sdk_version,
        "created_at": deployment.created_at,
        "services": services,
    }


def services_of(fields: JsonObject) -> Sequence[ServiceView]:
    """Read the services of a registration, by name."""
    found = [service_of(each, by_name=True) for each in cast("Sequence[JsonObject]", fields["services"])]
    return sorted(found, key=lambda each: each.name)


def is_function(url: str) -> bool:
    """Say whether an endpoint is an AWS Lambda function, which is named by its ARN."""
    return url.startswith("arn:")


def same_url(one: str, other: str) -> bool:
    """Say whether two URLs are of one endpoint."""
    if is_function(one) or is_function(other):
        return one == other
    return httpx.URL(one.rstrip("/") + "/") == httpx.URL(other.rstrip("/") + "/")


def breaking_changes(before: Mapping[str, ServiceView], after: Sequence[ServiceView]) -> Sequence[str]:
    """Say what would break callers of the services that are registered."""
    return [text for service in after for text in _breaking(before.get(service.name), service)]


def changes(before: Mapping[str, ServiceView], after: Sequence[ServiceView]) -> Sequence[str]:
    """Say what is different, service by service."""
    return [text for service in after for text in _changes(before.get(service.name), service)]


def refusal(url: str, answer: Answer) -> RegistrationError | None:
    """Return the error that a refused registration stands for; None when it is not about the endpoint.

    The codes are Restate's: META0003 is any trouble with the connection or a status that is no success.
    """
    code, message = answer.fields.get("restate_code"), _without_codes(answer.message)
    match code:
        case "META0003" if is_function(url):
            return FunctionNotInvoked(url, message.partition(_FUNCTION_ERROR)[2].partition(" (")[0] or message)
        case "META0003" if _GOT_STATUS in message:
            status = message.partition(_GOT_STATUS)[2].partition("'")[0]
            refuses = status[:3] in ("401", "403")
            return EndpointRefusesIdentity(url, status) if refuses else NotAnEndpoint(url, status)
        case "META0003":
            return EndpointUnreachable(url, message.rpartition("error: ")[2] or message)
        case "META0014":
            return EndpointSpeaksHttp1(url)
        case "META0004" | "META0006":
            return BreakingChange(url, [message])
        case "META0005" | "META0012" | "META0013" | "META0015" | "META0016":
            return DiscoveryFailed(url, message)
        case _ if _UNREADABLE in message:
            return DiscoveryFailed(url, message)
        case _:
            return None


def _without_codes(message: str) -> str:
    while message.startswith("[META"):
        message = message.partition("] ")[2]
    # What the endpoint answered is quoted whole, which can be pages.
    return message.partition(" Discovery response: ")[0].strip()


def _breaking(before: ServiceView | None, after: ServiceView) -> Iterator[str]:
    if before is None:
        return
    if before.kind is not after.kind:
        yield f"{after.name} was a {before.kind.value} and is a {after.kind.value}"
        return
    for lost in sorted({each.name for each in before.handlers} - {each.name for each in after.handlers}):
        yield f"{after.name} loses the handler {lost}"


def _changes(before: ServiceView | None, after: ServiceView) -> Iterator[str]:
    if before is None:
        yield f"{after.name} is new"
        return
    yield from _breaking(before, after)
    old = {each.name: each for each in before.handlers}
    for handler in after.handlers:
        if handler.name not in old:
            yield f"{after.name} gets the handler {handler.name}"
        elif handler != old[handler.name]:
            yield f"{after.name}.{handler.name} has another signature, documentation or option"
    if (before.public, before.documentation) != (after.public, after.documentation):
        yield f"{after.name} has another documentation or visibility"


def _text(fields: JsonObject, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None
