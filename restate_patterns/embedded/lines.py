"""The lines before keys: who holds a key exclusively, who waits for it, and who is let in next."""

from __future__ import annotations

from collections.abc import Callable

from restate_patterns.embedded.keys import KeyEntry, Keys
from restate_patterns.embedded.log import Log
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.run_queue import RunQueue
from restate_patterns.seam import HandlerKind


class Lines:
    """Lets one invocation at a time hold a key, first in, first out."""

    def __init__(self, log: Log, records: RecordsTable, keys: Keys, queue: RunQueue) -> None:
        self._log = log
        self._records = records
        self._keys = keys
        self._queue = queue

    def enter(self, record: Record) -> None:
        """Put an invocation in its key's line, where it keeps its place, or let it start when it needs none."""
        if record.info is None or record.info.kind is not HandlerKind.EXCLUSIVE or record.key is None:
            self._queue.wake(record)
            return
        entry = self._keys.entry(record.service, record.key)
        if record.queue_sequence is None:
            record.queue_sequence = self._log.append(record)
            entry.line.append(record.num)
            self._keys.touch(entry)
        if entry.holder == record.num:
            self._queue.wake(record)
        else:
            record.queue()
            self._log.append(record)

    def leave(self, record: Record) -> None:
        """Take an invocation out of its key's line, and let the next one in."""
        if record.queue_sequence is None or record.key is None:
            return
        entry = self._keys.entry(record.service, record.key)
        if record.broken is not None and record.num not in entry.line:
            return  # whose it is can't be read
        held = entry.holder == record.num
        entry.line.remove(record.num)
        record.queue_sequence = None
        self._keys.touch(entry)
        if held:
            self._let_in(entry)

    def take_turn(self, entry: KeyEntry, act: Callable[[], None]) -> None:
        """Act when no invocation holds a key, before the next one does: now, or when its holder leaves."""
        if entry.holder is None:
            act()
        else:
            entry.turn_waiters.append(act)

    def _let_in(self, entry: KeyEntry) -> None:
        while entry.turn_waiters:
            entry.turn_waiters.popleft()()
        if entry.holder is not None:
            following = self._records.get(entry.holder)
            if following is not None and following.status is Status.QUEUED:
                self._queue.wake(following)
