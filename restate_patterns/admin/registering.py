"""Registers an endpoint with a Restate server, and says before what would break.

Restate takes a URL that it knows for the same deployment and does not look at it again, unless it is
forced: whoever changed the code and registers again gets the old services and a success. So it is
asked first, by a dry run that is forced, what is there now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from restate_patterns.admin.connection import Answer, Connection, JsonObject
from restate_patterns.admin.deployments import (
    DeploymentView,
    Registration,
    breaking_changes,
    changes,
    deployment_of,
    is_function,
    refusal,
    same_url,
    services_of,
)
from restate_patterns.admin.errors import BreakingChange, EndpointChanged
from restate_patterns.admin.services import ServiceView, service_of
from restate_patterns.admin.side import RegisterOptions


async def register(connection: Connection, url: str, options: RegisterOptions) -> Registration:
    """Register an endpoint; see `AdminClient.register`."""
    offered = services_of((await _post(connection, url, options, force=True, dry_run=True)).fields)
    known = await _known(connection, url)
    before = await _services(connection, known)
    found = changes(before, offered)
    if not options.force:
        breaks = breaking_changes(before, offered)
        if breaks and not options.breaking and known is None:
            raise BreakingChange(url, breaks)
        if known is not None and (found or _lost(known, offered)):
            raise EndpointChanged(url, [*found, *_lost(known, offered)])
    answer = await _post(connection, url, options, force=options.force, dry_run=False)
    return Registration(
        deployment_id=str(answer.fields["id"]),
        url=url,
        services=services_of(answer.fields),
        created=known is None,
        changes=(*found, *(() if known is None else _lost(known, offered))),
        sdk_version=cast("str | None", answer.fields.get("sdk_version")),
    )


async def _post(connection: Connection, url: str, options: RegisterOptions, *, force: bool, dry_run: bool) -> Answer:
    body: dict[str, object] = {"arn" if is_function(url) else "uri": url, "force": force, "dry_run": dry_run}
    if options.assume_role is not None:
        body["assume_role_arn"] = options.assume_role
    if options.breaking and not force:
        body["breaking"] = True
    if options.use_http_11:
        body["use_http_11"] = True
    if options.headers:
        body["additional_headers"] = dict(options.headers)
    if options.metadata:
        body["metadata"] = dict(options.metadata)
    answer = await connection.ask("POST", "deployments", body=body)
    if not answer.success:
        refused = refusal(url, answer)
        if refused is not None:
            raise refused
    return answer.checked()


async def _known(connection: Connection, url: str) -> DeploymentView | None:
    answer = (await connection.ask("GET", "deployments")).checked()
    found = [deployment_of(each) for each in cast("Sequence[JsonObject]", answer.fields["deployments"])]
    return next((each for each in found if same_url(each.url, url)), None)


async def _services(connection: Connection, known: DeploymentView | None) -> Mapping[str, ServiceView]:
    """Give the services to compare with: the newest ones, and those of the deployment where it is known."""
    answer = (await connection.ask("GET", "services")).checked()
    found = [service_of(each, by_name=True) for each in cast("Sequence[JsonObject]", answer.fields["services"])]
    if known is not None:
        detail = (await connection.ask("GET", "deployments", known.id)).checked()
        found += services_of(detail.fields)
    return {each.name: each for each in found}


def _lost(known: DeploymentView, offered: Sequence[ServiceView]) -> Sequence[str]:
    gone = sorted(set(known.services) - {each.name for each in offered})
    return [f"{name} is gone" for name in gone]
