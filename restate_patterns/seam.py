"""The seam between what is written once above every backend and what each backend does.

Below it a backend moves bytes: it implements `Operations` (what one attempt of a handler may ask
for), drives an `Attempt` by delivering completions one at a time, and offers `Ingress` to callers
outside. Above it live all types, serialisation, retries of steps and the deterministic inner loop.
This file knows no backend, no pydantic and no user type.
"""

from __future__ import annotations

import contextvars
import enum
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from typing_extensions import override

from restate_patterns.errors import Failure, InvalidInput
from restate_patterns.options import HandlerOptions
from restate_patterns.system.clock import Clock
from restate_patterns.text.wording import repr_of

OperationHandle: TypeAlias = int
"""Names one operation of one invocation: its position, the same on every replay. Users' handles name invocations."""

RUN_HANDLER = "run"
"""The wire name of the handler of a workflow that runs once per key."""


class ServiceKind(enum.Enum):
    """The three kinds of service; the value is the name in discovery."""

    SERVICE = "Service"
    VIRTUAL_OBJECT = "VirtualObject"
    WORKFLOW = "Workflow"


class HandlerKind(enum.Enum):
    """What a handler may do with the state of its key; the value is the name in discovery."""

    STATELESS = "Stateless"
    EXCLUSIVE = "Exclusive"
    SHARED = "Shared"
    WORKFLOW = "Workflow"


@dataclass(frozen=True, slots=True)
class Target:
    """A handler, and the key of its object or workflow; `key` is None for a service."""

    service: str
    handler: str
    key: str | None = None

    @override
    def __str__(self) -> str:
        """Give `Service/handler` or `Object/key/handler`, as in the path of the ingress."""
        if self.key is None:
            return f"{self.service}/{self.handler}"
        return f"{self.service}/{self.key}/{self.handler}"


@dataclass(frozen=True, slots=True)
class Request:
    """A call or a send on its way: whom it is for, the serialised argument, and its options."""

    target: Target
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyRef:
    """Names the invocation that was made with this idempotency key."""

    target: Target
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class WorkflowRef:
    """Names the one run of a workflow."""

    service: str
    key: str


InvocationRef: TypeAlias = str | IdempotencyRef | WorkflowRef
"""How an invocation is named: by id, by idempotency key, or as the run of a workflow."""


class Completion(NamedTuple):
    """What an operation came to.

    `value` is None when there is nothing (a state that is not set, an output that is not ready,
    a sleep that is over); a handler's output without a value is `b""`. `failure` wins over `value`.
    `time_ms` is the durable time (Unix milliseconds) at which it arrived: on replay, the recorded one.
    None where the backend's journal has no time for it: durable time is then asked for when the handler
    next reads it (`Operations.now_ms`).
    """

    handle: OperationHandle
    time_ms: int | None
    value: bytes | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """An operation that had its answer at once; it is in the journal like any other."""

    value: bytes | None = None
    failure: Failure | None = None


Issued: TypeAlias = OperationHandle | Ready


class ValueOrFailure(NamedTuple):
    """What something came to: a value or a terminal failure."""

    value: bytes | None
    failure: Failure | None


STEP_NOT_RUN: Final = ValueOrFailure(None, Failure(409, "the step was stopped before it ran"))
"""What a step comes to that was asked to stop before its action started."""

STEP_STOPPED: Final = ValueOrFailure(None, Failure(409, "the step was stopped"))
"""What a step comes to whose action was cancelled and left no outcome."""


class StepExhausted(Exception):  # noqa: N818 - an outcome that the backend turns into a pause, not an error of it
    """A step used up its tries under `then="pause"`, or raised a `UsageError`, which no try can mend.

    Its invocation pauses, and the step stays open: this is no result, nothing is appended. When the
    invocation is resumed the step starts again, with its count of failed tries at 0.

    Args:
        step: Name of the step.
        cause: What the last try raised.
    """

    def __init__(self, step: str, cause: BaseException) -> None:
        super().__init__(f"step {step!r} is not tried again: the last try raised {repr_of(cause)}")
        self.step = step
        self.cause = cause


class StepAction(Protocol):
    """Runs a step to its end, retries included, in a task of the real loop.

    The backend starts it as `loop.create_task(action(progress), context=action.context)`. It gives
    the result to record and raises nothing but `StepExhausted`, and `asyncio.CancelledError` once
    it was cancelled (`Operations.stop_step`) and has stopped without an outcome: the backend then
    completes the step with a failure of code 409.
    """

    @property
    def context(self) -> contextvars.Context:
        """The context variables as they were where the handler asked for the step."""
        ...

    def __call__(self, progress: StepProgress, /) -> Coroutine[Any, Any, ValueOrFailure]:
        """Run the action until it has a result."""
        ...


class StepProgress(Protocol):
    """Where a running step tells of its failed tries; a backend may persist and show them."""

    @property
    def clock(self) -> Clock:
        """The backend's clock: waits between tries and timeouts of tries run on it."""
        ...

    @property
    def failed_count(self) -> int:
        """How many tries failed before, also in processes that died."""
        ...

    def failed(self, error: BaseException, retry_in_ms: int) -> None:
        """Record one more failed try; the next one starts in `retry_in_ms`."""
        ...

    def gave_up(self, error: BaseException) -> None:
        """Note that a try failed and no other follows; what it comes to follows from the step's policy."""
        ...


class Operations(Protocol):
    """What one attempt may ask of its backend. Every method is synchronous and only appends.

    A method that gives an `OperationHandle` is answered by a `Completion` with that handle, later and never
    from inside the method. One that gives `Ready` was answered at once. During replay a backend
    matches each request against its journal (position, kind, name, target, fingerprint) and raises
    `errors.JournalMismatch` (a `BaseException`: the attempt lets it end the attempt, whatever user
    code catches) when they differ.
    """

    @property
    def replaying(self) -> bool:
        """Whether what the handler does right now was in the journal before (logs stay quiet then)."""
        ...

    @property
    def at_journal_end(self) -> bool:
        """Whether no earlier attempt came further than this one is now."""
        ...

    def cancel_ahead(self) -> bool:
        """Tell whether a cancellation of the invocation is known that `deliver_cancel` has not told of yet.

        Asked only when nothing else is left to do: an attempt that waits for nothing goes on with it.
        """
        ...

    def call(self, request: Request, *, shielded: bool) -> OperationHandle:
        """Call a handler; completes with its output.

        Args:
            request: Whom to call, with what.
            shielded: The caller is shielded: no cancel of this invocation may reach the callee (rule 14).
        """
        ...

    def send(self, request: Request, delay_ms: int, due_ms: int | None) -> Issued:
        """Send to a handler, now (a delay of 0) or later; the value is the invocation id in ASCII.

        `due_ms` is when it is to start (Unix milliseconds), where the handler's durable time is known: the delay
        counts from that time, and by now a part of it may be over. None where it is not known.
        """
        ...

    def run(self, name: str, fingerprint: bytes, action: StepAction) -> OperationHandle:
        """Run a step: `action` starts once all that came before is durable, at most once at a time."""
        ...

    def stop_step(self, handle: OperationHandle) -> None:
        """Ask a running step to stop (cancel its action); it still completes, with its outcome.

        A step not yet started completes as not run.
        """
        ...

    def cancel_call(self, handle: OperationHandle) -> None:
        """Cancel the callee of a call whose wait was just failed by the invocation's cancel (rule 14).

        Not in the journal: a backend ignores it while it replays.
        """
        ...

    def stop_call(self, handle: OperationHandle) -> None:
        """Cancel the callee of a call; the call still completes, with what the callee comes to then.

        In the journal, unlike `cancel_call`. Nothing happens to a callee that has ended, nor, on the embedded engine,
        to one that the call only joined by its idempotency key.
        """
        ...

    def now_ms(self) -> int:
        """Give durable time in Unix milliseconds, the same on every replay; journaled.

        Asked for only after something without a time: an invocation's start, or a completion.
        """
        ...

    def sleep(self, deadline_ms: int, delay_ms: int, name: str) -> OperationHandle:
        """Start a durable timer that completes at `deadline_ms` (Unix milliseconds), or at once if past.

        `delay_ms` is the same, counted from the handler's durable time: a backend that gave no time with
        the latest completions has only that.
        """
        ...

    def discard(self, handle: OperationHandle) -> None:
        """Hint: nobody waits for this operation any more. A backend may drop a timer; a call goes on."""
        ...

    def get_state(self, name: str) -> Issued:
        """Read one state of the key; the value is None when it is not set."""
        ...

    def state_names(self) -> Issued:
        """List the names of the key's states; the value is a JSON array, sorted."""
        ...

    def set_state(self, name: str, value: bytes) -> None:
        """Write one state of the key."""
        ...

    def clear_state(self, name: str) -> None:
        """Remove one state of the key."""
        ...

    def clear_all_state(self) -> None:
        """Remove all state of the key."""
        ...

    def promise_value(self, name: str) -> OperationHandle:
        """Wait for a durable promise of the workflow."""
        ...

    def promise_peek(self, name: str) -> Issued:
        """Look at a durable promise; the value is None when it is not completed."""
        ...

    def promise_complete(self, name: str, result: ValueOrFailure) -> Issued:
        """Resolve or reject a durable promise; fails with 409 when it was completed before."""
        ...

    def awakeable(self) -> tuple[str, OperationHandle]:
        """Make an awakeable: its id, and the handle that completes when it is resolved or rejected."""
        ...

    def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        """Resolve or reject an awakeable of any invocation; unknown ids are ignored."""
        ...

    def signal(self, name: str) -> OperationHandle:
        """Wait for a named signal of this invocation; an attempt asks once for each name."""
        ...

    def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        """Resolve or reject a signal of any invocation; ignored where that is unknown, or over."""
        ...

    def attach(self, ref: InvocationRef) -> OperationHandle:
        """Wait for the output of another invocation; fails with 404 when it is unknown."""
        ...

    def output(self, ref: InvocationRef) -> Issued:
        """Look at the output of another invocation; the value is None while it has none."""
        ...

    def cancel_invocation(self, ref: InvocationRef) -> None:
        """Ask another invocation to cancel."""
        ...


@dataclass(frozen=True, slots=True)
class Invocation:
    """What an attempt knows of its invocation. The same on every attempt."""

    id: str
    target: Target
    body: bytes
    headers: Mapping[str, str]
    random_seed: int
    start_ms: int | None
    """Durable time at which the invocation first started; loop time and `ctx.now()` begin here.

    None where the backend does not know it (`Operations.now_ms` is then asked).
    """


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; `output` is `b""` when it has no return value."""

    output: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler ended with a terminal error: it is the result of the invocation."""

    failure: Failure
    broken_off: bool = False
    """Whether it was cancelled where it could not clean up: the backend stops its steps and calls as it goes."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The attempt ended with an error that is retried by the invocation's policy."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class MustPause:
    """The attempt ended with a bug that no retry can mend (mismatch, spin, foreign wait)."""

    error: BaseException
    mismatch: bool = False
    """True for a journal mismatch: the handler cannot reach its undo, so cancel is refused."""


AttemptEnd: TypeAlias = Succeeded | Failed | Crashed | MustPause


class Attempt(Protocol):
    """One attempt of one invocation, as its backend drives it. Nothing here awaits.

    `start`, `deliver` and `deliver_cancel` run the handler until it is idle and give None, or give
    how the attempt ended; after that, and after `close`, no other method may be called. They must be
    called from a callback or task of the real loop, one at a time, never from inside one another.
    """

    def start(self) -> AttemptEnd | None:
        """Run the handler from its beginning to its first wait."""
        ...

    def deliver(self, completion: Completion) -> AttemptEnd | None:
        """Deliver exactly one completion and run until idle. Unknown and abandoned handles are ignored."""
        ...

    def deliver_cancel(self, time_ms: int | None) -> AttemptEnd | None:
        """Deliver the cancellation of the invocation, in its place among the completions."""
        ...

    def awaited(self) -> Iterable[OperationHandle]:
        """Give the handles that tasks wait for right now, in order of issue."""
        ...

    def close(self) -> None:
        """Drop the attempt: seal its context and close its coroutines; no user code can act after."""
        ...


@dataclass(frozen=True, slots=True)
class HandlerInfo:
    """What a backend must know of a handler."""

    name: str
    kind: HandlerKind
    options: HandlerOptions
    takes_input: bool = True
    input_required: bool = True
    """False when the argument has a default: an empty body is then allowed."""
    input_content_type: str = "application/json"
    output_content_type: str = "application/json"
    has_output: bool = True
    """False for handlers annotated `-> None`: the answer has no body and no content type."""
    input_schema: Mapping[str, object] | None = None
    output_schema: Mapping[str, object] | None = None
    documentation: str | None = None
    read_input: Callable[[bytes], object] | None = field(default=None, compare=False, repr=False)
    """Reads an argument, to look whether it is one before it is accepted; raises `InvalidInput`."""

    def argument_error(self, body: bytes) -> InvalidInput | None:
        """Return why `body` is no argument of the handler, without running it; None where it is one.

        A validator of the app that breaks is the attempt's, which is tried again.
        """
        if self.read_input is None or not (body or self.input_required):
            return None
        try:
            self.read_input(body)
        except InvalidInput as error:
            return error
        except Exception:  # noqa: BLE001 - see above
            return None
        return None


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """What a backend must know of a service."""

    name: str
    kind: ServiceKind
    handlers: Mapping[str, HandlerInfo]
    documentation: str | None = None


class Deployment(Protocol):
    """The services of one app, as a backend hosts them."""

    @property
    def services(self) -> Mapping[str, ServiceInfo]:
        """The services by wire name."""
        ...

    def attempt(self, invocation: Invocation, operations: Operations) -> Attempt:
        """Make an attempt of an invocation of one of these services; it is not started."""
        ...

    async def started(self, caller: Caller) -> None:
        """Do what the app does at each start; for who hosts the services, or has registered them, when they answer."""
        return


class Accepted(NamedTuple):
    """An invocation that was accepted, durably."""

    invocation_id: str
    previously: bool = False
    """True when an earlier request with the same idempotency key or workflow key made it."""
    execution_time_ms: int | None = None
    """For a delayed send that has not started: when it does, in Unix milliseconds; the first one's, where it is one."""


class Caller(Protocol):
    """What typed clients stand on: a context inside a handler, or a client outside.

    Errors of the callee arrive as `TerminalError`s (the declared subclass where it is known).
    """

    async def call(self, request: Request, timeout_s: float | None) -> bytes:
        """Call and wait for the output; raises `TimeoutError` after `timeout_s` seconds."""
        ...

    async def send(self, request: Request, delay_ms: int) -> str:
        """Send and give the invocation id."""
        ...

    async def attach(self, ref: InvocationRef, timeout_s: float | None) -> bytes:
        """Wait for the output of an invocation; raises `TimeoutError` after `timeout_s` seconds."""
        ...

    async def output(self, ref: InvocationRef) -> bytes | None:
        """Give the output of an invocation, or None while it has none."""
        ...

    async def cancel(self, ref: InvocationRef) -> None:
        """Ask an invocation to cancel."""
        ...

    async def complete_awakeable(self, awakeable_id: str, result: ValueOrFailure) -> None:
        """Resolve or reject an awakeable."""
        ...

    async def complete_signal(self, ref: InvocationRef, name: str, result: ValueOrFailure) -> None:
        """Resolve or reject a signal of an invocation."""
        ...
