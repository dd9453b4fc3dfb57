"""`serve MODULE:APP`: serve an app in production, on a file of this process or on a Restate server."""

from __future__ import annotations

import os
from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from restate_patterns.admin import AdminError
from restate_patterns.backends.restate import Restate
from restate_patterns.cli import embedded, logs
from restate_patterns.cli.admin import command_error
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.loading import add_app, load_app
from restate_patterns.cli.tokens import ADMIN_TOKEN, add_token
from restate_patterns.client.errors import ClientError
from restate_patterns.embedded.file_errors import FileError
from restate_patterns.engine.backend import Backend
from restate_patterns.errors import DefinitionError
from restate_patterns.http.ports import PortError
from restate_patterns.limits import SHUTDOWN_GRACE_S

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction  # pyright: ignore[reportPrivateUsage] - a public result


def add_to(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add `serve` to the commands."""
    sub = commands.add_parser(
        "serve",
        help="serve an app, from a file of this process or on a Restate server",
        description="Serve an app until SIGTERM or SIGINT.",
    )
    add_app(sub)
    logs.add_level(sub, default="warning")
    sub.add_argument("--backend", choices=("embedded", "restate"), default="embedded", help="(default: %(default)s)")
    embedded.add_options(sub.add_argument_group("on a file (--backend embedded)"))
    restate = sub.add_argument_group("on a Restate server (--backend restate)")
    restate.add_argument("--bind", default="127.0.0.1:9080", metavar="HOST:PORT", help="where the server finds it")
    restate.add_argument("--register", metavar="ADMIN_URL", help="register the services there at the start")
    restate.add_argument("--force", action="store_true", help="register also over a deployment of the same URL")
    restate.add_argument("--advertised-url", metavar="URL", help="how the server reaches it (default: as bound)")
    restate.add_argument(
        "--ingress-url",
        default=os.environ.get("RESTATE_INGRESS_URL", "http://127.0.0.1:8080"),
        metavar="URL",
        help="the ingress, for handlers that look at other invocations (RESTATE_INGRESS_URL, or %(default)s)",
    )
    restate.add_argument(
        "--admin-url",
        default=os.environ.get("RESTATE_ADMIN_URL", "http://127.0.0.1:9070"),
        metavar="URL",
        help="the admin API, for the same (--register, RESTATE_ADMIN_URL, or %(default)s)",
    )
    restate.add_argument(
        "--identity-key",
        action="append",
        default=[],
        metavar="KEY",
        help="take requests only of servers that sign with this key (publickeyv1_...); may be repeated",
    )
    restate.add_argument(
        "--grace", type=float, default=SHUTDOWN_GRACE_S, metavar="S", help="time to drain (%(default)s)"
    )
    add_token(restate, ADMIN_TOKEN)
    sub.set_defaults(run=serve)


def serve(arguments: Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = load_app(arguments.app, Path(arguments.app_dir))
    logs.print_logs(arguments)
    try:
        app.serve(_backend(arguments))
    except (FileError, PortError) as error:
        raise CommandError(Exit.CANNOT_START, str(error)) from None
    except DefinitionError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    except (AdminError, ClientError) as error:
        raise command_error(error, option="--register") from None


def _backend(arguments: Namespace) -> Backend:
    if arguments.backend == "restate":
        return Restate(
            ingress_url=arguments.ingress_url,
            admin_url=arguments.register or arguments.admin_url,
            bind=arguments.bind,
            advertised_url=arguments.advertised_url,
            register=arguments.register is not None,
            force=arguments.force,
            identity_keys=arguments.identity_key,
            token=arguments.token,
            grace=_grace(arguments.grace),
        )
    return embedded.backend_of(arguments)


def _grace(seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise CommandError(Exit.USAGE, f"--grace {seconds} must be a number of seconds, as in 10 or 0.5") from None
