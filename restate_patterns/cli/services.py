"""`services ...`: what a server hosts."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import cast

from restate_patterns.cli.admin_client import AdminClient, JsonObject
from restate_patterns.cli.output import print_fields, print_json, print_table


def list_services(arguments: Namespace, admin: AdminClient) -> None:
    """List the services with their handlers."""
    answer = admin.ask("GET", "services")
    if arguments.json:
        print_json(answer)
        return
    print_table(
        ("SERVICE", "KIND", "HANDLERS"),
        [(str(each["name"]), str(each["ty"]), ", ".join(_names(each))) for each in _objects(answer, "services")],
    )


def describe(arguments: Namespace, admin: AdminClient) -> None:
    """Show one service with its handlers."""
    answer = admin.ask("GET", "services", arguments.name)
    if arguments.json:
        print_json(answer)
        return
    print_fields(
        [
            ("service", str(answer["name"])),
            ("kind", str(answer["ty"])),
            ("documentation", str(answer["documentation"] or "")),
        ]
    )
    print()
    print_table(
        ("HANDLER", "KIND", "INPUT", "OUTPUT", "DOCUMENTATION"),
        [
            (
                str(each["name"]),
                str(each["ty"] or ""),
                str(each["input_description"]),
                str(each["output_description"]),
                str(each["documentation"] or "").partition("\n")[0],
            )
            for each in _objects(answer, "handlers")
        ],
    )


def openapi(arguments: Namespace, admin: AdminClient) -> None:
    """Print the OpenAPI document of one service."""
    print_json(admin.ask("GET", "services", arguments.name, "openapi"))


def _names(service: JsonObject) -> Sequence[str]:
    return [str(each["name"]) for each in _objects(service, "handlers")]


def _objects(answer: JsonObject, name: str) -> Sequence[JsonObject]:
    return cast("Sequence[JsonObject]", answer[name])
