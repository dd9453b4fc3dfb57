"""Typed services, virtual objects and workflows that survive crashes, in plain asyncio.

    from restate_patterns import App, Embedded, ObjectContext, State, VirtualObject, handler

Everything public is imported from here; each name has this one path.
"""

from __future__ import annotations

from restate_patterns.api.awakeables import Awakeable, AwakeableId
from restate_patterns.api.context import (
    Context,
    ObjectContext,
    ObjectSharedContext,
    WorkflowContext,
    WorkflowSharedContext,
)
from restate_patterns.api.definitions import Definition, Service, VirtualObject, Workflow
from restate_patterns.api.handler_clients import HandlerClient
from restate_patterns.api.handlers import Handler, HandlerRef, handler
from restate_patterns.api.invocation_handles import InvocationHandle, NotReady
from restate_patterns.api.named_values import NamedPromise, NamedState, ReadOnlyState
from restate_patterns.api.promises import DurablePromise
from restate_patterns.api.signals import AwaitedSignal, Signal, SignalHandle
from restate_patterns.api.state import State
from restate_patterns.api.typed_clients import Clients
from restate_patterns.app import App
from restate_patterns.backends.embedded import Embedded
from restate_patterns.backends.ingress_app import IngressApp
from restate_patterns.backends.restate import Restate
from restate_patterns.client import BlockingClient, Client
from restate_patterns.client.errors import (
    ClientClosed,
    ClientError,
    InvocationPaused,
    OutcomeUnknown,
    RequestRefused,
    ServerUnavailable,
    ServerUnreachable,
    UnexpectedAnswer,
)
from restate_patterns.engine.backend import Backend
from restate_patterns.errors import (
    AlreadyCompleted,
    AlreadyInvoked,
    AttemptSpins,
    CallNotAwaited,
    Cancelled,
    ContextError,
    DeadlockError,
    DefinitionError,
    IdempotencyKeyReused,
    InvalidInput,
    InvocationNotFound,
    JournalMismatch,
    Killed,
    NotDurable,
    StateNotSet,
    StepFailed,
    TerminalError,
    TimedOut,
    UndefinedName,
    UnreadableValue,
    UsageError,
    WrongValue,
)
from restate_patterns.options import Step
from restate_patterns.patterns.fan_out.errors import FanOutFailed
from restate_patterns.patterns.fan_out.fan_out import FanOut, fan_out, fan_out_as_completed, first_success, quorum
from restate_patterns.patterns.fan_out.outcomes import FanOutProgress, Outcome
from restate_patterns.patterns.fan_out.pages import FanOutPages, fan_out_services
from restate_patterns.patterns.fan_out.policies import Tolerate
from restate_patterns.patterns.machines.errors import EventRefused, IllegalEvent
from restate_patterns.patterns.machines.history import Change
from restate_patterns.patterns.machines.machine import StateMachine
from restate_patterns.patterns.machines.status import Status
from restate_patterns.patterns.machines.timers import LateTimer
from restate_patterns.patterns.machines.transitions import Transition
from restate_patterns.patterns.saga.actions import SagaAction
from restate_patterns.patterns.saga.desk import Decision, DecisionRequest, SagaLog, StuckSagas, StuckStep, saga_services
from restate_patterns.patterns.saga.diagram import saga_diagram
from restate_patterns.patterns.saga.errors import NotStuck, RecordPending, SagaFailed, UnknownSaga
from restate_patterns.patterns.saga.locks import Lockable
from restate_patterns.patterns.saga.policy import UndoPolicy
from restate_patterns.patterns.saga.record import (
    ErrorRecord,
    SagaRecord,
    SagaState,
    SagaStep,
    SagaStepKind,
    SagaStepState,
    UndoError,
)
from restate_patterns.patterns.saga.saga import Saga
from restate_patterns.patterns.saga.undos import Undos
from restate_patterns.patterns.schedules.declaration import ScheduleDeclaration, Tick
from restate_patterns.patterns.schedules.errors import BackfillTooLong, ScheduleRefused, UnknownSchedule
from restate_patterns.patterns.schedules.hosting import schedule_services
from restate_patterns.patterns.schedules.keeper import ScheduleIndex, Schedules, ScheduleSpan
from restate_patterns.patterns.schedules.record import ScheduleRecord, ScheduleRun
from restate_patterns.patterns.schedules.schedule import Schedule
from restate_patterns.patterns.statecharts.events import chart_event
from restate_patterns.patterns.statecharts.snapshot import ChartSnapshot, PendingEvent
from restate_patterns.patterns.statecharts.statechart import ChartMessage, Statechart
from restate_patterns.retries import RetryableError, RetryPolicy

__all__ = [
    "AlreadyCompleted",
    "AlreadyInvoked",
    "App",
    "AttemptSpins",
    "AwaitedSignal",
    "Awakeable",
    "AwakeableId",
    "Backend",
    "BackfillTooLong",
    "BlockingClient",
    "CallNotAwaited",
    "Cancelled",
    "Change",
    "ChartMessage",
    "ChartSnapshot",
    "Client",
    "ClientClosed",
    "ClientError",
    "Clients",
    "Context",
    "ContextError",
    "DeadlockError",
    "Decision",
    "DecisionRequest",
    "Definition",
    "DefinitionError",
    "DurablePromise",
    "Embedded",
    "ErrorRecord",
    "EventRefused",
    "FanOut",
    "FanOutFailed",
    "FanOutPages",
    "FanOutProgress",
    "Handler",
    "HandlerClient",
    "HandlerRef",
    "IdempotencyKeyReused",
    "IllegalEvent",
    "IngressApp",
    "InvalidInput",
    "InvocationHandle",
    "InvocationNotFound",
    "InvocationPaused",
    "JournalMismatch",
    "Killed",
    "LateTimer",
    "Lockable",
    "NamedPromise",
    "NamedState",
    "NotDurable",
    "NotReady",
    "NotStuck",
    "ObjectContext",
    "ObjectSharedContext",
    "Outcome",
    "OutcomeUnknown",
    "PendingEvent",
    "ReadOnlyState",
    "RecordPending",
    "RequestRefused",
    "Restate",
    "RetryPolicy",
    "RetryableError",
    "Saga",
    "SagaAction",
    "SagaFailed",
    "SagaLog",
    "SagaRecord",
    "SagaState",
    "SagaStep",
    "SagaStepKind",
    "SagaStepState",
    "Schedule",
    "ScheduleDeclaration",
    "ScheduleIndex",
    "ScheduleRecord",
    "ScheduleRefused",
    "ScheduleRun",
    "ScheduleSpan",
    "Schedules",
    "ServerUnavailable",
    "ServerUnreachable",
    "Service",
    "Signal",
    "SignalHandle",
    "State",
    "StateMachine",
    "StateNotSet",
    "Statechart",
    "Status",
    "Step",
    "StepFailed",
    "StuckSagas",
    "StuckStep",
    "TerminalError",
    "Tick",
    "TimedOut",
    "Tolerate",
    "Transition",
    "UndefinedName",
    "UndoError",
    "UndoPolicy",
    "Undos",
    "UnexpectedAnswer",
    "UnknownSaga",
    "UnknownSchedule",
    "UnreadableValue",
    "UsageError",
    "VirtualObject",
    "Workflow",
    "WorkflowContext",
    "WorkflowSharedContext",
    "WrongValue",
    "chart_event",
    "fan_out",
    "fan_out_as_completed",
    "fan_out_services",
    "first_success",
    "handler",
    "quorum",
    "saga_diagram",
    "saga_services",
    "schedule_services",
]
