"""Administers a server, embedded or Restate: `AdminClient`, what it gives, and its errors."""

from __future__ import annotations

from restate_patterns.admin.client import AdminClient
from restate_patterns.admin.deployments import DeploymentView, Registration
from restate_patterns.admin.errors import (
    AdminError,
    BreakingChange,
    DiscoveryFailed,
    EndpointChanged,
    EndpointRefusesIdentity,
    EndpointSpeaksHttp1,
    EndpointUnreachable,
    FunctionNotInvoked,
    NoAnswer,
    NotAnAdminApi,
    NotAnEndpoint,
    NotFound,
    NothingToRegister,
    NotKeyed,
    Refused,
    RegistrationError,
    StateConflict,
    StatePending,
    UnsupportedServer,
)
from restate_patterns.admin.services import HandlerView, ServiceView
from restate_patterns.client.servers import ServerKind, ServerVersion
from restate_patterns.engine.errors import (
    CancelRefused,
    EngineError,
    InvocationCompleted,
    InvocationNotCompleted,
    InvocationNotPaused,
    MalformedId,
)
from restate_patterns.engine.interface import (
    CancelOutcome,
    InvocationDetail,
    InvocationFilter,
    InvocationStatus,
    InvocationView,
    JournalEntryView,
)

__all__ = [
    "AdminClient",
    "AdminError",
    "BreakingChange",
    "CancelOutcome",
    "CancelRefused",
    "DeploymentView",
    "DiscoveryFailed",
    "EndpointChanged",
    "EndpointRefusesIdentity",
    "EndpointSpeaksHttp1",
    "EndpointUnreachable",
    "EngineError",
    "FunctionNotInvoked",
    "HandlerView",
    "InvocationCompleted",
    "InvocationDetail",
    "InvocationFilter",
    "InvocationNotCompleted",
    "InvocationNotPaused",
    "InvocationStatus",
    "InvocationView",
    "JournalEntryView",
    "MalformedId",
    "NoAnswer",
    "NotAnAdminApi",
    "NotAnEndpoint",
    "NotFound",
    "NotKeyed",
    "NothingToRegister",
    "Refused",
    "Registration",
    "RegistrationError",
    "ServerKind",
    "ServerVersion",
    "ServiceView",
    "StateConflict",
    "StatePending",
    "UnsupportedServer",
]
