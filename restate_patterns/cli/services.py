"""`services ...`: what a server hosts."""

from __future__ import annotations

from argparse import Namespace

from restate_patterns.admin import AdminClient
from restate_patterns.admin.services import service_json
from restate_patterns.cli.output import print_fields, print_json, print_table, say
from restate_patterns.cli.own_services import without_own


async def list_services(arguments: Namespace, admin: AdminClient) -> None:
    """List the services with their handlers."""
    found = await admin.list_services()
    if not arguments.internal:
        found = without_own(found)
    if arguments.json:
        print_json({"services": [service_json(each) for each in found]})
        return
    print_table(
        ("SERVICE", "KIND", "HANDLERS"),
        [(each.name, each.kind.value, ", ".join(handler.name for handler in each.handlers)) for each in found],
    )


async def describe(arguments: Namespace, admin: AdminClient) -> None:
    """Show one service with its handlers."""
    found = await admin.describe_service(arguments.name)
    if arguments.json:
        print_json(service_json(found))
        return
    print_fields(
        [
            ("service", found.name),
            ("kind", found.kind.value),
            ("documentation", found.documentation or ""),
        ]
    )
    say()
    print_table(
        ("HANDLER", "KIND", "INPUT", "OUTPUT", "DOCUMENTATION"),
        [
            (
                each.name,
                each.kind or "",
                each.input_description,
                each.output_description,
                (each.documentation or "").partition("\n")[0],
            )
            for each in found.handlers
        ],
    )


async def openapi(arguments: Namespace, admin: AdminClient) -> None:
    """Print the OpenAPI document of one service."""
    print_json(await admin.openapi(arguments.name))
