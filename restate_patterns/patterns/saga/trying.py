"""What listings say of a saga that waits to try something again: the name of its timer, written and read."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

NEXT_TRY: Final = "next try of "
"""How the names of steps begin that only note what a policy decided."""

_WORDS: Final = {True: "the undo", False: "the action"}
_TIMER: Final = re.compile(r"the timer before try (\d+) of (the (?:undo|action) .*) until ([^\n]*? UTC)", re.DOTALL)


class NextTry(NamedTuple):
    """A step of a saga that was refused, and will be tried again."""

    number: int
    """Which try it will be; there were as many before, less one."""
    what: str
    """As in `the undo cancel`."""
    until: str
    """When it will be tried, in words."""


def timer_name(number: int, name: str, *, undoes: bool) -> str:
    """Return the name of the timer before a try."""
    return f"before try {number} of {_WORDS[undoes]} {name}"


def next_try(wait: str) -> NextTry | None:
    """Read what an invocation waits for; None when it is no try of a saga."""
    found = _TIMER.fullmatch(wait)
    return None if found is None else NextTry(int(found[1]), found[2], found[3])
