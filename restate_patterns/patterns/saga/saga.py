"""`Saga`: plain code whose effects are undone when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, overload
from weakref import WeakKeyDictionary

from typing_extensions import override

from restate_patterns.api.context import Context
from restate_patterns.api.scopes import scope_of
from restate_patterns.errors import UsageError
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.options import Step
from restate_patterns.patterns.saga.actions import SagaAction
from restate_patterns.patterns.saga.errors import SagaFailed
from restate_patterns.patterns.saga.final import DROPPED, failure_of, is_final, recorded
from restate_patterns.patterns.saga.forward import Forward
from restate_patterns.patterns.saga.holding import ended, owed
from restate_patterns.patterns.saga.locks import Lockable, LockRequest
from restate_patterns.patterns.saga.marks import Marks
from restate_patterns.patterns.saga.naming import SAGA_HEADER
from restate_patterns.patterns.saga.parts import Part, begin_undoing, enter, group_in, innermost, leave, undoes
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.record import SagaRecord, SagaState, SagaStepKind, SagaStepState
from restate_patterns.patterns.saga.stack import Group, LateGroup
from restate_patterns.patterns.saga.teller import Teller, check_hosted
from restate_patterns.patterns.saga.underway import Begun, UnderWay
from restate_patterns.patterns.saga.undos import Owing, Undos
from restate_patterns.patterns.saga.unwinding import Persistence
from restate_patterns.values.copies import kept_arguments

P = ParamSpec("P")
R = TypeVar("R")

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
        self._under_way = UnderWay(self._lost)
        self._marks = Marks(ctx, self._under_way)
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
        return SagaAction(
            self.registrar, lambda done: forward.call(action, *given, done), self._watch("saga.call(...)")
        )

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
        return SagaAction(
            self.registrar, lambda done: forward.run(step, action, *given, done), self._watch("saga.run(...)")
        )

    def parallel(self) -> AbstractAsyncContextManager[None]:
        """Group what is registered in a block: it is undone at the same time."""
        return Part(self, parallel=True, savepoint=False)

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Open a part that is undone alone when it fails: who catches the error outside the block goes on.

        A part that succeeds stays on the stack of the saga.
        """
        return Part(self, parallel=False, savepoint=True)

    def pivot(self) -> None:
        """Go only forward from here: nothing is undone any more, and a cancellation waits until the saga is over.

        Raises:
            UsageError: It was passed before, another task than the saga's own passes it, or actions are under way.
        """
        self.check_open()
        if self._state == "pivoted":
            raise UsageError("the saga has passed its pivot: it has one")
        if asyncio.current_task() is not self._task:
            raise UsageError("saga.pivot() belongs in the block of the saga itself, not in a task started there")
        if begun := ", ".join(dict.fromkeys(self._under_way.names(self._root))):
            raise UsageError(f"saga.pivot() while {begun} may still fail: await what was begun before it")
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
        begun = self.begun(self._here(), "saga.lock(...)")
        request = LockRequest(owner=self._id, invocation=self.ctx.invocation_id, policy=policy)
        await self._marks.lock(record, request, begun, timeout)

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
        self._root.outer = innermost()
        self._token = enter(self._root)
        await self._teller.tell()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, DROPPED):
            return
        leave(self._token)
        try:
            if error is not None and not is_final(error):
                self._must_not_be_caught(error)
                return
            cancelled = await self._all_ended() if error is None else None
            self._root.is_failing = error is not None or cancelled is not None
            await self._see_to_the_end(self._end(error or cancelled), error or cancelled)
            if cancelled is not None:
                raise cancelled
        finally:
            if self._shield is not None:
                self._shield.__exit__(None, None, None)

    async def undo_part(self, part: Group, error: BaseException) -> None:
        """Undo a savepoint that failed.

        Raises:
            SagaFailed: Some of it could not be undone.
        """
        if self._state == "open":
            part.is_failing = True
            with self._under_way.begin(part.outer or self._root, "an undo"):
                await self._see_to_the_end(self._undo(part, error, SagaState.RUNNING), error)

    # What undo actions and actions ask.

    @override
    def group(self) -> Group:
        group = self._here()
        failing = None if undoes(self._root) else group.failing
        return group if failing is None else LateGroup(outer=failing)

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
        return {SAGA_HEADER: self._id} if self._marks else {}

    def registrar(self) -> Undos:
        """Give what registers undo actions where the running code is, also when that code has gone on."""
        group = self.begin()
        group.check_open("of an action")
        return Undos(self, self._policy, group)

    def begin(self) -> Group:
        """Give the group that the running code is in, where it may begin something.

        Raises:
            UsageError: The saga is over, or has not begun.
            asyncio.CancelledError: It is being undone.
        """
        self.check_open()
        group = self._here()
        if not undoes(self._root):
            group.check_begins("what a task of it would do next")
        return group

    def begun(self, group: Group, name: str) -> Begun:
        """Count an action as under way.

        Raises:
            UsageError: The saga is over, or has not begun.
            asyncio.CancelledError: It is being undone.
        """
        self.check_open()
        if not undoes(self._root):
            group.check_begins(name)
        return self._under_way.begin(group, name)

    # How it ends.

    async def _see_to_the_end(self, work: Coroutine[Any, Any, SagaFailed | None], error: BaseException | None) -> None:
        """Do what is owed, whatever cancels this task meanwhile; raise what it comes to."""
        with self.ctx.shielded():
            ending = owed(work)
            cancelled = await ended(ending)
        try:
            failure = ending.result()
        except DROPPED:
            raise
        except BaseException as trouble:
            self._must_not_be_caught(trouble)
            raise
        if failure is not None:
            raise failure from error
        if cancelled is not None and error is None:
            raise cancelled

    async def _all_ended(self) -> asyncio.CancelledError | None:
        """Wait for actions in tasks that nobody awaited; gives the cancellation of this task, if one came."""
        try:
            await self._under_way.ended(self._root)
        except asyncio.CancelledError as error:
            return error
        return None

    async def _end(self, error: BaseException | None) -> SagaFailed | None:
        if error is None:
            failure, state = None, SagaState.COMMITTED
            self._teller.record.error = None  # that of a savepoint is over
            self._root.close("the saga has ended")
        elif self._state == "pivoted":
            failure, state = None, SagaState.FAILED
            await self._under_way.all_ended(self._root)
            self._teller.record.error = recorded(error)
        else:
            failure = await self._undo(self._root, error, SagaState.UNDONE)
            state = SagaState.UNDONE if failure is None else SagaState.FAILED
        await self._marks.give_back(self._id)
        self._state = "over"
        self._teller.record.state = state
        await self._teller.tell()
        return failure

    async def _undo(self, part: Group, error: BaseException, then: SagaState) -> SagaFailed | None:
        """Undo a part of the stack; gives the error to raise instead, if some of it was skipped."""
        begin_undoing(self._root)
        record = self._teller.record
        record.state, record.error = SagaState.UNDOING, recorded(error)
        await self._under_way.all_ended(part)
        before = len(record.steps)
        await self._persistence.undo(part)
        record.state = SagaState.UNDOING if self._root.is_failing else then
        return failure_of(error, self._persistence.undo_errors(before))

    def _lost(self, error: BaseException) -> None:
        """Take the error of an action that nobody awaits any more: what must be tried again is."""
        if not isinstance(error, DROPPED) and not is_final(error):
            self._teller.break_off(error)

    def _must_not_be_caught(self, error: BaseException) -> None:
        self._attempt.owe(
            f"the saga {self._name!r} was left by {type(error).__name__} ({error}), which undoes nothing because it "
            "is tried again, and then the handler caught that error and ended. Catch it inside the `async with` "
            "block, or raise a TerminalError in its place"
        )

    def _forward(self) -> Forward:
        return Forward(self, self.begin(), self._teller, self._persistence, self._policy)

    def _here(self) -> Group:
        return group_in(self._root)

    def _watch(self, what: str) -> Callable[[Coroutine[Any, Any, R]], Coroutine[Any, Any, R]]:
        return lambda work: self._attempt.track(work, what)

    def _owed(self) -> list[str]:
        return list(self._root.names())

    @property
    def pivoted(self) -> bool:
        """Whether the saga only goes forward."""
        return self._state == "pivoted"
