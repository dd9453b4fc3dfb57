"""What a saga tells of itself: values that travel and are kept, and know nothing of how it runs."""

from __future__ import annotations

import enum
from datetime import datetime

from pydantic import BaseModel, Field

from restate_patterns.errors import Failure, TerminalError
from restate_patterns.toolkit import failure_name, from_failure, to_failure


class SagaState(enum.StrEnum):
    """How a saga stands."""

    RUNNING = "running"
    """Going forward."""
    UNDOING = "undoing"
    """A terminal error came; what was done is being undone."""
    STUCK = "stuck"
    """Something gave up and waits for a person."""
    COMMITTED = "committed"
    """It reached its end."""
    UNDONE = "undone"
    """Everything was undone."""
    FAILED = "failed"
    """It ended with an undo that was skipped, or with an error after its pivot."""


class SagaStepKind(enum.StrEnum):
    """What a step of a saga is."""

    ACTION = "action"
    PIVOT = "pivot"
    RETRIABLE = "retriable"
    """An action after the pivot: tried until it succeeds."""
    UNDO = "undo"


class SagaStepState(enum.StrEnum):
    """How a step of a saga stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It ended with a terminal error; of an action, the reason why the saga is undone."""
    UNKNOWN = "unknown"
    """Its wait was cancelled, and its outcome is not known."""
    STUCK = "stuck"
    SKIPPED = "skipped"
    """A person let it be."""
    SUPPLIED = "supplied"
    """A person did it by hand and gave its result."""


class ErrorRecord(BaseModel):
    """A terminal error, as it can be kept and read."""

    name: str
    """The wire name of its class."""
    code: int
    message: str
    metadata: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, error: TerminalError) -> ErrorRecord:
        """Record an error."""
        failure = to_failure(error)
        return cls(
            name=failure_name(failure), code=failure.code, message=failure.message, metadata=dict(failure.metadata)
        )

    def error(self) -> TerminalError:
        """Return the error, as the class that was raised where that is imported."""
        return from_failure(Failure(self.code, self.message, self.metadata))


class SagaStep(BaseModel):
    """One thing that a saga did, or undid."""

    number: int
    """From 1, in the order in which they began."""
    kind: SagaStepKind
    name: str
    participant: str | None = None
    """The service that was called; None for a step of the saga's own handler."""
    state: SagaStepState = SagaStepState.RUNNING
    failed_count: int = 0
    """How many tries ended with a terminal error; tries inside a `run` step are that step's own."""
    last_error: ErrorRecord | None = None
    decisions: list[str] = Field(default_factory=list[str])
    """What persons decided, in words, oldest first."""


class SagaRecord(BaseModel):
    """A saga: how it stands, what it did, and what it still owes."""

    id: str
    """The id of the invocation; the second saga of one invocation adds `.2`, and so on."""
    name: str
    state: SagaState = SagaState.RUNNING
    steps: list[SagaStep] = Field(default_factory=list[SagaStep])
    owed: list[str] = Field(default_factory=list[str])
    """The names of the undo actions that would run now, in their order."""
    error: ErrorRecord | None = None
    """Why it was undone, or failed."""
    started_at: datetime | None = None
    """When its log first heard of it."""
    updated_at: datetime | None = None


class UndoError(BaseModel):
    """An undo action that did not succeed, and what became of it."""

    step: str
    error: ErrorRecord
    """The last one it gave."""
    decision: str
    """What a person decided, in words."""
