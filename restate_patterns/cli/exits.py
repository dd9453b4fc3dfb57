"""How the command ends: its exit codes, and errors that are sentences."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit codes; a script may rely on them."""

    DONE = 0
    """It was done."""
    FAILED = 1
    """The called handler ended with a terminal error."""
    USAGE = 2
    """The command line, or the app it names, is wrong."""
    NO_SERVER = 3
    """No server answers, or what answers is none of ours."""
    NOT_FOUND = 4
    """There is no such invocation, service, handler, key or deployment."""
    REFUSED = 5
    """The server refuses: the invocation has completed, the input is bad, the disk is full. Or a file cannot move."""
    CANNOT_START = 6
    """A server cannot start or died: a port is taken, the file can't be used, it is not installed."""
    OUTPUT_LOST = 7
    """It was done, and what it has to say cannot be written."""
    NOT_ENDED = 8
    """The call goes on: its `--timeout` ran out, or it is paused until a person has seen to it."""


class CommandError(Exception):
    """Ends the command with a sentence.

    Args:
        code: The exit code.
        message: The sentence.
        output: What a program said that is the reason, in lines.
    """

    def __init__(self, code: Exit, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.output = output
