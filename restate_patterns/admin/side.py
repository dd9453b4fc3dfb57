"""What differs between the two kinds of server, as one protocol that each stands behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from restate_patterns.admin.connection import Connection
from restate_patterns.admin.deployments import Registration
from restate_patterns.admin.refusals import refusal_of
from restate_patterns.admin.services import ServiceView
from restate_patterns.engine.interface import CancelOutcome, InvocationDetail, InvocationFilter, InvocationView


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOptions:
    """How an endpoint is registered; see `AdminClient.register`."""

    force: bool = False
    breaking: bool = False
    use_http_11: bool = False
    assume_role: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class Side(Protocol):
    """One kind of server. `AdminClient` says what each method promises."""

    async def list_services(self) -> Sequence[ServiceView]:
        """List the services, each in its newest revision."""
        ...

    async def describe_service(self, name: str) -> ServiceView:
        """Return one service with its handlers."""
        ...

    async def remove_deployment(self, deployment_id: str) -> None:
        """Forget a deployment."""
        ...

    async def list_invocations(
        self, chosen: InvocationFilter, limit: int, after: str | None
    ) -> Sequence[InvocationView]:
        """List invocations, newest first."""
        ...

    async def describe_invocation(self, invocation_id: str) -> InvocationDetail:
        """Return one invocation with its journal."""
        ...

    async def killed_with(self, invocation_id: str) -> Sequence[InvocationView]:
        """Return what a kill of an invocation takes down with it."""
        ...

    async def cancel(self, invocation_id: str) -> CancelOutcome:
        """Ask an invocation to cancel."""
        ...

    async def pause(self, invocation_id: str) -> None:
        """Make no more attempts until it is resumed."""
        ...

    async def resume(self, invocation_id: str) -> None:
        """Make the next attempt now."""
        ...

    async def get_state(self, service: str, key: str) -> Mapping[str, bytes]:
        """Return all state of a key."""
        ...

    async def set_state(self, service: str, key: str, values: Mapping[str, bytes], replace: bool) -> None:
        """Write names of a key's state."""
        ...

    async def clear_state(self, service: str, key: str, names: Iterable[str] | None) -> None:
        """Remove names of a key's state, or all."""
        ...

    async def register(self, url: str, options: RegisterOptions) -> Registration:
        """Register an endpoint."""
        ...


async def act(connection: Connection, verb: str, invocation_id: str) -> tuple[int, Mapping[str, object]]:
    """Do a verb on an invocation, which both kinds of server do at one path; gives status and body.

    Raises:
        Exception: It is refused; see `refusals`.
    """
    answer = await connection.ask("PATCH", "invocations", invocation_id, verb)
    if not answer.success:
        raise refusal_of(verb, invocation_id, answer)
    return answer.status, answer.fields


def cancel_outcome(status: int) -> CancelOutcome:
    """Read what a cancel came to from the status of its answer."""
    return CancelOutcome.RUNNING if status == 202 else CancelOutcome.REMOVED
