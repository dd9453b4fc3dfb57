"""`invocations ...`: see what runs, why it waits, and act on it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Final, cast

from restate_patterns.cli.admin_client import AdminClient, JsonObject
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.output import ago, print_fields, print_json, print_table
from restate_patterns.clock import wall_ms
from restate_patterns.engine_port import InvocationStatus

_IN_FLIGHT: Final = ",".join(status.value for status in InvocationStatus if status is not InvocationStatus.COMPLETED)
_DONE: Final = {
    "cancel": "cancelling",
    "kill": "killed",
    "pause": "pausing",
    "resume": "resumed",
    "restart-as-new": "restarted as",
    "purge": "purged",
}


def list_invocations(arguments: Namespace, admin: AdminClient) -> None:
    """List invocations, newest first."""
    statuses = arguments.status or ("" if arguments.all else _IN_FLIGHT)
    chosen = {
        "service": arguments.service,
        "handler": arguments.handler,
        "key": arguments.key,
        "status": statuses,
        "limit": str(arguments.limit),
    }
    answer = admin.ask(
        "GET", "embedded", "invocations", query=[(name, value) for name, value in chosen.items() if value]
    )
    if arguments.json:
        print_json(answer)
        return
    found = _objects(answer, "invocations")
    if not found:
        more = "" if arguments.all or arguments.status else " in flight; --all shows completed ones too"
        print(f"no invocations{more}")
        return
    now_ms = wall_ms()
    print_table(
        ("ID", "TARGET", "STATUS", "CREATED", "NOTE"),
        [
            (
                _text(each, "id"),
                _text(each, "target"),
                _text(each, "status"),
                ago(each["created_at"], now_ms),
                _note(each, now_ms),
            )
            for each in found
        ],
    )
    if answer.get("next"):
        print(f"... and more; --limit shows more than {arguments.limit}")


def describe(arguments: Namespace, admin: AdminClient) -> None:
    """Show one invocation with its journal."""
    answer = admin.ask("GET", "embedded", "invocations", arguments.id)
    if arguments.json:
        print_json(answer)
        return
    found = cast("JsonObject", answer["invocation"])
    now_ms = wall_ms()
    failure = cast("JsonObject | None", found["failure"])
    print_fields(
        [
            ("id", _text(found, "id")),
            ("target", _text(found, "target")),
            ("status", _text(found, "status")),
            ("created", _moment(found, "created_at", now_ms)),
            ("scheduled", _moment(found, "scheduled_at", now_ms)),
            ("completed", _moment(found, "completed_at", now_ms)),
            ("attempts", _text(found, "attempt_count")),
            ("failure", f"{failure['code']}: {failure['message']}" if failure else ""),
            ("last failure", _text(found, "last_failure")),
            ("next retry", _moment(found, "next_retry_at", now_ms)),
            ("waits for", "\n".join(_waits_for(found))),
            ("idempotency key", _text(found, "idempotency_key")),
            ("invoked by", _text(found, "invoked_by")),
        ]
    )
    journal = _objects(answer, "journal")
    if journal:
        print()
        print_table(
            ("#", "ENTRY", "NAME", "DONE", "DETAIL"),
            [
                (
                    _text(entry, "position"),
                    _text(entry, "kind"),
                    _text(entry, "name"),
                    "yes" if entry["completed"] else "no",
                    _text(entry, "detail"),
                )
                for entry in journal
            ],
        )


def verb(name: str) -> Callable[[Namespace, AdminClient], None]:
    """Give the command that does one verb on each of the invocations named."""

    def act(arguments: Namespace, admin: AdminClient) -> None:
        if name == "kill" and not arguments.yes:
            _confirm_kill(arguments.ids, admin)
        outcomes: list[dict[str, object]] = []
        failed: list[CommandError] = []
        for invocation_id in arguments.ids:
            try:
                answer = admin.ask("PATCH", "invocations", invocation_id, name)
            except CommandError as error:
                failed.append(error)
                outcomes.append({"id": invocation_id, "error": str(error)})
                continue
            outcomes.append({"id": invocation_id, **answer})
            if not arguments.json:
                print(f"{invocation_id}: {_DONE[name]} {answer.get('new_invocation_id', '')}".rstrip())
        if arguments.json:
            print_json({"invocations": outcomes})
        if failed:
            raise CommandError(failed[0].code, "\n".join(map(str, failed)))

    return act


def _confirm_kill(ids: Sequence[str], admin: AdminClient) -> None:
    """Name what goes down, and ask."""
    if not sys.stdin.isatty():
        raise CommandError(Exit.USAGE, "kill runs no undo, so it asks first; give --yes where nobody can answer")
    for invocation_id in ids:
        found = cast("JsonObject", admin.ask("GET", "embedded", "invocations", invocation_id)["invocation"])
        print(f"{invocation_id}: {found['target']}, {found['status']}")
        for waiting in _waits_for(found):
            print(f"  waits for {waiting}")
    print("Its undo does not run; the calls it waits for are killed too, what it has sent goes on.")
    if input("Kill? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError(Exit.USAGE, "nothing was killed")


def _note(found: JsonObject, now_ms: int) -> str:
    failure = cast("JsonObject | None", found["failure"])
    if failure is not None:
        return f"failed with {failure['code']}: {failure['message']}"
    if found["scheduled_at"] and found["status"] == "scheduled":
        return f"due {ago(found['scheduled_at'], now_ms)}"
    if found["status"] in ("backing-off", "paused") and found["last_failure"]:
        retry = f"; next try {ago(found['next_retry_at'], now_ms)}" if found["next_retry_at"] else ""
        return f"{found['last_failure']}{retry}"
    waits = _waits_for(found)
    return f"waits for {waits[0]}" + (f" and {len(waits) - 1} more" if len(waits) > 1 else "") if waits else ""


def _waits_for(found: JsonObject) -> Sequence[str]:
    return cast("Sequence[str]", found["waits_for"])


def _moment(found: JsonObject, name: str, now_ms: int) -> str:
    time = found[name]
    return f"{str(time)[:23]}Z ({ago(time, now_ms)})" if time else ""


def _text(found: JsonObject, name: str) -> str:
    value = found[name]
    return "" if value is None else str(value)


def _objects(answer: JsonObject, name: str) -> Sequence[JsonObject]:
    return cast("Sequence[JsonObject]", answer[name])
