"""What one saga tells of itself while it runs: its record, and who hears of it.

A saga nobody asked about tells nobody, until something of it is stuck.
"""

from __future__ import annotations

from collections.abc import Callable

from restate_patterns.api.context import Context
from restate_patterns.api.definition_reader import resolve
from restate_patterns.api.scopes import scope_of
from restate_patterns.errors import TerminalError, UsageError
from restate_patterns.patterns.saga.desk import DESK, Decision, SagaLog, StuckSagas, StuckStep
from restate_patterns.patterns.saga.record import (
    ErrorRecord,
    SagaRecord,
    SagaState,
    SagaStep,
    SagaStepKind,
    SagaStepState,
)


class Teller:
    """Keeps the record of a saga.

    Args:
        ctx: The saga's context.
        record: What is known of it at first.
        owed: Gives the names of what would be undone.
        logged: Whether the log hears of every step.
    """

    def __init__(self, ctx: Context, record: SagaRecord, owed: Callable[[], list[str]], *, logged: bool) -> None:
        self.record = record
        self._ctx = ctx
        self._owed = owed
        self._logged = logged
        self._stuck_count = 0

    def began(self, kind: SagaStepKind, name: str, participant: str | None = None) -> SagaStep:
        """Note that a step begins."""
        step = SagaStep(number=len(self.record.steps) + 1, kind=kind, name=name, participant=participant)
        self.record.steps.append(step)
        return step

    def failed(self, step: SagaStep, error: TerminalError) -> None:
        """Note that a try of a step ended with a terminal error."""
        step.failed_count += 1
        step.last_error = ErrorRecord.of(error)

    def snapshot(self) -> SagaRecord:
        """Give the record as it is now."""
        return self.record.model_copy(update={"owed": self._owed()}, deep=True)

    async def tell(self) -> None:
        """Send the record to the log, if it is to hear of it."""
        if self._logged:
            await self._ctx.object_client(SagaLog, self.record.id).keep.send(self.snapshot())

    def break_off(self, error: BaseException) -> None:
        """End the attempt here with an error that is tried again."""
        scope_of(self._ctx).attempt.callback_failed(error)

    def check_desk(self, step: SagaStep) -> None:
        """Check that there is a desk where a step that gave up can wait.

        Raises:
            UsageError: Nobody hosts one; the invocation pauses, and parks when it is resumed with one.
        """
        assert step.last_error is not None
        check_hosted(self._ctx, f"{step.name!r} of the saga {self.record.name!r} gave up ({step.last_error.message})")

    async def ask_a_person(self, step: SagaStep, failed_count: int) -> Decision:
        """Park a step that gave up until a person has decided.

        Raises:
            UsageError: Nobody hosts the desk.
        """
        self.check_desk(step)
        assert step.last_error is not None
        self._logged = True
        self._stuck_count += 1
        step.state, self.record.state = SagaStepState.STUCK, SagaState.STUCK
        answer = self._ctx.awakeable(Decision)
        stuck = StuckStep(
            saga=self.record.id,
            saga_name=self.record.name,
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
            self.record.name,
            self.record.id,
            step.number,
            step.name,
            step.last_error.message,
        )
        decision = await answer
        self._stuck_count -= 1
        if not self._stuck_count:
            self.record.state = self._unstuck()
        step.decisions.append(decision.words())
        return decision

    def _unstuck(self) -> SagaState:
        undoes = any(step.kind is SagaStepKind.UNDO for step in self.record.steps)
        return SagaState.UNDOING if undoes else SagaState.RUNNING


def check_hosted(ctx: Context, why: str) -> None:
    """Check that the app hosts what people find stuck sagas by.

    Raises:
        UsageError: It does not.
    """
    hosted = scope_of(ctx).attempt.hosted
    missing = [cls.__name__ for cls in (StuckSagas, SagaLog) if resolve(cls).name not in hosted]
    if missing:
        raise UsageError(
            f"{why}, and this app does not host {' and '.join(missing)}, where people find it: write "
            "`App([..., *saga_services()])`, and resume the invocation"
        )
