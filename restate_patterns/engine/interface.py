"""What everything outside handlers (HTTP, the in-process client, tests) needs from an engine.

It is on bytes and ids. Every coroutine returns or raises only when what it says is durable. It sits
below both sides: an engine names `EngineInterface` as its base, the HTTP layer and the clients consume it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from restate_patterns.errors import Failure
from restate_patterns.seam import Accepted, InvocationRef, Request, ServiceInfo, Target, ValueOrFailure


class CompletedResult(NamedTuple):
    """How an invocation ended. `failure` wins over `value`; no output is `b""`."""

    invocation_id: str
    value: bytes | None = None
    failure: Failure | None = None
    expires_ms: int | None = None
    """For a result that was read back instead of waited for: until when it stays readable (Unix ms)."""
    target: Target | None = None
    """Whose result it is; where the caller named it by id only, that is how its type is known."""


class InvocationStatus(enum.Enum):
    """Where an invocation is in its life; the value is the word that people read."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    READY = "ready"
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    SUSPENDED = "suspended"
    PAUSED = "paused"
    COMPLETED = "completed"


class CancelOutcome(enum.Enum):
    """What a cancel or kill came to."""

    RUNNING = "running"
    """The invocation was told; it ends when its handler has."""
    REMOVED = "removed"
    """The invocation had not started: it is gone and leaves nothing behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationView:
    """What people see of an invocation. Times are Unix milliseconds."""

    id: str
    target: Target
    status: InvocationStatus
    created_ms: int
    modified_ms: int
    scheduled_ms: int | None = None
    """When a delayed send becomes due."""
    completed_ms: int | None = None
    attempt_count: int = 0
    last_failure: str | None = None
    next_retry_ms: int | None = None
    waits_for: Sequence[str] = ()
    """What it waits for, one sentence each: "sleep until ...", "call Ticket/A1/reserve (inv_...)"."""
    idempotency_key: str | None = None
    invoked_by: str | None = None
    """The id of the invocation that called or sent it; None when it came from outside."""
    failure: Failure | None = None
    """For a completed one that failed."""


class JournalEntryView(NamedTuple):
    """One journal entry, in the order of issue."""

    position: int
    kind: str
    """`call`, `send`, `run`, `sleep`, `get-state`, ..."""
    name: str
    """The step's name, the target, the name of the state: "" when the kind has none."""
    completed: bool
    detail: str = ""
    """The value or failure in short, or why it is still open."""


@dataclass(frozen=True, slots=True)
class InvocationDetail:
    """One invocation with its journal."""

    view: InvocationView
    journal: Sequence[JournalEntryView] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationFilter:
    """Which invocations to list; None takes all. `statuses` empty takes all."""

    service: str | None = None
    handler: str | None = None
    key: str | None = None
    statuses: frozenset[InvocationStatus] = frozenset()
    failed: bool = False
    """Only those that have completed with a failure."""
    without: frozenset[str] = frozenset()
    """Services that are left out."""
    id_start: str = ""
    """How the id begins; an embedded server looks at its newest invocations only, 20,000 of them."""
    id_end: str = ""
    """How the id ends; the same."""


class EngineInterface(Protocol):
    """A running engine as its outside sees it.

    Unless it says otherwise a method raises `errors.InvocationNotFound` for an id that names nothing
    (unknown epochs included) and `engine.errors.MalformedId` for what is no id.
    """

    @property
    def services(self) -> Mapping[str, ServiceInfo]:
        """The hosted services by wire name."""
        ...

    @property
    def accepting(self) -> bool:
        """False while no new work is taken (the disk is full)."""
        ...

    def why_not_accepting(self) -> str:
        """Give the sentence for people while `accepting` is False."""
        ...

    async def submit(self, request: Request, delay_ms: int | None) -> Accepted:
        """Accept an invocation (a send). `delay_ms` of None is no delay.

        A second one with the same idempotency key, or a second run of a workflow key, gives the
        first with `previously=True`.

        Raises:
            IdempotencyKeyReused: The first one came with another argument.
            NotAccepting: No new work is taken.
        """
        ...

    async def call(self, request: Request) -> CompletedResult:
        """Accept an invocation and wait for its end, with one wait for the disk at the end.

        Cancelling this coroutine abandons the wait only. The same idempotency key joins the first.

        Raises:
            IdempotencyKeyReused: The first one came with another argument.
            WorkflowAlreadyInvoked: The run of this workflow key exists; the error has its id.
            InvocationPaused: It has paused; a person must see to it.
            NotAccepting: No new work is taken.
        """
        ...

    async def result(self, ref: InvocationRef) -> CompletedResult:
        """Wait for the end of an invocation; cancelling abandons the wait only.

        Raises:
            InvocationPaused: It has paused; a person must see to it.
        """
        ...

    async def output(self, ref: InvocationRef) -> CompletedResult | None:
        """Give how an invocation ended, or None while it has not."""
        ...

    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        """Resolve or reject an awakeable; does nothing when it was completed before."""
        ...

    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        """Resolve or reject a signal of an invocation; does nothing when it has its answer, or is over."""
        ...

    async def cancel(self, invocation_id: str) -> CancelOutcome:
        """Ask an invocation to cancel.

        Raises:
            InvocationCompleted: It has ended.
            CancelRefused: Its journal does not match the code.
        """
        ...

    async def kill(self, invocation_id: str) -> CancelOutcome:
        """End an invocation and its child calls without running anything of it.

        Raises:
            InvocationCompleted: It has ended.
        """
        ...

    async def pause(self, invocation_id: str) -> None:
        """Stop making attempts until it is resumed.

        Raises:
            InvocationCompleted: It has ended.
            InvocationNotPaused: It is not in a state that can be paused.
        """
        ...

    async def resume(self, invocation_id: str) -> None:
        """Make the next attempt now: of a paused invocation, or of one that backs off.

        Raises:
            InvocationCompleted: It has ended.
            InvocationNotPaused: There is nothing to resume.
        """
        ...

    async def restart_as_new(self, invocation_id: str) -> str:
        """Start a completed invocation again from its beginning as a new one; gives the new id.

        Raises:
            InvocationNotCompleted: It has not ended.
        """
        ...

    async def purge(self, invocation_id: str) -> None:
        """Forget a completed invocation before its retention is over.

        Raises:
            InvocationNotCompleted: It has not ended.
        """
        ...

    async def resolve_ref(self, ref: InvocationRef) -> str:
        """Give the id of the invocation that a reference names."""
        ...

    async def list_invocations(
        self, chosen: InvocationFilter, *, limit: int, after: str | None = None
    ) -> Sequence[InvocationView]:
        """List invocations, newest first; `after` is the id of the last one on the page before."""
        ...

    async def describe_invocation(self, invocation_id: str) -> InvocationDetail:
        """Give one invocation with its journal."""
        ...

    async def get_state(self, service: str, key: str) -> Mapping[str, bytes]:
        """Give all state of a key by name; empty when it has none."""
        ...

    async def set_state(self, service: str, key: str, values: Mapping[str, bytes], *, replace: bool = False) -> None:
        """Write the given names, in the key's turn; the others stay, or go with `replace`."""
        ...

    async def clear_state(self, service: str, key: str, names: Iterable[str] | None = None) -> None:
        """Remove the given names, or all for None."""
        ...
