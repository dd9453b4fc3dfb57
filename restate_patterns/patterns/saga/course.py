"""The course that one saga takes: where it stands, what it has begun, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Literal

from typing_extensions import override

from restate_patterns.api.context import Context
from restate_patterns.errors import TerminalError, UsageError
from restate_patterns.patterns.saga.bounds import Bounds
from restate_patterns.patterns.saga.errors import SagaFailed
from restate_patterns.patterns.saga.final import failure_of, is_final, recorded
from restate_patterns.patterns.saga.forward import Forward, Going
from restate_patterns.patterns.saga.locks import SAGA_HEADER, Lockable, LockRequest
from restate_patterns.patterns.saga.marks import Marks
from restate_patterns.patterns.saga.parts import Parted, begin_undoing, enter, group_in, innermost, leave, undoes
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.record import SagaRecord, SagaState, SagaStepKind, SagaStepState
from restate_patterns.patterns.saga.stack import Group, LateGroup
from restate_patterns.patterns.saga.teller import Teller, check_hosted
from restate_patterns.patterns.saga.underway import Begun, UnderWay
from restate_patterns.patterns.saga.undos import Owing, Undos
from restate_patterns.patterns.saga.unwinding import Unwinding
from restate_patterns.toolkit import (
    ATTEMPT_OVER,
    ended,
    handler_label,
    must_not_end,
    number_in_attempt,
    owed,
)


class Course(Owing, Going, Parted):
    """One saga, as its undo actions, actions and parts see it. See `Saga`."""

    def __init__(self, ctx: Context, name: str | None, policy: UndoPolicy, bounds: Bounds, *, logged: bool) -> None:
        self.ctx = ctx
        self.policy = policy
        self._name = name or handler_label(ctx)
        self._bounds = bounds
        self._logged = logged
        self._root = Group(is_root=True)
        self._state: Literal["new", "open", "pivoted", "over"] = "new"
        self._under_way = UnderWay(self._lost)
        self._marks = Marks(ctx, self._under_way)
        self._shield: AbstractContextManager[None] | None = None
        self.teller = Teller(ctx, SagaRecord(id="", name=self._name), self._owed, logged=logged)
        self._unwinding = Unwinding(ctx, self.teller)

    async def begin_all(self) -> None:
        """Begin the saga itself, in the running task."""
        if self._state != "new":
            raise UsageError("a Saga is for one `async with` block: make another")
        if self._logged:
            check_hosted(self.ctx, f"the saga {self._name!r} is logged")
        number = number_in_attempt(self.ctx, Course)
        self._id = self.ctx.invocation_id if number == 1 else f"{self.ctx.invocation_id}.{number}"
        self.teller.opened(self._id)
        self._state = "open"
        self._task = asyncio.current_task()
        self._root.outer = innermost()
        self._token = enter(self._root)
        try:
            await self.teller.tell()
        except BaseException:
            leave(self._token)
            raise
        await self._bounds.begin()

    async def end_all(self, left_with: BaseException | None) -> None:
        """End the saga itself, which its block was left with an error or without.

        Raises:
            SagaFailed: Some of it could not be undone.
            TimeoutError: It took longer than it may.
            TerminalError: It was left with an error that undoes it and is not terminal.
        """
        leave(self._token)
        try:
            error = await self._bounds.end(left_with, self._name)
            if error is not None and not is_final(error):
                self._must_not_be_caught(error)
                return
            cancelled = await self._all_ended() if error is None else None
            self._root.is_failing = error is not None or cancelled is not None
            chosen = error if error is not left_with and isinstance(error, TerminalError) else None
            await self._see_to_the_end(self._end(error or cancelled, chosen), error or cancelled)
            if cancelled is not None:
                raise cancelled
            if error is not None and error is not left_with:
                raise error from left_with
        finally:
            if self._shield is not None:
                self._shield.__exit__(None, None, None)

    def pivot(self) -> None:
        """Go only forward from here; see `Saga.pivot`."""
        self.check_open()
        if self._state == "pivoted":
            raise UsageError("the saga has passed its pivot: it has one")
        if asyncio.current_task() is not self._task:
            raise UsageError("saga.pivot() belongs in the block of the saga itself, not in a task started there")
        if begun := ", ".join(dict.fromkeys(self._under_way.names(self._root))):
            raise UsageError(f"saga.pivot() while {begun} may still fail: await what was begun before it")
        self._root.close("the saga has passed its pivot and only goes forward; register undo actions before it")
        self._state = "pivoted"
        self._bounds.lift()
        self.teller.step_stands(self.teller.began(SagaStepKind.PIVOT, "pivot"), SagaStepState.DONE)
        self._shield = self.ctx.shielded()
        self._shield.__enter__()

    async def lock(self, record: Lockable, policy: Literal["reject", "wait"], timeout: timedelta | None) -> None:
        """Mark a record as pending; see `Saga.lock`."""
        begun = self.begun(group_in(self._root), "saga.lock(...)")
        request = LockRequest(owner=self._id, invocation=self.ctx.invocation_id, policy=policy)
        await self._marks.lock(record, request, begun, timeout)

    @override
    async def undo_part(self, part: Group, error: BaseException) -> None:
        if self._state == "open":
            part.is_failing = True
            with self._under_way.begin(part.outer or self._root, "an undo"):
                await self._see_to_the_end(self._undo(part, error), error)

    @override
    def group(self) -> Group:
        group = group_in(self._root)
        failing = None if undoes(self._root) else group.failing
        return group if failing is None else LateGroup(outer=failing)

    @override
    def check_open(self) -> None:
        if self._state == "new":
            raise UsageError("the saga has not begun: use it inside `async with Saga(ctx) as saga:`")
        if self._state == "over":
            raise UsageError("the saga is over: nobody would undo this. Use it inside its `async with` block")

    @override
    def headers(self) -> Mapping[str, str]:
        return {SAGA_HEADER: self._id} if self._marks else {}

    @property
    @override
    def pivoted(self) -> bool:
        return self._state == "pivoted"

    def registrar(self) -> Undos:
        """Return what registers undo actions where the running code is, also when that code has gone on."""
        group = self.begin()
        group.check_open("of an action")
        return Undos(self, self.policy, group)

    def forward(self) -> Forward:
        """Return what does actions where the running code is."""
        return Forward(self, self.begin(), self.teller, self._unwinding, self.policy)

    @override
    def begin(self) -> Group:
        self.check_open()
        group = group_in(self._root)
        if not undoes(self._root):
            group.check_begins("what a task of it would do next")
        return group

    @override
    def begun(self, group: Group, name: str) -> Begun:
        self.check_open()
        if not undoes(self._root):
            group.check_begins(name)
        return self._under_way.begin(group, name)

    async def _see_to_the_end(
        self, work: Coroutine[None, None, SagaFailed | None], error: BaseException | None
    ) -> None:
        """Do what is owed, whatever cancels this task meanwhile; raise what it comes to."""
        with self.ctx.shielded():
            ending = owed(work)
            cancelled = await ended(ending)
        try:
            failure = ending.result()
        except ATTEMPT_OVER:
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

    async def _end(self, error: BaseException | None, chosen: TerminalError | None) -> SagaFailed | None:
        failure: SagaFailed | None = None
        if chosen is not None:
            # Nothing else in the journal says that it came: a replay without it must not pass for another saga.
            await self.ctx.run(f"undo {self._name}", self._because, chosen.message)
        if error is None:
            state = SagaState.COMMITTED
            self._root.close("the saga has ended")
        elif self._state == "pivoted":
            state = SagaState.FAILED
            await self._under_way.all_ended(self._root)
        else:
            failure = await self._undo(self._root, error)
            state = SagaState.UNDONE if failure is None else SagaState.FAILED
        await self._marks.give_back(self._id)
        self._state = "over"
        self.teller.ended(state, None if error is None else recorded(error))
        await self.teller.tell()
        return failure

    async def _undo(self, part: Group, error: BaseException) -> SagaFailed | None:
        """Undo a part of the stack; gives the error to raise instead, if some of it was skipped."""
        begin_undoing(self._root)
        self.teller.undoing(recorded(error))
        await self._under_way.all_ended(part)
        before = self.teller.step_count()
        await self._unwinding.undo(part)
        self.teller.undone(rest_fails=self._root.is_failing)
        return failure_of(error, self.teller.skipped_undos(before))

    async def _because(self, said: str) -> str:
        return said

    def _lost(self, error: BaseException) -> None:
        """Take the error of an action that nobody awaits any more: what must be tried again is."""
        if not isinstance(error, ATTEMPT_OVER) and not is_final(error):
            self.teller.break_off(error)

    def _must_not_be_caught(self, error: BaseException) -> None:
        must_not_end(
            self.ctx,
            f"the saga {self._name!r} was left by {type(error).__name__} ({error}), which undoes nothing because it "
            "is tried again, and then the handler caught that error and ended. Catch it inside the `async with` "
            "block, or raise a TerminalError in its place",
        )

    def _owed(self) -> list[str]:
        return list(self._root.names())
