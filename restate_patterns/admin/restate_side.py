"""A Restate server: introspection through SQL, and the verbs of its admin API brought to one meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from typing_extensions import override

from restate_patterns.admin import introspection, journal
from restate_patterns.admin.connection import Connection, JsonObject, objects
from restate_patterns.admin.deployments import Registration
from restate_patterns.admin.errors import NotFound, Refused
from restate_patterns.admin.registering import register
from restate_patterns.admin.services import ServiceView, service_of
from restate_patterns.admin.side import RegisterOptions, Side, act, cancel_outcome
from restate_patterns.admin.state_writing import StateWriter
from restate_patterns.engine.errors import InvocationCompleted, InvocationNotPaused, MalformedId
from restate_patterns.engine.interface import (
    CancelOutcome,
    InvocationDetail,
    InvocationFilter,
    InvocationStatus,
    InvocationView,
)
from restate_patterns.errors import InvocationNotFound
from restate_patterns.limits import JOURNAL_LISTED_MAX, KILLED_WITH_MAX

_BAD_ID = "non valid invocation id"
_RESUMABLE = (InvocationStatus.PAUSED, InvocationStatus.BACKING_OFF)
_MAY_WAIT = (InvocationStatus.RUNNING, InvocationStatus.SUSPENDED)


class RestateSide(Side):
    """Asks a Restate server.

    Args:
        connection: The way to it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._states = StateWriter(connection)

    @override
    async def list_services(self) -> Sequence[ServiceView]:
        answer = await self._connection.ask("GET", "services")
        found = [service_of(each, by_name=True) for each in objects(answer.checked().fields, "services")]
        return sorted(found, key=lambda each: each.name)

    @override
    async def describe_service(self, name: str) -> ServiceView:
        answer = await self._connection.ask("GET", "services", name)
        return service_of(answer.checked().fields, by_name=True)

    @override
    async def remove_deployment(self, deployment_id: str) -> None:
        answer = await self._connection.ask("DELETE", "deployments", deployment_id, parameters=[("force", "true")])
        if answer.status in (400, 404):
            raise NotFound(f"there is no deployment '{deployment_id}'; `deployments list` shows their ids")
        answer.checked()

    @override
    async def list_invocations(
        self, chosen: InvocationFilter, limit: int, after: str | None
    ) -> Sequence[InvocationView]:
        created_at = None if after is None else introspection.text(await self._row(after), "created_at")
        rows = await self._connection.rows(introspection.listing(chosen, limit, created_at, after))
        return await self._views(rows)

    @override
    async def describe_invocation(self, invocation_id: str) -> InvocationDetail:
        row = await self._row(invocation_id)
        commands = journal.commands_of(await self._connection.rows(journal.journal_query([invocation_id])))
        (view,) = await self._views([row], {invocation_id: commands})
        return InvocationDetail(view, journal.entries_of(commands))

    @override
    async def killed_with(self, invocation_id: str) -> Sequence[InvocationView]:
        found: list[InvocationView] = []
        parents = [invocation_id]
        while parents and len(found) < KILLED_WITH_MAX:
            rows = await self._connection.rows(introspection.in_flight_children(parents, KILLED_WITH_MAX - len(found)))
            children = [introspection.view_of(row) for row in rows]
            found += children
            parents = [child.id for child in children]
        return found

    @override
    async def cancel(self, invocation_id: str) -> CancelOutcome:
        status, _ = await act(self._connection, "cancel", invocation_id)
        outcome = cancel_outcome(status)
        if outcome is CancelOutcome.RUNNING and await self._status(invocation_id) is InvocationStatus.PAUSED:
            # A paused invocation meets its cancel when it is resumed, and not before.
            try:
                await act(self._connection, "resume", invocation_id)
            except (InvocationCompleted, InvocationNotFound):
                pass
        return outcome

    @override
    async def pause(self, invocation_id: str) -> None:
        try:
            status, _ = await act(self._connection, "pause", invocation_id)
        except InvocationNotPaused:
            raise await self._not_to(invocation_id, "pause") from None
        if status == 200:
            raise InvocationNotPaused(invocation_id, InvocationStatus.PAUSED.value, "pause")

    @override
    async def resume(self, invocation_id: str) -> None:
        row = await self._row(invocation_id)
        if introspection.view_of(row).status not in _RESUMABLE:
            raise await self._not_to(invocation_id, "resume")
        await act(self._connection, "resume", invocation_id)

    @override
    async def get_state(self, service: str, key: str) -> Mapping[str, bytes]:
        return await self._states.read(service, key)

    @override
    async def set_state(self, service: str, key: str, values: Mapping[str, bytes], replace: bool) -> None:
        await self._states.set(service, key, values, replace=replace)

    @override
    async def clear_state(self, service: str, key: str, names: Iterable[str] | None) -> None:
        await self._states.clear(service, key, names)

    @override
    async def register(self, url: str, options: RegisterOptions) -> Registration:
        return await register(self._connection, url, options)

    async def _row(self, invocation_id: str) -> JsonObject:
        try:
            rows = await self._connection.rows(introspection.by_ids([invocation_id]))
        except Refused as error:
            if _BAD_ID in str(error):
                raise MalformedId(invocation_id) from None
            raise
        if not rows:
            raise InvocationNotFound(message=f"there is no invocation '{invocation_id}', or it is past its retention")
        return rows[0]

    async def _status(self, invocation_id: str) -> InvocationStatus | None:
        try:
            return introspection.view_of(await self._row(invocation_id)).status
        except InvocationNotFound:
            return None

    async def _not_to(self, invocation_id: str, verb: str) -> Exception:
        """Say why an invocation cannot be paused or resumed."""
        status = introspection.view_of(await self._row(invocation_id)).status
        if status is InvocationStatus.COMPLETED:
            return InvocationCompleted(invocation_id)
        return InvocationNotPaused(invocation_id, status.value, verb)

    async def _views(
        self, rows: Sequence[JsonObject], journals: Mapping[str, Sequence[journal.Command]] | None = None
    ) -> Sequence[InvocationView]:
        """Give rows as views, with why each waits: a few queries for all of them together."""
        views = [introspection.view_of(row) for row in rows]
        reasons = await self._pause_reasons(views)
        waits = {**await self._waits_for_keys(views), **await self._waits_in_journals(rows, views, journals)}
        return [
            introspection.view_of(row, last_failure=reasons.get(view.id), waits_for=waits.get(view.id, ()))
            for row, view in zip(rows, views, strict=True)
        ]

    async def _pause_reasons(self, views: Sequence[InvocationView]) -> Mapping[str, str]:
        paused = [view.id for view in views if view.status is InvocationStatus.PAUSED]
        if not paused:
            return {}
        return introspection.pause_reasons(await self._connection.rows(introspection.pauses(paused)))

    async def _waits_for_keys(self, views: Sequence[InvocationView]) -> Mapping[str, Sequence[str]]:
        queued = [view for view in views if view.status is InvocationStatus.QUEUED and view.target.key is not None]
        if not queued:
            return {}
        keys = sorted({(view.target.service, view.target.key or "") for view in queued})
        rows = await self._connection.rows(introspection.holders(keys))
        held_by = {(str(row["service_name"]), str(row["service_key"])): row for row in rows}
        return {
            view.id: (_held(view, holder),)
            for view in queued
            if (holder := held_by.get((view.target.service, view.target.key or ""))) is not None
        }

    async def _waits_in_journals(
        self,
        rows: Sequence[JsonObject],
        views: Sequence[InvocationView],
        journals: Mapping[str, Sequence[journal.Command]] | None,
    ) -> Mapping[str, Sequence[str]]:
        waiting = [
            view.id
            for row, view in zip(rows, views, strict=True)
            if view.status in _MAY_WAIT
            and (journals is not None or (introspection.number(row, "journal_size") or 0) <= JOURNAL_LISTED_MAX)
        ]
        if not waiting:
            return {}
        if journals is None:
            journals = _by_invocation(await self._connection.rows(journal.journal_query(waiting)))
        open_commands = {each: journal.open_waits(journals.get(each, ())) for each in waiting}
        callees = sorted({command.callee for each in open_commands.values() for command in each if command.callee})
        statuses: dict[str, str] = {}
        if callees:
            found = await self._connection.rows(introspection.by_ids(callees))
            statuses = {str(row["id"]): introspection.word_of(row) for row in found}
        signals = {str(row["id"]): introspection.signal_awaited(row) for row in rows}
        return {
            each: (
                *(journal.sentence(command, statuses) for command in commands),
                *([signal] if (signal := signals[each]) is not None else []),
            )
            for each, commands in open_commands.items()
        }


def _held(view: InvocationView, holder: JsonObject) -> str:
    status = introspection.word_of(holder)
    return f"the key {view.target.key!r}, held by {holder['target']} ({holder['id']}), which is {status}"


def _by_invocation(rows: Iterable[JsonObject]) -> Mapping[str, Sequence[journal.Command]]:
    grouped: dict[str, list[JsonObject]] = {}
    for row in rows:
        grouped.setdefault(str(row["id"]), []).append(row)
    return {invocation_id: journal.commands_of(entries) for invocation_id, entries in grouped.items()}
