"""What `serve` and `dev` print of the log."""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argparse import ArgumentParser

_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_LEVELS: Final = ("debug", "info", "warning", "error")


def add_level(sub: ArgumentParser, *, default: str) -> None:
    """Add from which level on lines are printed."""
    sub.add_argument(
        "--log-level",
        choices=_LEVELS,
        default=default,
        help="print what is logged from this level on, also with ctx.logger (%(default)s); a module that sets up "
        "logging itself has its way",
    )


def print_logs(arguments: Namespace) -> None:
    """Print what is logged, unless the app's module has set up logging: call it once that is imported."""
    logging.basicConfig(level=arguments.log_level.upper(), format=_FORMAT)
