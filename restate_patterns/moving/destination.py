"""The Restate server that a file moves to: what is there, and putting state and sends there.

Every request here may be repeated: state is written only where there is none, and a send has an
idempotency key, or is the run of a workflow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx

from restate_patterns.admin import (
    AdminClient,
    EngineError,
    InvocationFilter,
    InvocationStatus,
    InvocationView,
    NoAnswer,
    ServerKind,
    introspection,
)
from restate_patterns.admin.connection import Connection
from restate_patterns.admin.key_state import State, states_of, states_query, write_body
from restate_patterns.client.errors import ServerUnavailable, ServerUnreachable
from restate_patterns.client.http_caller import HttpCaller
from restate_patterns.client.servers import ServerVersion
from restate_patterns.client.sql import among, equals
from restate_patterns.embedded.inventory import KeyState, Pending, StoredPromise
from restate_patterns.limits import (
    MOVE_REQUESTS_MAX,
    MOVE_SENDS,
    MOVE_TRIES_MAX,
    STATE_WRITE_LOOK_S,
    STATE_WRITE_WAIT_S,
)
from restate_patterns.moving.checks import Services
from restate_patterns.moving.courier import COURIER, Order
from restate_patterns.moving.errors import CourierBusy, NotARestateServer, StateNotWritten
from restate_patterns.moving.plan import Identity, PromiseThere, There, identity_of
from restate_patterns.seam import RUN_HANDLER, Accepted, Request, Target
from restate_patterns.text.durations import parse_rfc3339_ms

T = TypeVar("T")

_AGAIN_S: Final = 0.2
_IN_FLIGHT: Final = frozenset(InvocationStatus) - {InvocationStatus.COMPLETED}


class Destination:
    """One Restate server, while the block lasts.

    Args:
        admin_url: Its admin API.
        ingress_url: Its ingress.
        token: Sent as a bearer token to both.
        transport: What carries the requests. Default: sockets.

    Raises:
        ValueError: A URL is none of a server.
    """

    def __init__(
        self,
        admin_url: str,
        ingress_url: str,
        *,
        token: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.admin_url = admin_url.rstrip("/")
        self.ingress_url = ingress_url.rstrip("/")
        self.has_token = token is not None
        self._admin = AdminClient(admin_url, token=token, transport=transport)
        self._connection = Connection(admin_url, token=token, transport=transport)
        self._caller = HttpCaller(ingress_url, admin_url=admin_url, token=token, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._admin.aclose()
        await self._connection.aclose()
        await self._caller.aclose()

    async def server(self) -> ServerVersion:
        """Say which server answers.

        Raises:
            NotARestateServer: An embedded one.
        """
        found = await self._admin.server()
        if found.kind is not ServerKind.RESTATE:
            raise NotARestateServer(self.admin_url)
        return found

    async def services(self) -> Services:
        """Give what is registered, by name."""
        return {each.name: each for each in await self._admin.list_services()}

    async def clock_ahead_ms(self, now_ms: Callable[[], int]) -> int:
        """Give by how much the server's clock is ahead of ours, or less."""
        rows = await self._connection.rows("SELECT now() AS now")
        return parse_rfc3339_ms(str(rows[0]["now"])) - now_ms() - 1

    async def known(self, pending: Iterable[Pending], *, ahead_ms: int) -> Mapping[Identity, There]:
        """Give which invocations are there, by what identifies them.

        Args:
            pending: Invocations on the file.
            ahead_ms: By how much the server's clock is ahead.
        """
        runs: dict[str, list[str]] = {}
        keys: list[str] = []
        for each in pending:
            identity = identity_of(each)
            if identity.idempotency_key is None:
                runs.setdefault(identity.service, []).append(identity.key or "")
            elif identity.idempotency_key.isascii():
                keys.append(identity.idempotency_key)
        conditions = [
            f"{equals('target_service_name', service)} AND {equals('target_handler_name', RUN_HANDLER)} AND "
            f"{among('target_service_key', some)}"
            for service, of_service in runs.items()
            for some in _some(of_service)
        ] + [among("idempotency_key", some) for some in _some(keys)]
        found: dict[Identity, There] = {}
        for condition in conditions:
            rows = await self._connection.rows(f"{introspection.SELECT} WHERE {condition} ORDER BY created_at DESC")
            for row in rows:
                view = introspection.view_of(row)
                start_ms = None if view.scheduled_ms is None else view.scheduled_ms - ahead_ms
                found[_identity(view)] = There(view.id, start_ms)
        return found

    async def promises(self, promises: Iterable[StoredPromise]) -> Mapping[tuple[str, str, str], PromiseThere]:
        """Give which of some promises are completed there, and with what."""
        keys: dict[str, list[str]] = {}
        for each in promises:
            keys.setdefault(each.service, []).append(each.key)
        found: dict[tuple[str, str, str], PromiseThere] = {}
        for service, of_service in keys.items():
            for some in _some(sorted(set(of_service))):
                rows = await self._connection.rows(
                    "SELECT service_name, service_key, key, completion_success_value, completion_failure "
                    f"FROM sys_promise WHERE {equals('service_name', service)} AND {among('service_key', some)} "
                    "AND completed"
                )
                for row in rows:
                    name = (service, str(row.get("service_key", "")), str(row["key"]))
                    failure, value = introspection.text(row, "completion_failure"), row.get("completion_success_value")
                    found[name] = PromiseThere(bytes.fromhex(str(value or "")) if failure is None else None, failure)
        return found

    async def knows(self, invocation_id: str) -> bool:
        """Say whether the admin API knows an invocation."""
        return bool(await self._connection.rows(introspection.by_ids([invocation_id])))

    async def states(self, states: Sequence[KeyState]) -> Mapping[str, State]:
        """Give what is there of some keys of one service, by key; a key without state is left out."""
        if not states:
            return {}
        return states_of(await self._connection.rows(states_query(states[0].service, (each.key for each in states))))

    async def write_states(self, states: Sequence[KeyState]) -> None:
        """Write the state of some keys of one service that have none there; returns when it can be read.

        Raises:
            StateNotWritten: Something else was written there, or the key is held for long.
        """
        there = await self.states(states)
        missing = [each for each in states if there.get(each.key, {}) != each.values]
        _refuse_other(missing, there)
        await in_turn(missing, self._write)
        await self._until_there(missing)

    async def _write(self, state: KeyState) -> None:
        """Ask to write the state of a key if it has none; a repeated request does nothing."""
        body = write_body(state.key, {}, state.values)
        tries_count = 0
        while True:
            tries_count += 1
            try:
                answer = await self._connection.ask("POST", "services", state.service, "state", body=body)
                answer.checked()
                return
            except (NoAnswer, ServerUnreachable, ServerUnavailable):
                if tries_count == MOVE_TRIES_MAX:
                    raise
            await asyncio.sleep(_AGAIN_S * tries_count)

    async def _until_there(self, states: Sequence[KeyState]) -> None:
        missing, wait_s = list(states), STATE_WRITE_LOOK_S
        try:
            async with asyncio.timeout(STATE_WRITE_WAIT_S):
                while missing:
                    there = await self.states(missing)
                    missing = [each for each in missing if there.get(each.key, {}) != each.values]
                    _refuse_other(missing, there)
                    if missing:
                        await asyncio.sleep(wait_s)
                        wait_s = min(wait_s * 2, 1.0)
        except TimeoutError:
            first = missing[0]
            held = await self._connection.rows(introspection.holders([(first.service, first.key)]))
            by = f"{held[0]['target']} ({held[0]['id']}) holds its key" if held else "the server is slow"
            raise StateNotWritten(first.service, first.key, f"after {STATE_WRITE_WAIT_S:g} s {by}") from None

    async def send(self, request: Request, delay_ms: int) -> Accepted:
        """Send; the run of a workflow goes without an idempotency key."""
        return await self._caller.submit(request, delay_ms)

    async def carry(self, order: Order) -> str:
        """Have the courier send something; gives its id. Asked again, the server makes one of both by their key."""
        body = json.dumps(order).encode()
        return str(json.loads(await self._caller.call(Request(Target(COURIER, "carry"), body), STATE_WRITE_WAIT_S)))

    async def dismiss_courier(self, url: str) -> None:
        """Wait until the courier has carried all it was told, in a broken-off move too, and forget it there.

        Raises:
            CourierBusy: It has not, after a while.
        """
        in_flight = InvocationFilter(
            service=COURIER, statuses=frozenset(InvocationStatus) - {InvocationStatus.COMPLETED}
        )
        try:
            async with asyncio.timeout(STATE_WRITE_WAIT_S):
                while found := await self._admin.list_invocations(in_flight):
                    for each in found:
                        if each.status in (InvocationStatus.BACKING_OFF, InvocationStatus.PAUSED):
                            with contextlib.suppress(EngineError):  # it went on by itself
                                await self._admin.resume(each.id)
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            raise CourierBusy(url, STATE_WRITE_WAIT_S) from None
        for deployment in await self._admin.list_deployments():
            if deployment.url.rstrip("/") == url:
                await self._admin.remove_deployment(deployment.id)


async def in_turn(work: Sequence[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Do something with each, some at a time; the first error stops the rest."""
    waiting = iter(work)

    async def worker() -> None:
        for each in waiting:
            await do(each)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(MOVE_REQUESTS_MAX, len(work))):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _refuse_other(missing: Iterable[KeyState], there: Mapping[str, State]) -> None:
    for each in missing:
        if there.get(each.key):
            raise StateNotWritten(each.service, each.key, "somebody else has written state there meanwhile")


def _identity(view: InvocationView) -> Identity:
    return Identity(view.target.service, view.target.handler, view.target.key, view.idempotency_key)


def _some(texts: Sequence[str]) -> Iterable[Sequence[str]]:
    return (texts[at : at + MOVE_SENDS] for at in range(0, len(texts), MOVE_SENDS))
