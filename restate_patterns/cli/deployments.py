"""`deployments ...`: the endpoints that a Restate server calls."""

from __future__ import annotations

from argparse import Namespace

from restate_patterns.admin import AdminClient
from restate_patterns.admin.deployments import deployment_json
from restate_patterns.admin.services import service_json
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.output import ago, print_json, print_table, say
from restate_patterns.system.clock import wall_ms


async def list_deployments(arguments: Namespace, admin: AdminClient) -> None:
    """List what is registered."""
    found = await admin.list_deployments()
    if arguments.json:
        print_json({"deployments": [deployment_json(each) for each in found]})
    elif not found:
        say("no deployments; `deployments register URL` adds one")
    else:
        now_ms = wall_ms()
        print_table(
            ("ID", "URL", "CREATED", "SERVICES"),
            [(each.id, each.url, ago(each.created_at, now_ms), ", ".join(sorted(each.services))) for each in found],
        )


async def register(arguments: Namespace, admin: AdminClient) -> None:
    """Register an endpoint and show what the server found there."""
    try:
        done = await admin.register(
            arguments.url,
            force=arguments.force,
            breaking=arguments.breaking,
            use_http_11=arguments.http1,
            assume_role=arguments.assume_role,
        )
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    if arguments.json:
        services = [service_json(each) for each in done.services]
        print_json(
            {"id": done.deployment_id, "created": done.created, "changes": list(done.changes), "services": services}
        )
        return
    if not done.created and not done.changes:
        say(f"{done.deployment_id}: {done.url} was registered before, and nothing has changed")
    else:
        say(f"{done.deployment_id}: {done.url} is registered")
    print_table(
        ("SERVICE", "REVISION", "HANDLERS"),
        [
            (each.name, str(each.revision), ", ".join(handler.name for handler in each.handlers))
            for each in done.services
        ],
    )


async def remove(arguments: Namespace, admin: AdminClient) -> None:
    """Forget a deployment."""
    await admin.remove_deployment(arguments.id)
    if arguments.json:
        print_json({"id": arguments.id})
    else:
        say(f"{arguments.id}: removed")
