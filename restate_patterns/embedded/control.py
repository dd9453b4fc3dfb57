"""What people do to an invocation besides ending it: pause, resume, restart, purge."""

from __future__ import annotations

from typing import Final

from restate_patterns.embedded.admission import Admission
from restate_patterns.embedded.cancels import NOT_STARTED, Cancels
from restate_patterns.embedded.identities import Identities
from restate_patterns.embedded.journals import Journals
from restate_patterns.embedded.keys import Keys
from restate_patterns.embedded.lines import Lines
from restate_patterns.embedded.pauses import Pauses
from restate_patterns.embedded.records import Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.run_queue import RunQueue
from restate_patterns.embedded.timers import Timers
from restate_patterns.engine.errors import (
    InvocationCompleted,
    InvocationNotCompleted,
    InvocationNotPaused,
    WorkflowAlreadyInvoked,
)
from restate_patterns.seam import HandlerKind, Request

_HANDLES_UNREAD: Final = 1 << 20
"""More handles than what can't be read of a journal has given."""


class Control:
    """The verbs. Each is synchronous and changes one batch; the caller waits for it to be durable."""

    def __init__(
        self,
        records: RecordsTable,
        keys: Keys,
        timers: Timers,
        queue: RunQueue,
        journals: Journals,
        identities: Identities,
        lines: Lines,
        pauses: Pauses,
        admission: Admission,
        cancels: Cancels,
    ) -> None:
        self._records = records
        self._keys = keys
        self._timers = timers
        self._queue = queue
        self._journals = journals
        self._identities = identities
        self._lines = lines
        self._pauses = pauses
        self._admission = admission
        self._cancels = cancels

    def pause(self, record: Record) -> None:
        """Make no more attempts until it is resumed."""
        if record.status is Status.COMPLETED:
            raise InvocationCompleted(record.id)
        if record.status in (*NOT_STARTED, Status.PAUSED):
            raise InvocationNotPaused(record.id, record.status.name.lower(), "pause")
        self._queue.drop(record)
        self._pauses.pause(record, record.failure or "paused by request")

    def resume(self, record: Record) -> None:
        """Make the next attempt now."""
        if record.status is Status.COMPLETED:
            raise InvocationCompleted(record.id)
        if record.status not in (Status.PAUSED, Status.BACKING_OFF):
            raise InvocationNotPaused(record.id, record.status.name.lower(), "resume")
        self._pauses.end_back_off(record)
        if record.broken is not None:  # somebody may have mended the file, or the version that reads it
            record = self._records.read_again(record)
            if record.broken is not None:
                self._pauses.break_off(record, record.broken)
                return
        record.failed_count = 0
        record.mismatch = False
        self._records.bind(record)
        self._lines.enter(record)  # it may not have begun: one that could not be read was paused where it waited

    def restart(self, record: Record) -> Record:
        """Start again from the beginning: a completed invocation as a new one, a paused one in its place.

        A paused one keeps its id, its key and whoever waits for it; its journal is forgotten and its
        outstanding child calls are killed.
        """
        if record.status is Status.COMPLETED:
            return self._restart_as_new(record)
        if record.status is not Status.PAUSED:
            raise InvocationNotCompleted(record.id)
        children = self._cancels.stop(record)
        for handle in list(record.timers):
            self._timers.drop(record.num, handle)
        self._journals.clear(record)
        if record.broken is not None:
            record.first_handle += _HANDLES_UNREAD
            record.broken = self._records.unreadable(record.num)
        record.failed_count = record.failed_at_index = 0
        record.failure, record.mismatch = None, False
        self._records.bind(record)
        self._lines.enter(record)
        self._cancels.kill_all(children)
        return record

    def _restart_as_new(self, record: Record) -> Record:
        request = Request(record.target, record.body, record.headers)
        if record.info is None or record.info.kind is not HandlerKind.WORKFLOW:
            return self._admission.create(request, None)
        latest = self._records.peek(self._identities.run_of(record.service, record.key or "") or 0)
        if latest is not None and latest.num != record.num:
            raise WorkflowAlreadyInvoked(latest.id)
        return self._admission.create(request, self._admission.identity_of(request))

    def purge(self, record: Record) -> None:
        """Forget a completed invocation."""
        if record.status is not Status.COMPLETED:
            raise InvocationNotCompleted(record.id)
        latest_run = self._identities.free(record)
        self._records.remove(record.num)
        is_run = record.info is not None and record.info.kind is HandlerKind.WORKFLOW
        if is_run and latest_run and record.key is not None:
            entry = self._keys.entry(record.service, record.key)
            self._keys.clear_all_state(entry)
            for name in list(entry.promises):
                self._keys.clear_promise(entry, name)
