"""The embedded backend as `dev` and `serve` start it: their options, and the tokens of their environment."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from restate_patterns.backends.embedded import Embedded
from restate_patterns.cli.durations import duration
from restate_patterns.cli.tokens import ADMIN_TOKEN, INGRESS_TOKEN

if TYPE_CHECKING:
    from argparse import ArgumentParser, _ArgumentGroup  # pyright: ignore[reportPrivateUsage] - a public result


def add_options(sub: ArgumentParser | _ArgumentGroup) -> None:
    """Add what says which file is served, where, and to whom."""
    sub.add_argument("--db", metavar="FILE", help="the SQLite file that makes it durable (default: MODULE.db)")
    sub.add_argument(
        "--host",
        default="127.0.0.1",
        help=f"address of the ingress (%(default)s); {INGRESS_TOKEN} in the environment is what calls must bring",
    )
    sub.add_argument(
        "--admin-host",
        default="127.0.0.1",
        metavar="HOST",
        help=f"address of the admin API (%(default)s); another than loopback needs {ADMIN_TOKEN} in the environment",
    )
    sub.add_argument("--ingress-port", type=int, default=8080, metavar="N", help="where to call it (%(default)s)")
    sub.add_argument("--admin-port", type=int, default=9070, metavar="N", help="where to manage it (%(default)s)")
    sub.add_argument(
        "--inactivity-timeout",
        type=duration,
        metavar="DURATION",
        help="take out of memory what waits for that long, as 10s (a minute); 0 replays at every wait, to find what is "
        "not deterministic",
    )
    sub.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which it may be asked for, besides its addresses; .NAME is all below it; may be repeated",
    )
    sub.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="an origin whose web pages may call it, as http://localhost:3000, or * for any; may be repeated",
    )


def backend_of(arguments: Namespace) -> Embedded:
    """Give the backend that the options ask for.

    Raises:
        DefinitionError: They make no sense.
    """
    return Embedded(
        file_of(arguments),
        host=arguments.host,
        admin_host=arguments.admin_host,
        ingress_port=arguments.ingress_port,
        admin_port=arguments.admin_port,
        allowed_hosts=arguments.allow_host,
        allowed_origins=arguments.allow_origin,
        ingress_token=os.environ.get(INGRESS_TOKEN),
        admin_token=os.environ.get(ADMIN_TOKEN),
        inactivity_timeout=arguments.inactivity_timeout,
    )


def file_of(arguments: Namespace) -> str:
    """Give the file to serve from."""
    return arguments.db or f"{arguments.app.partition(':')[0].rpartition('.')[2]}.db"
