"""Which lines of its log a handler has said: the attempts of one invocation say each line once.

The journal tells what was done, and so how far an earlier attempt has surely come; how far it came after that, up to
where it failed, is remembered here, for this process. Knows no logger.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from restate_patterns.limits import SAID_INVOCATIONS_MAX, SAID_LINES_MAX


class _Reached:
    """How far the attempts of an invocation have come, and what was said there."""

    __slots__ = ("lines", "place")

    def __init__(self, place: int) -> None:
        self.place = place
        self.lines: list[Hashable] = []


class SaidLines:
    """What was said of the invocations of one deployment; forgets who has been silent longest."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Reached] = OrderedDict()
        """By invocation; most say nothing, and have nothing here."""

    def reached(self, invocation_id: str) -> _Reached | None:
        """Give how far an invocation has come; None when nothing is known of it."""
        return self._known.get(invocation_id)

    def reach(self, invocation_id: str, place: int) -> _Reached:
        """Note that an invocation has come farther than ever."""
        found = self._known[invocation_id] = _Reached(place)
        self._known.move_to_end(invocation_id)
        if len(self._known) > SAID_INVOCATIONS_MAX:
            self._known.popitem(last=False)
        return found

    def forget(self, invocation_id: str) -> None:
        """Let go of an invocation that has ended."""
        self._known.pop(invocation_id, None)


class Saying:
    """The lines of one attempt.

    Args:
        said: What earlier attempts have said.
        invocation_id: Whose attempt it is.
    """

    __slots__ = ("_heard_count", "_id", "_said")

    def __init__(self, said: SaidLines, invocation_id: str) -> None:
        self._said = said
        self._id = invocation_id
        self._heard_count = 0
        """How many of the lines where earlier attempts ended this one has come by."""

    def is_new(self, line: Hashable, place: int, *, replaying: bool) -> bool:
        """Tell whether a line is to be shown, and note that it was.

        Args:
            line: Tells lines at one place apart.
            place: Where the handler is: a number that never falls, the same on each attempt.
            replaying: Whether the journal has something that came after it.
        """
        reached = self._said.reached(self._id)
        if reached is not None and place <= reached.place:
            if place < reached.place:
                return False
            if line in reached.lines[self._heard_count :]:
                self._heard_count = reached.lines.index(line, self._heard_count) + 1
                return False
        if replaying:
            return False
        if reached is None or place > reached.place:
            reached = self._said.reach(self._id, place)
            self._heard_count = 0
        if len(reached.lines) < SAID_LINES_MAX:
            reached.lines.insert(self._heard_count, line)
            self._heard_count += 1
        return True
