"""`AdminClient`: one client of the admin API of an embedded server and of a Restate server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import httpx

from restate_patterns.admin.connection import Connection, objects
from restate_patterns.admin.deployments import DeploymentView, Registration, deployment_of, is_function
from restate_patterns.admin.embedded_side import EmbeddedSide
from restate_patterns.admin.errors import UnsupportedServer
from restate_patterns.admin.restate_side import RestateSide
from restate_patterns.admin.services import ServiceView
from restate_patterns.admin.side import RegisterOptions, Side, act
from restate_patterns.client.resolving import resolve, server_version
from restate_patterns.client.servers import ServerKind, ServerVersion
from restate_patterns.engine.interface import CancelOutcome, InvocationDetail, InvocationFilter, InvocationView
from restate_patterns.limits import LIST_LIMIT_MAX
from restate_patterns.seam import InvocationRef

OLDEST_RESTATE: Final = (1, 5)
"""Restate 1.5 brought pausing, resuming and restarting of invocations, and retry policies of services."""

NEWEST_ADMIN_API: Final = 4
"""The newest version of Restate's admin API that this client was tried with (Restate 1.7)."""


class AdminClient:
    """Administers a server, embedded or Restate, with the same verbs.

        async with AdminClient("http://127.0.0.1:9070") as admin:
            await admin.register("http://127.0.0.1:9080")

    Which kind of server it is, it finds out at the first request. Every method raises
    `ServerUnreachable` when no server answers, `UnexpectedAnswer` when something else does or the token
    is refused, `UnsupportedServer` for a version of Restate that is too old, and an `AdminError` for
    what is refused.

    Args:
        url: The admin API.
        token: Sent as `authorization: Bearer ...` with each request.
        transport: What carries the requests. Default: sockets.

    Raises:
        ValueError: The URL is none of a server.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:9070",
        *,
        token: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._connection = Connection(url, token=token, transport=transport)
        self._server: ServerVersion | None = None

    async def aclose(self) -> None:
        """Close the connections; `async with` does it."""
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def server(self) -> ServerVersion:
        """Say which server answers: its kind and its version.

        Raises:
            UnsupportedServer: It is a version of Restate that this package does not work with.
        """
        if self._server is None:
            found = await server_version(self._connection.send)
            _check(found)
            self._server = found
        return self._server

    async def register(
        self,
        deployment_url: str,
        *,
        force: bool = False,
        breaking: bool = False,
        use_http_11: bool = False,
        assume_role: str | None = None,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Registration:
        """Make the services of an endpoint known to a Restate server, which then calls it.

        Registering again what has not changed changes nothing.

        Args:
            deployment_url: Where the endpoint is, as the server reaches it; or the ARN of an AWS Lambda function
                with its version or alias (`arn:aws:lambda:REGION:ACCOUNT:function:NAME:VERSION`), which it invokes.
            force: Take the services that are at a registered URL now, and what breaks too: for
                development, as invocations in flight go on with the new code.
            breaking: Allow that services change their kind or lose handlers.
            use_http_11: The endpoint speaks HTTP/1.1 only; it suspends at every wait.
            assume_role: The ARN of the role in which the server invokes the function. Default: its own.
            headers: Sent to the endpoint with every request, such as a token for a gateway.
            metadata: Kept with the deployment.

        Raises:
            RegistrationError: It is not registered; the class says why, the sentence what to do.
            ValueError: An option is for the other kind of endpoint.
        """
        if is_function(deployment_url) and use_http_11:
            raise ValueError("use_http_11 (--http1) is for endpoints with a URL, and this is a Lambda function")
        if assume_role is not None and not is_function(deployment_url):
            raise ValueError("assume_role (--assume-role) is for a Lambda function, and this is a URL")
        options = RegisterOptions(
            force=force,
            breaking=breaking,
            use_http_11=use_http_11,
            assume_role=assume_role,
            headers=headers or {},
            metadata=metadata or {},
        )
        return await (await self._side()).register(deployment_url, options)

    async def list_deployments(self) -> Sequence[DeploymentView]:
        """List what is registered; an embedded server has one, itself."""
        await self.server()
        answer = await self._connection.ask("GET", "deployments")
        return [deployment_of(each) for each in objects(answer.checked().fields, "deployments")]

    async def remove_deployment(self, deployment_id: str) -> None:
        """Forget a deployment; invocations in flight on it can no longer advance.

        Raises:
            NotFound: There is no such deployment.
            Refused: It is the app of an embedded server.
        """
        await (await self._side()).remove_deployment(deployment_id)

    async def list_services(self) -> Sequence[ServiceView]:
        """List the services, each in its newest revision."""
        return await (await self._side()).list_services()

    async def describe_service(self, name: str) -> ServiceView:
        """Return one service with its handlers.

        Raises:
            NotFound: There is no such service.
        """
        return await (await self._side()).describe_service(name)

    async def openapi(self, name: str) -> Mapping[str, object]:
        """Return the OpenAPI document of one service.

        Raises:
            NotFound: There is no such service.
        """
        await self.server()
        return (await self._connection.ask("GET", "services", name, "openapi")).checked().fields

    async def list_invocations(
        self, chosen: InvocationFilter | None = None, *, limit: int = 100, after: str | None = None
    ) -> Sequence[InvocationView]:
        """List invocations, newest first.

        Args:
            chosen: Which. Default: all.
            limit: How many at most, up to 1,000.
            after: The id of the last one on the page before.

        Raises:
            ValueError: The limit is out of range.
        """
        if not 1 <= limit <= LIST_LIMIT_MAX:
            raise ValueError(f"limit={limit} must be a whole number from 1 to {LIST_LIMIT_MAX}")
        return await (await self._side()).list_invocations(chosen or InvocationFilter(), limit, after)

    async def describe_invocation(self, invocation_id: str) -> InvocationDetail:
        """Return one invocation with its journal, and what it waits for.

        Raises:
            InvocationNotFound: There is none with this id.
            MalformedId: It is no id.
        """
        return await (await self._side()).describe_invocation(invocation_id)

    async def killed_with(self, invocation_id: str) -> Sequence[InvocationView]:
        """Return what a Restate server would kill together with an invocation: all it has called **or sent**.

        Also what those have called or sent, and sends that are not due yet. An embedded server kills
        the calls that the invocation waits for (its view names them) and lets all sends go on; for it
        this is empty.
        """
        return await (await self._side()).killed_with(invocation_id)

    async def cancel(self, invocation_id: str) -> CancelOutcome:
        """Ask an invocation to cancel; it may undo. A paused one is resumed, so that it can.

        Raises:
            InvocationCompleted: It has ended.
            CancelRefused: Its journal does not match the code (embedded; Restate does not know).
            InvocationNotFound: There is none with this id.
            MalformedId: It is no id.
        """
        return await (await self._side()).cancel(invocation_id)

    async def kill(self, invocation_id: str) -> None:
        """End an invocation without running any of its code; see `killed_with` for what goes down too.

        Raises:
            InvocationCompleted: It has ended.
            InvocationNotFound: There is none with this id.
            MalformedId: It is no id.
        """
        await self._act("kill", invocation_id)

    async def pause(self, invocation_id: str) -> None:
        """Make no more attempts until it is resumed.

        Raises:
            InvocationCompleted: It has ended.
            InvocationNotPaused: It is not in a state that can be paused.
            InvocationNotFound: There is none with this id.
            MalformedId: It is no id.
        """
        await (await self._side()).pause(invocation_id)

    async def resume(self, invocation_id: str) -> None:
        """Make the next attempt now: of a paused invocation, or of one that backs off.

        Raises:
            InvocationCompleted: It has ended.
            InvocationNotPaused: There is nothing to resume.
            InvocationNotFound: There is none with this id.
            MalformedId: It is no id.
        """
        await (await self._side()).resume(invocation_id)

    async def restart_as_new(self, invocation_id: str) -> str:
        """Start a completed invocation again from its beginning as a new one; gives the new id.

        Raises:
            InvocationNotCompleted: It has not ended.
            InvocationNotFound: There is none with this id.
            MalformedId: It is no id.
            Refused: Restate does not restart workflows, nor what has no journal any more.
        """
        return str((await self._act("restart-as-new", invocation_id))["new_invocation_id"])

    async def purge(self, invocation_id: str) -> None:
        """Forget a completed invocation before its retention is over.

        Raises:
            InvocationNotCompleted: It has not ended.
            InvocationNotFound: There is none with this id.
            MalformedId: It is no id.
        """
        await self._act("purge", invocation_id)

    async def resolve_ref(self, ref: InvocationRef) -> str:
        """Return the id of the invocation that a reference names.

        Raises:
            InvocationNotFound: It names nothing.
        """
        return await resolve(ref, (await self.server()).kind, self._connection.send)

    async def get_state(self, service: str, key: str) -> Mapping[str, bytes]:
        """Return all state of a key by name; empty when it has none.

        Raises:
            NotFound: There is no such service.
            NotKeyed: It has no keys.
        """
        return await (await self._side()).get_state(service, key)

    async def set_state(self, service: str, key: str, values: Mapping[str, bytes], *, replace: bool = False) -> None:
        """Write the given names, in the key's turn; the others stay, or go with `replace`.

        Nothing that is written at the same time is lost: on Restate a write that met another one is an
        error instead.

        Raises:
            NotFound: There is no such service.
            NotKeyed: It has no keys.
            StateConflict: The state was changed while the write waited for its turn (Restate).
            StatePending: It still waits for its turn (Restate).
            NoAnswer: It still waits for its turn (embedded).
        """
        await (await self._side()).set_state(service, key, values, replace)

    async def clear_state(self, service: str, key: str, names: Iterable[str] | None = None) -> None:
        """Remove the given names, or all for None, in the key's turn; raises what `set_state` does."""
        await (await self._side()).clear_state(service, key, names)

    async def _side(self) -> Side:
        kind = (await self.server()).kind
        return EmbeddedSide(self._connection) if kind is ServerKind.EMBEDDED else RestateSide(self._connection)

    async def _act(self, verb: str, invocation_id: str) -> Mapping[str, object]:
        await self.server()
        return (await act(self._connection, verb, invocation_id))[1]


def _check(found: ServerVersion) -> None:
    if found.kind is ServerKind.EMBEDDED:
        return
    if found.numbers < OLDEST_RESTATE:
        oldest = ".".join(map(str, OLDEST_RESTATE))
        raise UnsupportedServer(
            found.version,
            f"{oldest} or newer is needed, which can pause and resume; update the server (npm package "
            "@restatedev/restate-server), it takes its data along",
        )
    if found.min_admin_api > NEWEST_ADMIN_API:
        raise UnsupportedServer(
            found.version,
            f"its admin API begins at version {found.min_admin_api}, and this package knows up to {NEWEST_ADMIN_API}: "
            "update restate-patterns",
        )
