"""Who waits for whom: the wait graph that deadlocks are found in, read off the invocations as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from restate_patterns.embedded.deadlocks import find_cycle
from restate_patterns.embedded.keys import Keys
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.steps import Steps
from restate_patterns.seam import OperationHandle


class Deadlock(NamedTuple):
    """A cycle of waiting, and the wait whose failing breaks it."""

    handle: OperationHandle
    cycle: list[str]
    """Targets, each waiting for the next; the last is the first again."""


class WaitGraph:
    """Sees the invocations as nodes, and what they wait for as edges."""

    def __init__(self, records: RecordsTable, keys: Keys, steps: Steps) -> None:
        self._records = records
        self._keys = keys
        self._steps = steps

    def deadlock_of(self, record: Record) -> Deadlock | None:
        """Give the deadlock that an invocation has closed by going idle, or None.

        Usually one look at what it has waited for longest tells that it is alive; all else costs time in
        proportion to what is outstanding.
        """
        first = None if record.running is None else next(iter(record.running.awaited()), None)
        callee = None if first is None else record.calls.get(first)
        if callee is None or find_cycle(callee, lambda num: self._assuming_dead(record.num, callee, num)) is None:
            return None
        cycle = find_cycle(record.num, self.waits_of)
        if cycle is None or record.running is None:
            return None
        return Deadlock(list(record.running.awaited())[-1], self._names(cycle))

    def _assuming_dead(self, dead: int, callee: int, num: int) -> Sequence[int] | None:
        return (callee,) if num == dead else self.waits_of(num)

    def waits_of(self, num: int) -> Sequence[int] | None:
        """Give the invocations that one waits for; None when it is alive whatever they do."""
        record = self._records.peek(num)
        if record is None:
            return None
        if record.status is Status.QUEUED:
            holder = self._keys.of(record).holder
            return None if holder is None or holder == num else (holder,)
        if record.status is Status.SUSPENDED:
            return record.waits
        if record.status is Status.ACTIVE and not record.in_ready_queue:
            return self.idle_waits_of(record)
        return None

    def idle_waits_of(self, record: Record) -> tuple[int, ...] | None:
        """Give what an idle invocation in memory waits for, if it is nothing but other invocations."""
        if record.running is None or self._steps.running(record.num):
            return None
        waits = [record.calls.get(handle) for handle in record.running.awaited()]
        numbers = tuple(num for num in waits if num is not None)
        return numbers if numbers and len(numbers) == len(waits) else None

    def _names(self, cycle: Sequence[int]) -> list[str]:
        """Give the targets of a cycle, closed; a call in a key's line and the key's holder are one place."""
        names: list[str] = []
        for num in (*cycle, cycle[0]):
            record = self._records.peek(num)
            if record is not None and (record.status is not Status.QUEUED or len(cycle) == 1):
                names.append(str(record.target))
        return names if names[0] == names[-1] else [*names, names[0]]
