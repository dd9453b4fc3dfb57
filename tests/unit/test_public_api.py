"""The public API is this list; a change of it is a change here."""

from __future__ import annotations

import types

import restate_patterns

PUBLIC = """
    AlreadyCompleted AlreadyInvoked App AttemptSpins AwaitedSignal Awakeable AwakeableId Backend BackfillTooLong
    BlockingClient CallNotAwaited Cancelled Change ChartMessage ChartSnapshot Client ClientClosed ClientError
    Clients Context ContextError DeadlockError Decision DecisionRequest Definition DefinitionError DurablePromise
    Embedded ErrorRecord EventRefused FanOut FanOutFailed FanOutPages FanOutProgress Handler HandlerClient
    HandlerRef IdempotencyKeyReused IllegalEvent IngressApp InvalidInput InvocationHandle InvocationNotFound
    InvocationPaused JournalMismatch Killed LateTimer Lockable NamedPromise NamedState NotDurable NotReady NotStuck
    ObjectContext ObjectSharedContext Outcome OutcomeUnknown PendingEvent ReadOnlyState RecordPending RequestRefused
    Restate RetryPolicy RetryableError Saga SagaAction SagaFailed SagaLog SagaRecord SagaState SagaStep SagaStepKind
    SagaStepState Schedule ScheduleDeclaration ScheduleIndex ScheduleRecord ScheduleRefused ScheduleRun ScheduleSpan
    Schedules ServerUnavailable ServerUnreachable Service Signal SignalHandle State StateMachine StateNotSet
    Statechart Status Step StepFailed StuckSagas StuckStep TerminalError Tick TimedOut Tolerate Transition
    UndefinedName UndoError UndoPolicy Undos UnexpectedAnswer UnknownSaga UnknownSchedule UnreadableValue UsageError
    VirtualObject Workflow WorkflowContext WorkflowSharedContext WrongValue chart_event fan_out fan_out_as_completed
    fan_out_services first_success handler quorum saga_diagram saga_services schedule_services
"""


def test_the_public_names() -> None:
    assert sorted(restate_patterns.__all__) == sorted(PUBLIC.split())


def test_nothing_else_looks_public() -> None:
    found = {
        name
        for name, value in vars(restate_patterns).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert found - {"annotations"} == set(restate_patterns.__all__)


def test_each_public_name_is_documented() -> None:
    undocumented = [name for name in restate_patterns.__all__ if not getattr(restate_patterns, name).__doc__]

    assert undocumented == []
