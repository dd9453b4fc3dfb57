"""Whom the outstanding calls of an attempt have called, so that a callee can be cancelled."""

from __future__ import annotations

from collections.abc import Callable

from restate_patterns.restate.machine import Machine, Notice
from restate_patterns.restate.waiting import Finish
from restate_patterns.seam import OperationHandle


class Callees:
    """The callees of outstanding calls: by the notice of the invocation id, or by the id where a call was sent.

    Args:
        machine: Cancels them.
        hear: Has an answer to a notice heard before the invocation may end.
    """

    def __init__(self, machine: Machine, hear: Callable[[Notice, Finish], None]) -> None:
        self._machine = machine
        self._hear = hear
        self._known: dict[OperationHandle, Notice | str] = {}
        self._to_stop: set[OperationHandle] = set()
        """Calls that were sent and are to stop once the ids of their callees are known."""

    def called(self, handle: OperationHandle, invocation_id: Notice) -> None:
        """Note a call that the machine has taken."""
        self._known[handle] = invocation_id

    def sent(self, handle: OperationHandle, invocation_id: str) -> None:
        """Note a call that was made as a send; it stops now if it was to."""
        self._known[handle] = invocation_id
        if handle in self._to_stop:
            self._machine.cancel(invocation_id)

    def ended(self, handle: OperationHandle) -> None:
        """Forget a call that has completed."""
        self._known.pop(handle, None)

    def stop(self, handle: OperationHandle) -> None:
        """Cancel the callee of a call, once."""
        match self._known.pop(handle, None):
            case None:
                self._to_stop.add(handle)
            case str(id_):
                self._machine.cancel(id_)
            case notice:
                self._hear(notice, lambda answer: self._machine.cancel((answer.value or b"").decode("ascii")))
