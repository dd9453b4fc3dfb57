"""`Saga`: plain code whose effects are undone when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import ContextVar, Token
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Literal, ParamSpec, Self, TypeVar, overload
from weakref import WeakKeyDictionary

from typing_extensions import override

from restate_patterns.context import Context, scope_of
from restate_patterns.errors import AttemptSealed, JournalMismatch, TerminalError, UsageError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.execution.boundary import leaves_of
from restate_patterns.kept import kept_arguments
from restate_patterns.options import Step
from restate_patterns.patterns.saga.actions import SagaAction
from restate_patterns.patterns.saga.errors import RecordPending, SagaFailed
from restate_patterns.patterns.saga.forward import Forward
from restate_patterns.patterns.saga.holding import ended, owed
from restate_patterns.patterns.saga.locks import Lockable, LockRequest
from restate_patterns.patterns.saga.naming import SAGA_HEADER
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.record import (
    ErrorRecord,
    SagaRecord,
    SagaState,
    SagaStepKind,
    SagaStepState,
    UndoError,
)
from restate_patterns.patterns.saga.stack import Group
from restate_patterns.patterns.saga.teller import Teller, check_hosted
from restate_patterns.patterns.saga.undos import Owing, Undos
from restate_patterns.patterns.saga.unwinding import Persistence, terminal

P = ParamSpec("P")
R = TypeVar("R")

_DROPPED: Final = (AttemptSealed, GeneratorExit, JournalMismatch)
"""The attempt is over and nothing may start: the next one comes here again, or a person is asked."""

_UNDOING: Final = (TerminalError, asyncio.CancelledError, TimeoutError)
"""What no retry would mend: the same would come again."""

_group: ContextVar[Group | None] = ContextVar("restate_patterns_saga_group", default=None)
_counts: WeakKeyDictionary[DurableAttempt, int] = WeakKeyDictionary()


class Saga(Undos, Owing):
    """A block of plain code that is undone when it ends with a terminal error, or is cancelled.

        async with Saga(ctx) as saga:
            flight = await flights.reserve(trip.flight)
            saga.undo(flights.cancel, flight.id)            # after: the id comes from the answer
            key = str(ctx.uuid4())
            saga.undo_step("refund", gateway.refund, key)   # before: the outcome may be unknown
            await ctx.run("charge", gateway.charge, key, trip.card)
            saga.pivot()                                    # from here only forward
            await saga.call(flights.confirm, flight.id)

    What was registered is undone newest first, shielded from cancellation, each until it has succeeded by its
    policy. One that gives up is parked until a person decides (`restate-patterns sagas`), which the app must host:
    `App([..., *saga_services()])`. Any other error is retried as everywhere, and undoes nothing.

    Args:
        ctx: The handler's own context.
        name: What it is called. Default: the handler.
        policy: How undo actions, and actions after the pivot, are tried.
        logged: Keep a record that can be read while it runs and afterwards (`SagaLog`). A saga that is not logged
            costs nothing, and its record is kept once something of it is stuck.
    """

    def __init__(
        self, ctx: Context, /, *, name: str | None = None, policy: UndoPolicy | None = None, logged: bool = False
    ) -> None:
        super().__init__(self, policy or UndoPolicy())
        self.ctx = ctx
        self._attempt = scope_of(ctx).attempt
        self._name = name or scope_of(ctx).handler.label
        self._logged = logged
        self._root = Group(is_root=True)
        self._state: Literal["new", "open", "pivoted", "over"] = "new"
        self._locked: list[Lockable] = []
        self._shield: AbstractContextManager[None] | None = None
        self._teller = Teller(ctx, SagaRecord(id="", name=self._name), self._owed, logged=logged)
        self._persistence = Persistence(self._teller)

    @property
    def record(self) -> SagaRecord:
        """What the saga has done so far, and what it would undo now: a copy."""
        return self._teller.snapshot()

    def with_policy(self, policy: UndoPolicy) -> Undos:
        """Give what registers undo actions under another policy: `saga.with_policy(...).undo(...)`."""
        return Undos(self, policy)

    def call(self, action: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> SagaAction[R]:
        """Call a handler as a step of the saga.

        The call is never abandoned: a cancellation that comes meanwhile waits until its outcome is known.
        After the pivot it is tried until it succeeds, by the saga's policy and then by a person.

        Args:
            action: A handler of a client, or any coroutine function.
            args: For the action.
            kwargs: For the action.

        Returns:
            The action, to await; `.undo(...)` and `.undo_step(...)` before that say how to undo it.
        """
        forward = self._forward()
        given = kept_arguments(args, kwargs)
        return SagaAction(self, lambda done: forward.call(action, *given, done), self._watch("saga.call(...)"))

    @overload
    def run(
        self, step: str | Step, action: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> SagaAction[R]: ...
    @overload
    def run(self, step: str | Step, action: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> SagaAction[R]: ...
    def run(self, step: str | Step, action: Callable[..., Any], /, *args: Any, **kwargs: Any) -> SagaAction[Any]:
        """Run a durable step (as `ctx.run`) as a step of the saga.

        A cancellation asks the action to stop and waits for its outcome; one that has happened is undone.
        After the pivot it is tried until it succeeds, by the step's policy and then by a person.

        Args:
            step: The step's name, or a `Step` with retry policy and timeout.
            action: What to do, async or not.
            args: For the action.
            kwargs: For the action.

        Returns:
            The action, to await; `.undo(...)` and `.undo_step(...)` before that say how to undo it.
        """
        forward = self._forward()
        given = kept_arguments(args, kwargs)
        return SagaAction(self, lambda done: forward.run(step, action, *given, done), self._watch("saga.run(...)"))

    def parallel(self) -> AbstractAsyncContextManager[None]:
        """Group what is registered in a block: it is undone at the same time."""
        return _Part(self, parallel=True, savepoint=False)

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Open a part that is undone alone when it fails: who catches the error outside the block goes on.

        A part that succeeds stays on the stack of the saga.
        """
        return _Part(self, parallel=False, savepoint=True)

    def pivot(self) -> None:
        """Go only forward from here: nothing is undone any more, and a cancellation waits until the saga is over.

        Raises:
            UsageError: It was passed before, or another task than the saga's own passes it.
        """
        self.check_open()
        if self._state == "pivoted":
            raise UsageError("the saga has passed its pivot: it has one")
        if asyncio.current_task() is not self._task:
            raise UsageError("saga.pivot() belongs in the block of the saga itself, not in a task started there")
        self._root.close("the saga has passed its pivot and only goes forward; register undo actions before it")
        self._state = "pivoted"
        self._teller.began(SagaStepKind.PIVOT, "pivot").state = SagaStepState.DONE
        self._shield = self.ctx.shielded()
        self._shield.__enter__()

    async def lock(
        self, record: Lockable, /, *, policy: Literal["reject", "wait"] = "reject", timeout: timedelta | None = None
    ) -> None:
        """Mark a record as pending until this saga is over: a semantic lock.

        Args:
            record: A client of the record.
            policy: What to do while another saga has marked it: fail with `RecordPending`, or wait in line.
            timeout: The longest wait.

        Raises:
            RecordPending: Another saga has marked it, or did for all of `timeout`. Terminal.
        """
        self.check_open()
        self._locked.append(record)
        request = LockRequest(owner=self._id, policy=policy)
        try:
            if await record.acquire(request):
                return
            turn = self.ctx.awakeable(bool)
            if await record.acquire(request.model_copy(update={"turn": turn.id})):
                return
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                await turn
        except RecordPending:
            self._locked.remove(record)
            raise
        except TimeoutError:
            self._locked.remove(record)
            owner = await record.release(self._id)
            raise RecordPending(record=str(record), owner=owner or "that marked it") from None

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise UsageError("a Saga is for one `async with` block: make another")
        if self._logged:
            check_hosted(self.ctx, f"the saga {self._name!r} is logged")
        number = _counts[self._attempt] = _counts.get(self._attempt, 0) + 1
        self._id = self.ctx.invocation_id if number == 1 else f"{self.ctx.invocation_id}.{number}"
        self._teller.record.id = self._id
        self._state = "open"
        self._task = asyncio.current_task()
        self._root.outer = _group.get()
        self._token = _group.set(self._root)
        await self._teller.tell()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, _DROPPED):
            return
        _group.reset(self._token)
        try:
            if error is not None and not _is_final(error):
                self._must_not_be_caught(error)
            else:
                await self._see_to_the_end(self._end(error), error)
        finally:
            if self._shield is not None:
                self._shield.__exit__(None, None, None)

    async def undo_part(self, part: Group, error: BaseException) -> None:
        """Undo a savepoint that failed.

        Raises:
            SagaFailed: Some of it could not be undone.
        """
        if self._state == "open":
            await self._see_to_the_end(self._undo(part, error, SagaState.RUNNING), error)

    # What undo actions and actions ask.

    @override
    def group(self) -> Group:
        found = _group.get()
        while found is not None:
            if found.root is self._root:
                return found
            found = found.outer
        return self._root

    @override
    def check_open(self) -> None:
        """Check that the saga goes on.

        Raises:
            UsageError: It is over, or has not begun.
        """
        if self._state == "new":
            raise UsageError("the saga has not begun: use it inside `async with Saga(ctx) as saga:`")
        if self._state == "over":
            raise UsageError("the saga is over: nobody would undo this. Use it inside its `async with` block")

    @override
    def headers(self) -> Mapping[str, str]:
        return {SAGA_HEADER: self._id} if self._locked else {}

    def registrar(self) -> Undos:
        """Give what registers undo actions where the running code is, also when that code has gone on."""
        self.check_open()
        group = self.group()
        group.check_open("of an action")
        return Undos(self, self._policy, group)

    # How it ends.

    async def _see_to_the_end(self, work: Coroutine[Any, Any, SagaFailed | None], error: BaseException | None) -> None:
        """Do what is owed, whatever cancels this task meanwhile; raise what it comes to."""
        with self.ctx.shielded():
            ending = owed(work)
            cancelled = await ended(ending)
        try:
            failure = ending.result()
        except _DROPPED:
            raise
        except BaseException as trouble:
            self._must_not_be_caught(trouble)
            raise
        if failure is not None:
            raise failure from error
        if cancelled is not None and error is None:
            raise cancelled

    async def _end(self, error: BaseException | None) -> SagaFailed | None:
        if error is None:
            failure, state = None, SagaState.COMMITTED
            self._teller.record.error = None  # that of a savepoint is over
            self._root.close("the saga has ended")
        elif self._state == "pivoted":
            failure, state = None, SagaState.FAILED
            self._teller.record.error = _recorded(error)
        else:
            failure = await self._undo(self._root, error, SagaState.UNDONE)
            state = SagaState.UNDONE if failure is None else SagaState.FAILED
        for record in self._locked[::-1]:
            await record.release(self._id)
        self._state = "over"
        self._teller.record.state = state
        await self._teller.tell()
        return failure

    async def _undo(self, part: Group, error: BaseException, then: SagaState) -> SagaFailed | None:
        """Undo a part of the stack; gives the error to raise instead, if some of it was skipped."""
        record = self._teller.record
        before = len(record.steps)
        record.state, record.error = SagaState.UNDOING, _recorded(error)
        await self._persistence.undo(part)
        record.state = then
        lost = self._persistence.undo_errors(before)
        if not lost or all(isinstance(leaf, asyncio.CancelledError) for leaf in leaves_of(error)):
            return None  # a cancellation by asyncio must stay one
        original = terminal(error)
        if isinstance(original, SagaFailed):  # from a savepoint inside
            return _failed(original.original, [*original.undo_errors, *lost])
        return _failed(_recorded(error), lost)

    def _must_not_be_caught(self, error: BaseException) -> None:
        self._attempt.owe(
            f"the saga {self._name!r} was left by {type(error).__name__} ({error}), which undoes nothing because it "
            "is tried again, and then the handler caught that error and ended. Catch it inside the `async with` "
            "block, or raise a TerminalError in its place"
        )

    def _forward(self) -> Forward:
        self.check_open()
        return Forward(self, self._teller, self._persistence, self._policy)

    def _watch(self, what: str) -> Callable[[Coroutine[Any, Any, R]], Coroutine[Any, Any, R]]:
        return lambda work: self._attempt.track(work, what)

    def _owed(self) -> list[str]:
        return list(self._root.names())

    @property
    def pivoted(self) -> bool:
        """Whether the saga only goes forward."""
        return self._state == "pivoted"


class _Part(AbstractAsyncContextManager[None]):
    """A block inside a saga: a group of its own on the stack."""

    def __init__(self, saga: Saga, *, parallel: bool, savepoint: bool) -> None:
        self._saga = saga
        self._parallel = parallel
        self._savepoint = savepoint

    @override
    async def __aenter__(self) -> None:
        self._saga.check_open()
        self._part = self._saga.group().open(parallel=self._parallel)
        self._token: Token[Group | None] = _group.set(self._part)

    @override
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, _DROPPED):
            return
        _group.reset(self._token)
        if self._savepoint and error is not None and _is_final(error):
            await self._saga.undo_part(self._part, error)


def _is_final(error: BaseException) -> bool:
    return all(isinstance(leaf, _UNDOING) for leaf in leaves_of(error))


def _recorded(error: BaseException) -> ErrorRecord:
    known = terminal(error)
    if known is None:
        return ErrorRecord(name=type(error).__name__, code=500, message=str(error) or type(error).__name__)
    return ErrorRecord.of(known)


def _failed(original: ErrorRecord, undo_errors: list[UndoError]) -> SagaFailed:
    return SagaFailed(code=original.code, original=original, undo_errors=undo_errors)
