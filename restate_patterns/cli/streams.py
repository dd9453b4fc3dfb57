"""The standard streams of the command as they come: closed, a pipe that nobody reads any more, a disk that is full."""

from __future__ import annotations

import os
import sys
from typing import NoReturn, TextIO

from restate_patterns.cli.exits import CommandError, Exit

_STREAMS = 3


def open_closed() -> None:
    """Put the null device in the place of each standard stream that is closed.

    The next file or socket would else get its number, and what is printed would go into that.
    """
    for number in range(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, kept to the end
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the same
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the same
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if callable(reconfigure):
        # A locale that lacks a character must not end the command.
        reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write to standard output.

    Raises:
        CommandError: It cannot be written.
        BrokenPipeError: Nobody reads it any more.
    """
    try:
        sys.stdout.write(text)
    except OSError as error:
        _lost(error)


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output; raises what `write` raises."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    except OSError as error:
        _lost(error)


def flush() -> None:
    """Write out what standard output still holds; raises what `write` raises."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _lost(error)


def tell(text: str) -> None:
    """Write to standard error, as far as it takes it: what cannot be told there cannot be told."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def drop_output() -> None:
    """Send what standard output still holds nowhere; Python would complain when it flushes at exit."""
    _silence(sys.stdout)


def _lost(error: OSError) -> NoReturn:
    if isinstance(error, BrokenPipeError):
        raise error
    drop_output()
    reason = error.strerror or str(error)
    raise CommandError(Exit.OUTPUT_LOST, f"what it has to say cannot be written: {reason}") from None


def _silence(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
