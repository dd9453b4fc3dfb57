"""What people and other invocations do to an invocation: cancel, kill, pause, resume, restart, purge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from restate_patterns.embedded.records import CANCEL_ROW, Record, Status
from restate_patterns.embedded.timers import RETRY_TIMER
from restate_patterns.engine_errors import (
    CancelRefused,
    InvocationCompleted,
    InvocationNotCompleted,
    InvocationNotPaused,
    WorkflowAlreadyInvoked,
)
from restate_patterns.engine_port import CancelOutcome
from restate_patterns.errors import Cancelled, Killed
from restate_patterns.failures import to_failure
from restate_patterns.seam import RUN_HANDLER, Handle, HandlerKind, Request

if TYPE_CHECKING:
    from restate_patterns.embedded.core import Core

_HANDLES_UNREAD: Final = 1 << 20
"""More handles than what can't be read of a journal has given."""

_NOT_STARTED = (Status.SCHEDULED, Status.QUEUED)


class Control:
    """The verbs. Each is synchronous and changes one batch; the caller waits for it to be durable."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def cancel(self, record: Record) -> CancelOutcome:
        """Ask an invocation to cancel; see `EnginePort.cancel`."""
        if record.status is Status.COMPLETED:
            raise InvocationCompleted(record.id)
        if record.status is Status.PAUSED and record.mismatch:
            raise CancelRefused(record.id, "its journal does not match its code, so it cannot reach its undo")
        if record.status in _NOT_STARTED:
            self._core.endings.remove(record, to_failure(Cancelled()))
            return CancelOutcome.REMOVED
        if not self._core.records.load_rows(record):
            # Accepted and not begun: it starts, and meets its cancel at its first wait.
            self._core.begin_journal(record)
        self._core.append_row(record, CANCEL_ROW)
        if record.status is Status.BACKING_OFF:
            self._core.timers.drop(record.num, RETRY_TIMER)
        self._core.wake(record)
        return CancelOutcome.RUNNING

    def cancel_child(self, num: int) -> None:
        """Ask an invocation to cancel if it can be asked; for cancels that come from handlers."""
        record = self._core.records.living(num)
        if record is None or record.status is Status.COMPLETED:
            return
        if not (record.status is Status.PAUSED and record.mismatch):
            self.cancel(record)

    def cancel_callee(self, num: int, caller: Record, handle: Handle) -> None:
        """Cancel the invocation that a call made; one that the call only joined is somebody else's."""
        callee = self._core.records.peek(num)
        if callee is not None and (callee.caller, callee.caller_handle) == (caller.num, handle):
            self.cancel_child(num)

    def abandon(self, record: Record) -> None:
        """Stop the steps of an invocation that ends as cancelled, and cancel the calls it waits for."""
        self._core.steps.drop(record.num)
        for handle, num in record.calls.items():
            if handle not in record.done:
                self.cancel_callee(num, record, handle)

    def kill(self, record: Record) -> CancelOutcome:
        """End an invocation and its child calls; sends survive."""
        if record.status is Status.COMPLETED:
            raise InvocationCompleted(record.id)
        if record.status in _NOT_STARTED:
            self._core.endings.remove(record, to_failure(Killed()))
            return CancelOutcome.REMOVED
        self._kill_all([record])
        return CancelOutcome.RUNNING

    def _kill_all(self, victims: list[Record]) -> None:
        """Kill invocations and all that they call; a child is in the list once for each call that joined it."""
        while victims:
            record = victims.pop()
            if record.status is Status.COMPLETED:
                continue
            if record.status in _NOT_STARTED:
                self._core.endings.remove(record, to_failure(Killed()))
                continue
            victims += reversed(self._end_run(record))
            self._core.endings.complete(record, None, to_failure(Killed()))

    def _end_run(self, record: Record) -> list[Record]:
        """Stop everything an invocation does; gives its outstanding child calls."""
        self._core.records.load_rows(record)
        children = list[Record]()
        for handle, num in record.calls.items():
            child = None if handle in record.done else self._core.records.living(num)
            if child is not None and child.status is not Status.COMPLETED and child.caller == record.num:
                children.append(child)
        self._core.drop_attempt(record)
        self._core.steps.drop(record.num)
        return children

    def pause(self, record: Record) -> None:
        """Make no more attempts until it is resumed."""
        if record.status is Status.COMPLETED:
            raise InvocationCompleted(record.id)
        if record.status in (*_NOT_STARTED, Status.PAUSED):
            raise InvocationNotPaused(record.id, record.status.name.lower(), "pause")
        self._core.drop_attempt(record)
        if record.status is Status.BACKING_OFF:
            self._core.timers.drop(record.num, RETRY_TIMER)
            record.retry_at_ms = None
        self._core.endings.pause(record, record.failure or "paused by request")

    def resume(self, record: Record) -> None:
        """Make the next attempt now."""
        if record.status is Status.COMPLETED:
            raise InvocationCompleted(record.id)
        if record.status not in (Status.PAUSED, Status.BACKING_OFF):
            raise InvocationNotPaused(record.id, record.status.name.lower(), "resume")
        if record.status is Status.BACKING_OFF:
            self._core.timers.drop(record.num, RETRY_TIMER)
        if record.broken is not None:  # somebody may have mended the file, or the version that reads it
            record = self._core.records.read_again(record)
            if record.broken is not None:
                self._core.endings.break_off(record, record.broken)
                return
        record.failed_count = 0
        record.mismatch = False
        self._core.records.bind(record)
        self._go_on(record)

    def _go_on(self, record: Record) -> None:
        """Let an invocation advance, or wait for its turn: one that could not be read may not have begun."""
        if record.queue_sequence is None or record.key is None:
            self._core.admission.enqueue(record)
        elif self._core.keys.entry(record.service, record.key).holder == record.num:
            self._core.wake(record)
        else:
            record.status = Status.QUEUED
            self._core.log.append(record)

    def restart(self, record: Record) -> Record:
        """Start again from the beginning: a completed invocation as a new one, a paused one in its place.

        A paused one keeps its id, its key and whoever waits for it; its journal is forgotten and its
        outstanding child calls are killed.
        """
        if record.status is Status.COMPLETED:
            return self._restart_as_new(record)
        if record.status is not Status.PAUSED:
            raise InvocationNotCompleted(record.id)
        core = self._core
        rows = core.records.load_rows(record)
        children = self._end_run(record)
        handles = sum(len(row.commands or ()) for row in rows)
        if record.broken is not None:
            handles += _HANDLES_UNREAD
            record.broken = core.records.unreadable(record.num)
        for handle in list(record.timers):
            core.timers.drop(record.num, handle)
        batch = core.log.open
        for row in rows:
            batch.new_rows.pop((record.num, row.index), None)
            batch.rows.pop((record.num, row.index), None)
        batch.cleared_journals.add(record.num)
        record.first_handle += handles
        record.rows = []
        record.done, record.calls, record.timers = set(), {}, set()
        record.failed_count = record.failed_at_index = 0
        record.failure, record.mismatch = None, False
        core.records.bind(record)
        core.wake(record)
        self._kill_all(children)
        return record

    def _restart_as_new(self, record: Record) -> Record:
        if record.info is not None and record.info.kind is HandlerKind.WORKFLOW:
            identity = (record.service, record.key or "", RUN_HANDLER, "")
            latest = self._core.records.peek(self._core.admission.idempotent(identity) or 0)
            if latest is not None and latest.num != record.num:
                raise WorkflowAlreadyInvoked(latest.id)
            return self._core.admission.create(Request(record.target, record.body, record.headers), identity)
        return self._core.admission.create(Request(record.target, record.body, record.headers), None)

    def purge(self, record: Record) -> None:
        """Forget a completed invocation."""
        if record.status is not Status.COMPLETED:
            raise InvocationNotCompleted(record.id)
        core = self._core
        latest_run = core.endings.free_identity(record)
        core.log.open.removed.add(record.num)
        core.log.open.records.pop(record.num, None)
        core.records.forget(record.num)
        is_run = record.info is not None and record.info.kind is HandlerKind.WORKFLOW
        if is_run and latest_run and record.key is not None:
            entry = core.keys.entry(record.service, record.key)
            core.keys.clear_all_state(entry)
            for name in list(entry.promises):
                core.keys.clear_promise(entry, name)
        core.log.append()
