"""What a forked child of this process gives up: what is this process's alone and would outlive it in the child.

A program that is started closes inherited descriptors by itself; a fork that goes on as Python does not. It knows
duties, not what they close.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_duties: Final[dict[int, Callable[[], None]]] = {}
_numbers: Final = itertools.count()


def in_forked_child(duty: Callable[[], None]) -> Callable[[], None]:
    """Have `duty` called first thing in each child that this process forks.

    Args:
        duty: Synchronous; it must not wait for anything.

    Returns:
        What takes that back.
    """
    number = next(_numbers)
    _duties[number] = duty

    def take_back() -> None:
        _duties.pop(number, None)

    return take_back


def replace_descriptors(of: int) -> Callable[[], None]:
    """Give a duty for `in_forked_child`: every descriptor of what `of` names now leads to nothing there.

    The numbers stay taken, so that who believes to own one closes nothing else.
    """
    found = os.fstat(of)

    def duty() -> None:
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for path in Path("/dev/fd").iterdir():
            with contextlib.suppress(OSError):
                other = os.fstat(int(path.name))
                if (other.st_dev, other.st_ino) == (found.st_dev, found.st_ino):
                    os.dup2(nothing, int(path.name), inheritable=False)
        os.close(nothing)

    return duty


def _give_up() -> None:
    duties = list(_duties.values())
    _duties.clear()
    for duty in duties:
        duty()


os.register_at_fork(after_in_child=_give_up)
