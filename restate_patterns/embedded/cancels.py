"""Ending invocations from outside of their handlers: cancels, which they answer with their undos, and kills."""

from __future__ import annotations

from typing import Final

from restate_patterns.embedded.endings import Endings
from restate_patterns.embedded.journals import Journals
from restate_patterns.embedded.pauses import Pauses
from restate_patterns.embedded.records import CANCEL_ROW, Record, Status
from restate_patterns.embedded.records_table import RecordsTable
from restate_patterns.embedded.run_queue import RunQueue
from restate_patterns.embedded.steps import Steps
from restate_patterns.engine.errors import CancelRefused, InvocationCompleted
from restate_patterns.engine.interface import CancelOutcome
from restate_patterns.errors import Cancelled, Killed
from restate_patterns.seam import OperationHandle
from restate_patterns.values.failures import to_failure

NOT_STARTED: Final = (Status.SCHEDULED, Status.QUEUED)


class Cancels:
    """Cancels and kills invocations, with the calls they wait for. Each method changes one batch."""

    def __init__(
        self, records: RecordsTable, journals: Journals, queue: RunQueue, steps: Steps, pauses: Pauses, endings: Endings
    ) -> None:
        self._records = records
        self._journals = journals
        self._queue = queue
        self._steps = steps
        self._pauses = pauses
        self._endings = endings

    def cancel(self, record: Record) -> CancelOutcome:
        """Ask an invocation to cancel; see `EngineInterface.cancel`."""
        if record.status is Status.COMPLETED:
            raise InvocationCompleted(record.id)
        if record.status is Status.PAUSED and record.mismatch:
            raise CancelRefused(record.id, "its journal does not match its code, so it cannot reach its undo")
        if record.status in NOT_STARTED:
            self._endings.remove(record, to_failure(Cancelled()))
            return CancelOutcome.REMOVED
        if not self._records.load_rows(record):
            # Accepted and not begun: it starts, and meets its cancel at its first wait.
            self._journals.begin(record)
        self._journals.append(record, CANCEL_ROW)
        self._pauses.end_back_off(record)
        self._queue.wake(record)
        return CancelOutcome.RUNNING

    def cancel_child(self, num: int) -> None:
        """Ask an invocation to cancel if it can be asked; for cancels that come from handlers."""
        record = self._records.living(num)
        if record is None or record.status is Status.COMPLETED:
            return
        if not (record.status is Status.PAUSED and record.mismatch):
            self.cancel(record)

    def cancel_callee(self, num: int, caller: Record, handle: OperationHandle) -> None:
        """Cancel the invocation that a call made; one that the call only joined is somebody else's."""
        callee = self._records.peek(num)
        if callee is not None and (callee.caller, callee.caller_handle) == (caller.num, handle):
            self.cancel_child(num)

    def abandon(self, record: Record) -> None:
        """Stop the steps of an invocation that ends as cancelled, and cancel the calls it waits for."""
        self._steps.drop(record.num)
        for handle, num in record.calls.items():
            if handle not in record.done:
                self.cancel_callee(num, record, handle)

    def kill(self, record: Record) -> CancelOutcome:
        """End an invocation and its child calls; sends survive."""
        if record.status is Status.COMPLETED:
            raise InvocationCompleted(record.id)
        if record.status in NOT_STARTED:
            self._endings.remove(record, to_failure(Killed()))
            return CancelOutcome.REMOVED
        self.kill_all([record])
        return CancelOutcome.RUNNING

    def kill_all(self, victims: list[Record]) -> None:
        """Kill invocations and all that they call; a child is in the list once for each call that joined it."""
        while victims:
            record = victims.pop()
            if record.status is Status.COMPLETED:
                continue
            if record.status in NOT_STARTED:
                self._endings.remove(record, to_failure(Killed()))
                continue
            victims += reversed(self.stop(record))
            self._endings.complete(record, None, to_failure(Killed()))

    def stop(self, record: Record) -> list[Record]:
        """Stop everything an invocation does; gives its outstanding child calls."""
        self._records.load_rows(record)
        children = list[Record]()
        for handle, num in record.calls.items():
            child = None if handle in record.done else self._records.living(num)
            if child is not None and child.status is not Status.COMPLETED and child.caller == record.num:
                children.append(child)
        self._queue.drop(record)
        self._steps.drop(record.num)
        return children
