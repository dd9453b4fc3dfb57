"""What time may do to a machine in its present stay, and what time could not do yet.

Values that are stored with the machine; they know nothing of how it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from restate_patterns.retries import RetryPolicy

PATIENT: Final = RetryPolicy(initial=timedelta(seconds=1), maximum=timedelta(hours=1))
"""How what time could not do is tried again unless it says otherwise: with no end, as long as it is meant."""


@dataclass(frozen=True, slots=True)
class LateTimer:
    """A transition of time that was due and was refused, by a guard or by what it runs.

    Args:
        event: The wire name of the event.
        error: What the last try ended with.
        failed_count: How often it was tried in vain.
        since: When it was refused first, in durable time (UTC).
        next_try: When it is tried again; None when it waits for a person.
        invocation_id: The delayed send that tries it again, or tried it last.
    """

    event: str
    error: str
    failed_count: int
    since: datetime
    next_try: datetime | None
    invocation_id: str


@dataclass(frozen=True, slots=True)
class Timers:
    """What time may do in the stay that began with the invocation `visit`: delayed sends, by id.

    `late` are those among them that were due and were refused.
    """

    visit: str = ""
    ids: tuple[str, ...] = ()
    late: tuple[LateTimer, ...] = ()

    def late_one(self, event: str) -> LateTimer | None:
        """Return the late timer of an event, or None."""
        return next((late for late in self.late if late.event == event), None)

    def with_late(self, late: LateTimer) -> Timers:
        """Return them with a late one, in place of the timer or try that it comes from."""
        over = self.late_one(late.event)
        ids = [id_ for id_ in self.ids if over is None or id_ != over.invocation_id]
        others = tuple(each for each in self.late if each is not over)
        return replace(self, ids=(*ids, late.invocation_id), late=(*others, late))

    def pending(self) -> Iterator[str]:
        """Return the ids of the sends that are not known to be over."""
        over = {late.invocation_id for late in self.late if late.next_try is None}
        return (id_ for id_ in self.ids if id_ not in over)
