"""What the engine keeps of an invocation: its record, the rows of its journal, the commands in them.

Plain data, and what each status of an invocation goes with: nothing outside of this file sets one. It knows neither
SQLite nor asyncio, and does not decide when.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, NewType, Protocol

from typing_extensions import override

from restate_patterns.errors import Failure
from restate_patterns.seam import AttemptEnd, HandlerInfo, OperationHandle, Target

RowMark = NewType("RowMark", int)
"""What stands in the place of a completion's handle in a row that is none. The numbers are stored."""

START_ROW: Final = RowMark(-1)
"""The first row of a journal."""
CANCEL_ROW: Final = RowMark(-2)
"""The invocation was cancelled."""

CallerMark = NewType("CallerMark", int)
"""What stands in the place of the caller's handle where there is none. The numbers are stored."""

SENT: Final = CallerMark(-1)
"""The invocation was sent: nobody waits for its output."""


class Status(enum.IntEnum):
    """Where an invocation is in its life. The numbers are stored."""

    SCHEDULED = 0
    QUEUED = 1
    ACTIVE = 2
    SUSPENDED = 3
    BACKING_OFF = 4
    PAUSED = 5
    COMPLETED = 6


class CommandKind(enum.IntEnum):
    """What a handler asked for. The numbers are stored."""

    CALL = 1
    SEND = 2
    RUN = 3
    SLEEP = 4
    GET_STATE = 5
    STATE_NAMES = 6
    SET_STATE = 7
    CLEAR_STATE = 8
    CLEAR_ALL_STATE = 9
    PROMISE_VALUE = 10
    PROMISE_PEEK = 11
    PROMISE_COMPLETE = 12
    AWAKEABLE = 13
    COMPLETE_AWAKEABLE = 14
    ATTACH = 15
    OUTPUT = 16
    CANCEL_INVOCATION = 17
    SIGNAL = 18
    COMPLETE_SIGNAL = 19
    STOP_CALL = 20


_CALLED: Final = (CommandKind.CALL, CommandKind.ATTACH)


class Command(NamedTuple):
    """One operation that a handler asked for, as the journal has it.

    `value` and `failure` are the answer of an operation that was ready at once, or what replay needs
    to find the operation again: the number of a called invocation, the deadline of a timer.
    """

    kind: CommandKind
    name: str
    fingerprint: bytes
    value: bytes | None = None
    failure: Failure | None = None

    @override
    def __str__(self) -> str:
        """Give the command in words, for errors and listings."""
        kind = self.kind.name.lower().replace("_", " ")
        return f"{kind} {self.name!r}" if self.name else kind


class Row:
    """One row of a journal: a completion, and the commands that the drain after it issued.

    `commands` is None until the completion was delivered for the first time.
    """

    __slots__ = ("commands", "failure", "handle", "index", "time_ms", "value")

    def __init__(
        self,
        index: int,
        handle: OperationHandle | RowMark,
        time_ms: int,
        value: bytes | None = None,
        failure: Failure | None = None,
        commands: list[Command] | None = None,
    ) -> None:
        self.index = index
        self.handle = handle
        self.time_ms = time_ms
        self.value = value
        self.failure = failure
        self.commands = commands


class Running(Protocol):
    """The attempt that is being made of an invocation."""

    __slots__ = ()

    def deliver(self, row: Row) -> AttemptEnd | None:
        """Hand over what a row of the journal says, and run until idle; gives how the attempt ended, if it did."""
        ...

    def awaited(self) -> Iterable[OperationHandle]:
        """Give the handles that it waits for, in order of issue."""
        ...

    def close(self) -> None:
        """End it without running any of its code."""
        ...


class Record:
    """One invocation: what is stored of it, and what this process keeps while it lives in memory."""

    __slots__ = (
        "attached",
        "body",
        "broken",
        "caller",
        "caller_handle",
        "calls",
        "completed_ms",
        "created_ms",
        "delivered_count",
        "done",
        "epoch",
        "expires_ms",
        "failed_at_index",
        "failed_count",
        "failure",
        "first_handle",
        "handler",
        "headers",
        "id",
        "idempotency_key",
        "idle_since_ms",
        "in_ready_queue",
        "info",
        "key",
        "last_sequence",
        "mismatch",
        "modified_ms",
        "num",
        "output",
        "output_failure",
        "queue_sequence",
        "retry_at_ms",
        "rows",
        "running",
        "service",
        "start_ms",
        "status",
        "target",
        "timers",
        "waits",
    )

    def __init__(
        self,
        num: int,
        epoch: int,
        invocation_id: str,
        target: Target,
        body: bytes,
        headers: Mapping[str, str],
    ) -> None:
        self.num = num
        self.epoch = epoch
        self.id = invocation_id
        self.target = target
        self.service = target.service
        self.handler = target.handler
        self.key = target.key
        self.body = body
        self.headers = headers
        self.idempotency_key: str | None = None
        self.caller: int | None = None
        self.caller_handle: OperationHandle | CallerMark = SENT
        self.created_ms = 0
        self.modified_ms = 0
        self.start_ms = 0
        self.status = Status.ACTIVE
        self.queue_sequence: int | None = None
        self.first_handle: OperationHandle = 0
        self.failed_count = 0
        self.failure: str | None = None
        self.mismatch = False
        self.retry_at_ms: int | None = None
        self.waits: tuple[int, ...] | None = None
        self.attached = False
        self.output: bytes | None = None
        self.output_failure: Failure | None = None
        self.completed_ms: int | None = None
        self.expires_ms: int | None = None

        self.broken: str | None = None
        """Why it can't go on from what is stored of it: that can't be read, or could not be written."""
        self.info: HandlerInfo | None = None
        self.rows: list[Row] | None = None
        self.done: set[OperationHandle] = set()
        self.calls: dict[OperationHandle, int] = {}
        self.timers: set[OperationHandle] = set()
        self.delivered_count = 0
        self.failed_at_index = 0
        self.running: Running | None = None
        self.in_ready_queue = False
        self.idle_since_ms: float | None = None
        self.last_sequence = 0

    def schedule(self) -> None:
        """Let it wait for the time it starts at."""
        self.status = Status.SCHEDULED

    def queue(self) -> None:
        """Let it wait for its key."""
        self.status = Status.QUEUED

    def activate(self, now_ms: int) -> None:
        """Let it advance."""
        self.status = Status.ACTIVE
        self.retry_at_ms = None
        self.modified_ms = now_ms

    def suspend(self, now_ms: int, waits: tuple[int, ...] | None) -> None:
        """Let it wait out of memory, if for nothing but other invocations, for these."""
        self.status = Status.SUSPENDED
        self.waits = waits
        self.modified_ms = now_ms

    def back_off(self, now_ms: int, retry_at_ms: int) -> None:
        """Let it wait for the time of its next attempt."""
        self.status = Status.BACKING_OFF
        self.retry_at_ms = retry_at_ms
        self.modified_ms = now_ms

    def pause(self, now_ms: int, reason: str, *, mismatch: bool) -> None:
        """Let it wait for a person."""
        self.status = Status.PAUSED
        self.retry_at_ms = None
        self.failure = reason
        self.mismatch = mismatch
        self.modified_ms = now_ms

    def complete(self, now_ms: int, output: bytes | None, failure: Failure | None, expires_ms: int | None) -> None:
        """Give it its output, and the time (Unix ms) at which it may be forgotten; None where nothing of it is kept."""
        self.status = Status.COMPLETED
        self.output, self.output_failure = output, failure
        self.completed_ms = self.modified_ms = now_ms
        self.expires_ms = expires_ms
        self.retry_at_ms = None

    def give_up(self, reason: str) -> None:
        """Leave nothing of how far it is but that it can't go on; one that has completed has failed."""
        self.broken = self.failure = reason
        self.mismatch = True
        self.failed_count = self.failed_at_index = 0
        self.retry_at_ms = self.waits = None
        self.output = self.output_failure = None
        if self.status is Status.COMPLETED:
            self.output_failure = Failure(500, reason)
        else:
            self.status = Status.PAUSED

    def note_call(self, handle: OperationHandle, command: Command) -> None:
        """Remember which invocation a call or attach waits for.

        Raises:
            ValueError: What is stored of it is no number.
        """
        if command.kind in _CALLED and command.value is not None:
            self.calls[handle] = int(command.value)

    def commands(self) -> Iterator[tuple[OperationHandle, Command]]:
        """Give what the handler asked for so far, each with its handle; the journal must be in memory."""
        return enumerate((command for row in self.rows or () for command in row.commands or ()), self.first_handle)

    @property
    def object_key(self) -> tuple[str, str] | None:
        """The service and key, or None for an invocation of a service without keys."""
        return None if self.key is None else (self.service, self.key)
