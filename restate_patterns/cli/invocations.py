"""`invocations ...`: see what runs, why it waits, and act on it."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from restate_patterns.admin import (
    AdminClient,
    AdminError,
    EngineError,
    InvocationFilter,
    InvocationStatus,
    InvocationView,
    ServerKind,
)
from restate_patterns.cli.admin import AdminCommand, command_error
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.ids import whole_id
from restate_patterns.cli.output import (
    ago,
    clear_screen,
    complain,
    confirmed,
    need_a_person,
    print_fields,
    print_json,
    print_table,
    say,
)
from restate_patterns.cli.own_services import OWN_SERVICES
from restate_patterns.cli.restarting import confirm_restart
from restate_patterns.cli.streams import flush
from restate_patterns.cli.suggestions import did_you_mean
from restate_patterns.client.errors import ClientError
from restate_patterns.errors import TerminalError
from restate_patterns.http.views import detail_json, invocation_json
from restate_patterns.system.clock import wall_ms
from restate_patterns.text.durations import rfc3339

_IN_FLIGHT: Final = frozenset(InvocationStatus) - {InvocationStatus.COMPLETED}
_TIMER: Final = "the timer"
"""How what is waited for begins where it is a timer, from every server."""
_DONE: Final = {
    "cancel": "cancelling",
    "kill": "killed",
    "pause": "pausing",
    "resume": "resumed",
    "restart-as-new": "restarted as",
    "purge": "purged",
}


async def list_invocations(arguments: Namespace, admin: AdminClient) -> None:
    """List invocations, newest first; with `--watch` again and again, until Ctrl-C."""
    if arguments.watch is None:
        await _list(arguments, admin)
        return
    if arguments.json:
        raise CommandError(Exit.USAGE, "--watch shows a table to a person; leave --json out")
    try:
        while True:
            clear_screen()
            await _list(arguments, admin)
            flush()
            await asyncio.sleep(arguments.watch)
    except asyncio.CancelledError:
        return


async def _list(arguments: Namespace, admin: AdminClient) -> None:
    chosen = _chosen(arguments)
    try:
        found = await admin.list_invocations(chosen, limit=arguments.limit)
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    more = found[-1].id if len(found) == arguments.limit else None
    if arguments.json:
        print_json({"invocations": [invocation_json(each) for each in found], "next": more})
        return
    if not found:
        named = arguments.all or arguments.status or arguments.failed
        hint = "" if named else " in flight; --all shows completed ones too"
        say(f"no invocations{hint}")
        return
    now_ms = wall_ms()
    print_table(
        ("ID", "TARGET", "STATUS", "CREATED", "NOTE"),
        [
            (each.id, str(each.target), each.status.value, _ago(each.created_ms, now_ms), _note(each, now_ms))
            for each in found
        ],
    )
    if more:
        say(f"... and more; --limit shows more than {arguments.limit}")


async def describe(arguments: Namespace, admin: AdminClient) -> None:
    """Show one invocation with its journal."""
    detail = await admin.describe_invocation(await whole_id(arguments.id, admin))
    if arguments.json:
        print_json(detail_json(detail))
        return
    found, now_ms = detail.view, wall_ms()
    print_fields(
        [
            ("id", found.id),
            ("target", str(found.target)),
            ("status", found.status.value),
            ("created", _moment(found.created_ms, now_ms)),
            ("scheduled", _moment(found.scheduled_ms, now_ms)),
            ("completed", _moment(found.completed_ms, now_ms)),
            ("attempts", str(found.attempt_count)),
            ("failure", f"{found.failure.code}: {found.failure.message}" if found.failure else ""),
            ("last failure", found.last_failure or ""),
            ("next retry", _moment(found.next_retry_ms, now_ms)),
            ("waits for", found.waits_for),
            ("idempotency key", found.idempotency_key or ""),
            ("invoked by", found.invoked_by or ""),
        ]
    )
    if detail.journal:
        say()
        print_table(
            ("#", "ENTRY", "NAME", "DONE", "DETAIL"),
            [
                (str(entry.position), entry.kind, entry.name, "yes" if entry.completed else "no", entry.detail)
                for entry in detail.journal
            ],
        )


def verb(name: str) -> AdminCommand:
    """Give the command that does one verb on each of the invocations named."""

    async def act(arguments: Namespace, admin: AdminClient) -> None:
        ids = [await whole_id(each, admin) for each in arguments.ids]
        if name == "kill" and not arguments.yes:
            await _confirm_kill(ids, admin)
        if name == "restart-as-new" and not arguments.yes:
            await confirm_restart(ids, admin)
        outcomes: list[dict[str, object]] = []
        failed: list[CommandError] = []
        for invocation_id in ids:
            try:
                new_id = await _act(name, invocation_id, admin)
            except (AdminError, ClientError, EngineError, TerminalError) as error:
                failed.append(command_error(error))
                outcomes.append({"id": invocation_id, "error": str(failed[-1])})
                continue
            outcomes.append({"id": invocation_id, **({"new_invocation_id": new_id} if new_id else {})})
            if not arguments.json:
                say(f"{invocation_id}: {_DONE[name]} {new_id}".rstrip())
        if arguments.json:
            print_json({"invocations": outcomes})
        for each in failed[:-1]:
            complain(str(each))
        if failed:
            raise CommandError(failed[0].code, str(failed[-1]))

    return act


async def _act(name: str, invocation_id: str, admin: AdminClient) -> str:
    """Do a verb; gives the id of a new invocation, or nothing."""
    match name:
        case "cancel":
            await admin.cancel(invocation_id)
        case "kill":
            await admin.kill(invocation_id)
        case "pause":
            await admin.pause(invocation_id)
        case "resume":
            await admin.resume(invocation_id)
        case "purge":
            await admin.purge(invocation_id)
        case _:
            return await admin.restart_as_new(invocation_id)
    return ""


async def _confirm_kill(ids: Sequence[str], admin: AdminClient) -> None:
    """Name what goes down, and ask."""
    need_a_person("kill runs no undo")
    for invocation_id in ids:
        found = (await admin.describe_invocation(invocation_id)).view
        say(f"{invocation_id}: {found.target}, {found.status.value}")
        for waiting in found.waits_for:
            say(f"  waits for {waiting}")
        for each in await admin.killed_with(invocation_id):
            say(f"  kills {each.target} ({each.id}), which is {each.status.value}")
    if (await admin.server()).kind is ServerKind.EMBEDDED:
        say("Its undo does not run; the calls it waits for are killed too, what it has sent goes on.")
    else:
        say("Its undo does not run; what it has called or sent is killed too, also what is not due yet.")
    if not confirmed("Kill?"):
        raise CommandError(Exit.USAGE, "nothing was killed")


def _chosen(arguments: Namespace) -> InvocationFilter:
    statuses = _statuses(arguments.status)
    if not statuses and not arguments.all and not arguments.failed:
        statuses = _IN_FLIGHT
    return InvocationFilter(
        service=arguments.service,
        handler=arguments.handler,
        key=arguments.key,
        statuses=statuses,
        failed=arguments.failed,
        without=frozenset() if arguments.internal or arguments.service else OWN_SERVICES,
    )


def _statuses(text: str | None) -> frozenset[InvocationStatus]:
    known = [status.value for status in InvocationStatus]
    words = [word for word in (text or "").split(",") if word]
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known)
            raise CommandError(Exit.USAGE, f"status={text} must be of {', '.join(known)}{hint}")
    return frozenset(map(InvocationStatus, words))


def _note(found: InvocationView, now_ms: int) -> str:
    if found.failure is not None:
        return f"failed with {found.failure.code}: {found.failure.message}"
    if found.scheduled_ms is not None and found.status is InvocationStatus.SCHEDULED:
        return f"due {_ago(found.scheduled_ms, now_ms)}"
    if found.status in (InvocationStatus.BACKING_OFF, InvocationStatus.PAUSED) and found.last_failure:
        retry = "" if found.next_retry_ms is None else f"; next try {_ago(found.next_retry_ms, now_ms)}"
        return f"{found.last_failure}{retry}"
    # A timer beside something else is most often a bound on it.
    waits = sorted(found.waits_for, key=lambda wait: wait.startswith(_TIMER))
    return f"waits for {waits[0]}" + (f" and {len(waits) - 1} more" if len(waits) > 1 else "") if waits else ""


def _moment(time_ms: int | None, now_ms: int) -> str:
    return "" if time_ms is None else f"{rfc3339(time_ms)[:23]}Z ({_ago(time_ms, now_ms)})"


def _ago(time_ms: int, now_ms: int) -> str:
    return ago(rfc3339(time_ms), now_ms)
