"""Tokens of the command line: from the environment rather than from options, which every user of a machine can see."""

from __future__ import annotations

import os
from argparse import ArgumentParser, _ArgumentGroup  # pyright: ignore[reportPrivateUsage] - a public result
from typing import Final

INGRESS_TOKEN: Final = "RESTATE_INGRESS_TOKEN"
ADMIN_TOKEN: Final = "RESTATE_ADMIN_TOKEN"
ANY_TOKEN: Final = "RESTATE_TOKEN"


def add_token(sub: ArgumentParser | _ArgumentGroup, variable: str) -> None:
    """Add `--token`.

    Args:
        sub: The command.
        variable: The environment variable of the port it asks; `RESTATE_TOKEN` stands in for it.
    """
    sub.add_argument(
        "--token",
        default=os.environ.get(variable, os.environ.get(ANY_TOKEN)),
        help=f"sent as a bearer token; others on the machine can see it, not so {variable} and {ANY_TOKEN}",
    )
