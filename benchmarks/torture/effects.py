"""Owns the effects file: the world outside the server, to which every step leaves a line that a crash cannot take back.

One line is one `write` to a file opened for appending, fsynced before the step returns. Lines of the server
(effects) and of the driver (answers seen) share the file, so their order is the order in which things
happened. A process that is killed inside its `write` may leave the beginning of a line; its step has not returned, and
what is written next begins on a line of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

FILE_VARIABLE = "TORTURE_EFFECTS"
BOOT_VARIABLE = "TORTURE_BOOT"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened.

    Args:
        kind: `"effect"` of a step; `"durable"`: its result was seen in the file of a dead server;
            `"answer"`: the driver saw the operation's result.
        operation: Which operation of the plan it belongs to.
        step: The step of the operation; for an answer, empty.
        invocation: The id of the invocation that ran the step.
        boot: The how-manieth server process wrote it.
        data: What else there is to tell; the id of an awakeable.
    """

    kind: Literal["effect", "durable", "answer"]
    operation: str
    step: str = ""
    invocation: str = ""
    boot: int = -1
    data: str = ""


def append(file: Path, line: Line, *, durable: bool = True) -> None:
    """Append a line and wait until it is on disk, unless the writer is not one that gets killed."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, b"\n" + json.dumps(asdict(line)).encode() + b"\n")
        if durable:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def leave(invocation: str, operation: str, step: str, data: str = "") -> str:
    """Leave the effect of a step, as the server does; gives what the step returns."""
    boot = int(os.environ[BOOT_VARIABLE])
    append(Path(os.environ[FILE_VARIABLE]), Line("effect", operation, step, invocation, boot, data))
    return f"{operation}/{step}"


class Tail:
    """Reads the file as it grows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0

    def read(self) -> Iterator[Line]:
        """Give the whole lines that came since the last read."""
        if not self._file.exists():
            return
        with self._file.open("rb") as source:
            source.seek(self._offset)
            for line in source:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                if line.endswith(b"}\n"):
                    yield Line(**json.loads(line))
