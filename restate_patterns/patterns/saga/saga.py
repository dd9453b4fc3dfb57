"""`Saga`: a block whose steps are undone when it fails."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, overload

from restate_patterns.api.context import Context
from restate_patterns.options import Step
from restate_patterns.patterns.saga.actions import SagaAction
from restate_patterns.patterns.saga.bounds import Bounds
from restate_patterns.patterns.saga.course import Course
from restate_patterns.patterns.saga.locks import Lockable
from restate_patterns.patterns.saga.parts import Part
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.record import SagaRecord
from restate_patterns.patterns.saga.undos import Undos
from restate_patterns.toolkit import ATTEMPT_OVER, kept_arguments, must_be_awaited

P = ParamSpec("P")
R = TypeVar("R")


class Saga:
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
        timeout: How long the block may take; after that it is cancelled, undone, and left by a `TimeoutError`. It
            counts until the pivot, and not for the undo.
        undo_on: Classes of errors that undo as well, instead of being tried again; the saga then ends with a
            `TerminalError` that says what they say.

    Raises:
        DefinitionError: `timeout` is no duration above 0, or `undo_on` no classes of errors.
    """

    def __init__(
        self,
        ctx: Context,
        /,
        *,
        name: str | None = None,
        policy: UndoPolicy | None = None,
        logged: bool = False,
        timeout: timedelta | None = None,
        undo_on: Sequence[type[Exception]] = (),
    ) -> None:
        bounds = Bounds(timeout, undo_on)
        self._course = Course(ctx, name, policy or UndoPolicy(), bounds, logged=logged)
        self._undos = Undos(self._course, self._course.policy)

    @property
    def ctx(self) -> Context:
        """The handler's own context."""
        return self._course.ctx

    @property
    def pivoted(self) -> bool:
        """Whether the saga only goes forward."""
        return self._course.pivoted

    @property
    def record(self) -> SagaRecord:
        """What the saga has done so far, and what it would undo now: a copy."""
        return self._course.teller.snapshot()

    def undo(self, action: Callable[P, Coroutine[Any, Any, object]], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Register a call or a send that undoes something. It runs if the saga ends with a terminal error.

        Register it after the action when the action's answer is needed for it, and an action without an answer
        needs no undo; before the action when it takes effect at once and its answer may get lost.

        Args:
            action: A handler of a client, its `send`, or any coroutine function. May run more than once.
            args: For the action, as they are now: what becomes of them later does not reach it.
            kwargs: For the action.

        Raises:
            UsageError: The saga is over or past its pivot, or the arguments are not what the handler takes.
        """
        self._undos.undo(action, *args, **kwargs)

    @overload
    def undo_step(
        self, step: str | Step, action: Callable[P, Coroutine[Any, Any, object]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def undo_step(
        self, step: str | Step, action: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    def undo_step(self, step: str | Step, action: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Register a `run` step that undoes something. It runs if the saga ends with a terminal error.

        Args:
            step: The step's name, or a `Step` with retry policy and timeout. After its last try the saga is
                stuck until a person decides, whatever the policy's `then` says.
            action: What to do, async or not. May run more than once.
            args: For the action, as they are now: what becomes of them later does not reach it.
            kwargs: For the action.

        Raises:
            UsageError: The saga is over or past its pivot, or `action` is no function.
        """
        self._undos.undo_step(step, action, *args, **kwargs)

    def with_policy(self, policy: UndoPolicy) -> Undos:
        """Return what registers undo actions under another policy: `saga.with_policy(...).undo(...)`."""
        return Undos(self._course, policy)

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
        forward = self._course.forward()
        given = kept_arguments(args, kwargs)
        return SagaAction(
            self._course.registrar, lambda done: forward.call(action, *given, done), self._watch("saga.call(...)")
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
        forward = self._course.forward()
        given = kept_arguments(args, kwargs)
        return SagaAction(
            self._course.registrar, lambda done: forward.run(step, action, *given, done), self._watch("saga.run(...)")
        )

    def parallel(self) -> AbstractAsyncContextManager[None]:
        """Group what is registered in a block: it is undone at the same time."""
        return Part(self._course, parallel=True, savepoint=False)

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Open a part that is undone alone when it fails: who catches the error outside the block goes on.

        A part that succeeds stays on the stack of the saga.
        """
        return Part(self._course, parallel=False, savepoint=True)

    def pivot(self) -> None:
        """Go only forward from here: nothing is undone any more, and a cancellation waits until the saga is over.

        Raises:
            UsageError: It was passed before, another task than the saga's own passes it, or actions are under way.
        """
        self._course.pivot()

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
        await self._course.lock(record, policy, timeout)

    async def __aenter__(self) -> Self:
        await self._course.begin_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, ATTEMPT_OVER):
            await self._course.end_all(error)

    def _watch(self, what: str) -> Callable[[Coroutine[Any, Any, R]], Coroutine[Any, Any, R]]:
        ctx = self._course.ctx
        return lambda work: must_be_awaited(ctx, work, what)
