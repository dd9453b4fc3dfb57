"""`schedules ...`: see the schedules of a server, and pause, trigger, backfill, remove and declare them.

Ordinary calls of the ingress, so it is the same on each backend.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from restate_patterns.cli.asking import AskingCommand, add_asking
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.loading import add_app, load_app
from restate_patterns.cli.output import ago, print_fields, print_json, print_table, say
from restate_patterns.client import Client
from restate_patterns.errors import DefinitionError
from restate_patterns.patterns.schedules.declaration import ScheduleDeclaration
from restate_patterns.patterns.schedules.errors import UnknownSchedule
from restate_patterns.patterns.schedules.keeper import INDEX, ScheduleIndex, Schedules, ScheduleSpan
from restate_patterns.patterns.schedules.record import ScheduleRecord, ScheduleRun
from restate_patterns.patterns.schedules.timing import Timing, date_of, ms_of
from restate_patterns.system.clock import wall_ms
from restate_patterns.text.durations import duration_text

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction  # pyright: ignore[reportPrivateUsage] - a public result

_NOT_HOSTED: Final = "no app there hosts schedules: write `App([..., Schedule(...)])` or `*schedule_services()`"
_FOLLOWING: Final = 3
"""How many ticks `show` says."""


def add_to(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add `schedules` to the commands."""
    group = commands.add_parser("schedules", help="what runs by cron or at intervals")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _add(verbs, "list", _list, "list the schedules, with their next and their last runs")
    for name, run, text in (
        ("show", _show, "show a schedule, its next ticks and its last runs"),
        ("pause", _pause, "begin no more runs until it is resumed; what runs goes on"),
        ("resume", _resume, "go on, with the next tick from now"),
        ("trigger", _trigger, "begin a run now, besides those of its ticks"),
        ("backfill", _backfill, "run for each tick of a span of the past"),
        ("remove", _remove, "forget a schedule; what runs goes on"),
    ):
        sub = _add(verbs, name, run, text)
        sub.add_argument("name", help="its name")
        if name == "pause":
            sub.add_argument("--note", default="", help="why; it is shown")
        if name == "backfill":
            day = "a day or a time as in 2030-03-01 or 2030-03-01T02:00, of its time zone unless it says another"
            sub.add_argument("since", help=f"from when: {day}")
            sub.add_argument("until", help="until when, itself included")
    add_app(_add(verbs, "declare", _declare, "declare the schedules of an app, as its start does"))


def _add(verbs: _SubParsersAction[ArgumentParser], name: str, run: AskingCommand, text: str) -> ArgumentParser:
    return add_asking(verbs, name, run, text, unknown=(UnknownSchedule,), not_hosted=_NOT_HOSTED)


def _named(arguments: Namespace, client: Client) -> Schedules:
    return client.object_client(Schedules, arguments.name)


async def _list(arguments: Namespace, client: Client) -> None:
    found = await client.object_client(ScheduleIndex, INDEX).list_all()
    if arguments.json:
        print_json([record.model_dump(mode="json") for record in found])
    elif not found:
        say("there are no schedules")
    else:
        now_ms = wall_ms()
        print_table(("NAME", "WHEN", "TARGET", "NEXT", "LAST"), [_row(record, now_ms) for record in found])


def _row(record: ScheduleRecord, now_ms: int) -> tuple[str, ...]:
    following = "paused" if record.paused_at else _ago(record.next_due, now_ms) or "never"
    last = record.runs[0] if record.runs else None
    said = "" if last is None else f"{last.state} ({_ago(last.due, now_ms)})"
    return record.name, _when(record.declaration), record.declaration.target(), following, said


def _when(declaration: ScheduleDeclaration) -> str:
    if declaration.every is not None:
        return f"every {duration_text(declaration.every)}"
    return f"{declaration.cron} ({declaration.zone})"


def _ago(moment: datetime | None, now_ms: int) -> str:
    return ago(moment.isoformat() if moment else None, now_ms)


async def _show(arguments: Namespace, client: Client) -> None:
    record = await _named(arguments, client).show()
    if arguments.json:
        print_json(record.model_dump(mode="json"))
        return
    declaration = record.declaration
    zone = ZoneInfo(declaration.zone)
    paused = record.paused_at and f"since {_local(record.paused_at, zone)}{record.note and f': {record.note}'}"
    print_fields(
        [
            ("name", record.name),
            ("when", _when(declaration)),
            ("target", declaration.target()),
            ("overlap", declaration.overlap),
            ("missed", declaration.missed),
            ("jitter", duration_text(declaration.jitter) if declaration.jitter else ""),
            ("declared", _local(record.declared_at, zone)),
            ("paused", paused or ""),
            ("next", _following(record, zone)),
            ("queued", [_local(due, zone) for due in record.queued]),
            ("started", str(record.started_count)),
            ("skipped", str(record.skipped_count) if record.skipped_count else ""),
            ("missed ticks", str(record.missed_count) if record.missed_count else ""),
        ]
    )
    if record.runs:
        say()
        print_table(("DUE", "WHY", "STATE", "ID", "NOTE"), [_run_row(run, zone) for run in record.runs])


def _following(record: ScheduleRecord, zone: ZoneInfo) -> list[str]:
    if record.next_due is None:
        return []
    timing, following = Timing(record.name, record.declaration), [record.next_due]
    while len(following) < _FOLLOWING and (due := timing.after(ms_of(following[-1]))) is not None:
        following.append(date_of(due.due_ms))
    return [_local(moment, zone) for moment in following]


def _run_row(run: ScheduleRun, zone: ZoneInfo) -> tuple[str, ...]:
    return _local(run.due, zone), run.why, run.state, run.invocation_id, run.error


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat(sep=" ", timespec="seconds" if not moment.microsecond else "milliseconds")


async def _pause(arguments: Namespace, client: Client) -> None:
    await _named(arguments, client).pause(arguments.note)
    await _say(arguments, client, f"{arguments.name} is paused")


async def _resume(arguments: Namespace, client: Client) -> None:
    await _named(arguments, client).resume()
    await _say(arguments, client, f"{arguments.name} goes on")


async def _say(arguments: Namespace, client: Client, line: str) -> None:
    if arguments.json:
        print_json((await _named(arguments, client).show()).model_dump(mode="json"))
    else:
        say(line)


async def _trigger(arguments: Namespace, client: Client) -> None:
    run = await _named(arguments, client).trigger()
    if arguments.json:
        print_json(run.model_dump(mode="json"))
    else:
        say(": ".join(part for part in (arguments.name, run.state, run.invocation_id or run.error) if part))


async def _backfill(arguments: Namespace, client: Client) -> None:
    zone = ZoneInfo((await _named(arguments, client).show()).declaration.zone)
    span = ScheduleSpan(since=_moment(arguments.since, zone), until=_moment(arguments.until, zone))
    count = await _named(arguments, client).backfill(span)
    if arguments.json:
        print_json({"ticks": count})
    else:
        say(f"{arguments.name}: {count} tick{'' if count == 1 else 's'} to run for")


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            Exit.USAGE, f"{text!r} is no time: write a day or a time, as in 2030-03-01 or 2030-03-01T02:00"
        ) from None
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).astimezone(UTC)


async def _remove(arguments: Namespace, client: Client) -> None:
    removed = await _named(arguments, client).remove()
    if not removed:
        raise UnknownSchedule(schedule=arguments.name)
    if arguments.json:
        print_json({"removed": arguments.name})
    else:
        say(f"{arguments.name} is removed")


async def _declare(arguments: Namespace, client: Client) -> None:
    app = await asyncio.to_thread(load_app, arguments.app, Path(arguments.app_dir))
    try:
        changed = {schedule.name: await schedule.declare(client) for schedule in app.schedules}
    except DefinitionError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    if arguments.json:
        print_json([{"name": name, "changed": each} for name, each in changed.items()])
    elif not changed:
        say(f"{arguments.app} has no schedules: write `App([..., Schedule(...)])`")
    else:
        for name, each in changed.items():
            say(f"{name} is {'declared' if each else 'declared so already'}")
