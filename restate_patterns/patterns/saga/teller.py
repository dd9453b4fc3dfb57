"""What one saga tells of itself while it runs: its record, and who hears of it.

A saga nobody asked about tells nobody, until something of it is stuck.
"""

from __future__ import annotations

from collections.abc import Callable

from restate_patterns.api.context import Context
from restate_patterns.errors import TerminalError, UsageError
from restate_patterns.patterns.saga.desk import DESK, Decision, SagaLog, StuckSagas, StuckStep
from restate_patterns.patterns.saga.record import (
    ErrorRecord,
    SagaRecord,
    SagaState,
    SagaStep,
    SagaStepKind,
    SagaStepState,
    UndoError,
)
from restate_patterns.toolkit import break_off, hosts


class Teller:
    """Keeps the record of a saga: nobody else changes it.

    Args:
        ctx: The saga's context.
        record: What is known of it at first.
        owed: Gives the names of what would be undone.
        logged: Whether the log hears of every step.
    """

    def __init__(self, ctx: Context, record: SagaRecord, owed: Callable[[], list[str]], *, logged: bool) -> None:
        self._record = record
        self._ctx = ctx
        self._owed = owed
        self._logged = logged
        self._stuck_count = 0

    def opened(self, saga_id: str) -> None:
        """Note that the saga has begun."""
        self._record.id = saga_id

    def undoing(self, error: ErrorRecord) -> None:
        """Note that something of the saga is being undone."""
        self._record.state, self._record.error = SagaState.UNDOING, error

    def undone(self, *, rest_fails: bool) -> None:
        """Note that a part of the saga is undone; the rest goes on, or is undone with it."""
        self._record.state = SagaState.UNDOING if rest_fails else SagaState.RUNNING

    def ended(self, state: SagaState, error: ErrorRecord | None) -> None:
        """Note how the saga ended, and with which error; what a savepoint failed with is over by then."""
        self._record.state, self._record.error = state, error

    def step_count(self) -> int:
        """Return how many steps there have been."""
        return len(self._record.steps)

    def skipped_undos(self, since: int) -> list[UndoError]:
        """Return the undo actions that were skipped, among the steps after the first `since`, in order."""
        return [
            UndoError(step=step.name, error=step.last_error, decision=step.decisions[-1])
            for step in self._record.steps[since:]
            if step.kind is SagaStepKind.UNDO and step.state is SagaStepState.SKIPPED and step.last_error is not None
        ]

    def began(self, kind: SagaStepKind, name: str, participant: str | None = None) -> SagaStep:
        """Note that a step begins."""
        step = SagaStep(number=len(self._record.steps) + 1, kind=kind, name=name, participant=participant)
        self._record.steps.append(step)
        return step

    def failed(self, step: SagaStep, error: TerminalError) -> None:
        """Note that a try of a step ended with a terminal error."""
        step.failed_count += 1
        step.last_error = ErrorRecord.of(error)

    def refused(self, step: SagaStep, error: TerminalError) -> None:
        """Note that what a person supplied for a step does not do."""
        step.decisions[-1] += f" (which does not do: {error.message})"
        step.last_error = ErrorRecord.of(error)

    def step_stands(self, step: SagaStep, state: SagaStepState) -> None:
        """Note how a step stands."""
        step.state = state

    def snapshot(self) -> SagaRecord:
        """Return the record as it is now."""
        return self._record.model_copy(update={"owed": self._owed()}, deep=True)

    async def tell(self) -> None:
        """Send the record to the log, if it is to hear of it."""
        if self._logged:
            await self._ctx.object_client(SagaLog, self._record.id).keep.send(self.snapshot())

    def break_off(self, error: BaseException) -> None:
        """End the attempt here with an error that is tried again."""
        break_off(self._ctx, error)

    def check_desk(self, step: SagaStep) -> None:
        """Check that there is a desk where a step that gave up can wait.

        Raises:
            UsageError: Nobody hosts one; the invocation pauses, and parks when it is resumed with one.
        """
        assert step.last_error is not None
        check_hosted(self._ctx, f"{step.name!r} of the saga {self._record.name!r} gave up ({step.last_error.message})")

    async def ask_a_person(self, step: SagaStep, failed_count: int) -> Decision:
        """Park a step that gave up until a person has decided.

        Raises:
            UsageError: Nobody hosts the desk.
        """
        self.check_desk(step)
        assert step.last_error is not None
        self._logged = True
        self._stuck_count += 1
        step.state, self._record.state = SagaStepState.STUCK, SagaState.STUCK
        answer = self._ctx.awakeable(Decision)
        stuck = StuckStep(
            saga=self._record.id,
            saga_name=self._record.name,
            number=step.number,
            name=step.name,
            error=step.last_error,
            failed_count=failed_count,
            answer=answer.id,
        )
        await self.tell()
        await self._ctx.object_client(StuckSagas, DESK).park.send(stuck)
        self._ctx.logger.error(
            "the saga %s (%s) is stuck at step %d, %s: %s (restate-patterns sagas list)",
            self._record.name,
            self._record.id,
            step.number,
            step.name,
            step.last_error.message,
        )
        decision = await answer
        self._stuck_count -= 1
        if not self._stuck_count:
            self._record.state = self._unstuck()
        step.decisions.append(decision.words())
        return decision

    def _unstuck(self) -> SagaState:
        undoes = any(step.kind is SagaStepKind.UNDO for step in self._record.steps)
        return SagaState.UNDOING if undoes else SagaState.RUNNING


def check_hosted(ctx: Context, why: str) -> None:
    """Check that the app hosts what people find stuck sagas by.

    Raises:
        UsageError: It does not.
    """
    missing = [cls.__name__ for cls in (StuckSagas, SagaLog) if not hosts(ctx, cls)]
    if missing:
        raise UsageError(
            f"{why}, and this app does not host {' and '.join(missing)}, where people find it: write "
            "`App([..., *saga_services()])`, and resume the invocation"
        )
