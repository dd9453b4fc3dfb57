"""What an attempt is told, and what it asks its driver for: the words between `operations` and `drive`."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from restate_patterns.seam import Completion, OperationHandle, StepAction


class CancelDelivered:
    """The invocation was cancelled, in its place among the completions."""


CANCEL: Final = CancelDelivered()

Event: TypeAlias = Completion | CancelDelivered


class StepToRun(NamedTuple):
    """A step that the journal has no result for."""

    handle: OperationHandle
    name: str
    fingerprint: str
    action: StepAction
