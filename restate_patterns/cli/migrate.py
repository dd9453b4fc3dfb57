"""`migrate FILE`: carry what is in an embedded file to a Restate server."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from typing import TYPE_CHECKING

from restate_patterns.admin import AdminError, EngineError
from restate_patterns.cli.admin import command_error
from restate_patterns.cli.couriers import courier_of
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.move_report import report_json, show
from restate_patterns.cli.output import confirmed, need_a_person, print_json, say, tell
from restate_patterns.cli.tokens import ADMIN_TOKEN, add_token
from restate_patterns.client.errors import ClientError
from restate_patterns.client.urls import checked_url, is_loopback, on_port
from restate_patterns.embedded.file_errors import FileError
from restate_patterns.embedded.inventory import ParkedFile
from restate_patterns.embedded.moves import Move
from restate_patterns.embedded.store import StoreBusyError
from restate_patterns.errors import DefinitionError, TerminalError
from restate_patterns.http.ports import PortError
from restate_patterns.moving.destination import Destination
from restate_patterns.moving.errors import MoveError
from restate_patterns.moving.mover import Mover
from restate_patterns.system.clock import wall_ms
from restate_patterns.text.durations import rfc3339

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction  # pyright: ignore[reportPrivateUsage] - a public result

_INGRESS_PORT = 8080


def add_to(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add `migrate` to the commands."""
    sub = commands.add_parser(
        "migrate",
        help="carry what is in an embedded file to a Restate server",
        description="Carry what is in an embedded file to a Restate server, whole or not at all: state, and what has "
        "been sent and has not begun. Broken off, the same command goes on where it was.",
    )
    sub.add_argument("file", metavar="FILE", help="the SQLite file; nothing may run on it")
    sub.add_argument("--to", metavar="ADMIN_URL", help="the server's admin API; the services are registered there")
    sub.add_argument(
        "--ingress-url",
        default=os.environ.get("RESTATE_INGRESS_URL"),
        metavar="URL",
        help="its ingress (RESTATE_INGRESS_URL, or port 8080 on the same host)",
    )
    sub.add_argument(
        "--courier",
        metavar="HOST:PORT",
        help="where the server calls back for what no ingress takes (default: a free port, for a server on loopback)",
    )
    sub.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    sub.add_argument(
        "--leave-behind",
        action="store_true",
        help="carry the rest when something cannot be carried: that stays in the file, as if it were killed",
    )
    sub.add_argument("--undo", action="store_true", help="take the file back: what was carried runs in both places")
    sub.add_argument("--yes", "-y", action="store_true", help="do not ask")
    sub.add_argument("--json", action="store_true", help="print JSON")
    add_token(sub, ADMIN_TOKEN)
    sub.set_defaults(run=migrate)


def migrate(arguments: Namespace) -> None:
    """Carry a file to a server, say what that would do, or take it back."""
    if arguments.undo == (arguments.to is not None):
        raise CommandError(Exit.USAGE, "give --to ADMIN_URL of a Restate server, or --undo to take the file back")
    try:
        with ParkedFile(arguments.file) as file:
            if arguments.undo:
                _undo(file, arguments)
            else:
                asyncio.run(_move(file, arguments))
    except (FileError, PortError, StoreBusyError) as error:
        raise CommandError(Exit.CANNOT_START, str(error)) from None
    except DefinitionError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    except MoveError as error:
        raise CommandError(Exit.REFUSED, str(error)) from None
    except (AdminError, ClientError, EngineError, TerminalError) as error:
        raise command_error(error) from None


async def _move(file: ParkedFile, arguments: Namespace) -> None:
    async with _destination(arguments) as destination:
        move = file.log.move
        if move is not None and move.done_ms is not None and move.to == destination.admin_url:
            _say_done(file, move, arguments)
            return
        courier = arguments.courier is not None or is_loopback(destination.admin_url)
        mover = Mover(file, destination, now_ms=wall_ms, courier=courier, tell=_tell)
        mover.check_file()
        server = await destination.server()
        plan = await mover.plan()
        refused = bool(plan.refusals) and not arguments.leave_behind
        if not arguments.json:
            show(plan, file.path, f"Restate {server.version} at {destination.admin_url}", wall_ms())
        if refused:
            if arguments.json:
                print_json(report_json(plan, file, destination.admin_url, moved=False))
            raise CommandError(Exit.REFUSED, _refused(len(plan.refusals), resumed=move is not None and move.holds))
        if not arguments.dry_run:
            _confirm(arguments, f"Carry it to {destination.admin_url}?", "carrying a file begins its work elsewhere")
            await mover.move(plan, courier_of(destination, at=arguments.courier, token=arguments.token))
        if arguments.json:
            print_json(report_json(plan, file, destination.admin_url, moved=not arguments.dry_run))
        elif arguments.dry_run:
            say("nothing was changed; without --dry-run it is carried")
        else:
            say(f"done: {file.path} has moved to {destination.admin_url}, and nothing starts on it any more")


def _destination(arguments: Namespace) -> Destination:
    try:
        admin_url = checked_url(arguments.to)
        ingress_url = arguments.ingress_url or on_port(admin_url, _INGRESS_PORT)
        return Destination(admin_url, ingress_url, token=arguments.token)
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None


def _refused(count: int, *, resumed: bool) -> str:
    what = "1 thing cannot be carried" if count == 1 else f"{count} things cannot be carried"
    so = "nothing more was written" if resumed else "nothing was written"
    return f"{what}, so {so}. Mend what is listed, or carry the rest with --leave-behind"


def _say_done(file: ParkedFile, move: Move, arguments: Namespace) -> None:
    if arguments.json:
        print_json({"file": str(file.path), "to": move.to, "moved": True, "already": True})
    else:
        say(f"{file.path} moved to {move.to} on {rfc3339(move.done_ms or 0)[:19]}Z; nothing is left to do")


def _undo(file: ParkedFile, arguments: Namespace) -> None:
    move = file.log.move
    if move is None or not move.holds:
        raise CommandError(Exit.NOT_FOUND, f"{file.path} has not moved anywhere, so there is nothing to undo")
    _confirm(arguments, f"Take {file.path} back?", f"what was carried to {move.to} stays there and runs there too")
    file.log.undo(wall_ms())
    if arguments.json:
        print_json({"file": str(file.path), "to": move.to, "moved": False})
    else:
        say(f"{file.path} can be served again; what was carried to {move.to} is still there: remove it before")


def _confirm(arguments: Namespace, question: str, why: str) -> None:
    if arguments.yes:
        return
    need_a_person(why)
    say(f"Mind: {why}.")
    if not confirmed(question):
        raise CommandError(Exit.USAGE, "nothing was changed")


def _tell(what: str, count: int) -> None:
    tell(f"{what}: {count}")
