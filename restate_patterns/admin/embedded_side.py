"""An embedded server: JSON routes of its own below `/embedded` for what Restate answers through SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from typing_extensions import override

from restate_patterns.admin.connection import Connection, JsonObject, objects
from restate_patterns.admin.deployments import Registration
from restate_patterns.admin.errors import NothingToRegister, NotKeyed, Refused
from restate_patterns.admin.refusals import refusal_of
from restate_patterns.admin.services import ServiceView, service_of
from restate_patterns.admin.side import RegisterOptions, Side, act, cancel_outcome
from restate_patterns.engine.interface import (
    CancelOutcome,
    InvocationDetail,
    InvocationFilter,
    InvocationStatus,
    InvocationView,
    JournalEntryView,
)
from restate_patterns.errors import Failure
from restate_patterns.seam import Target
from restate_patterns.text.durations import parse_rfc3339_ms
from restate_patterns.values.state_json import state_bytes, state_json


class EmbeddedSide(Side):
    """Asks an embedded server.

    Args:
        connection: The way to it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    async def list_services(self) -> Sequence[ServiceView]:
        answer = await self._connection.ask("GET", "services")
        return [service_of(each) for each in objects(answer.checked().fields, "services")]

    @override
    async def describe_service(self, name: str) -> ServiceView:
        return service_of((await self._connection.ask("GET", "services", name)).checked().fields)

    @override
    async def remove_deployment(self, deployment_id: str) -> None:
        raise Refused(405, "an embedded server hosts its own app, which is its one deployment: stop it instead")

    @override
    async def list_invocations(
        self, chosen: InvocationFilter, limit: int, after: str | None
    ) -> Sequence[InvocationView]:
        parameters = [
            (name, value)
            for name, value in (
                ("service", chosen.service),
                ("handler", chosen.handler),
                ("key", chosen.key),
                ("status", ",".join(sorted(status.value for status in chosen.statuses))),
                ("failed", "true" if chosen.failed else None),
                ("without", ",".join(sorted(chosen.without))),
                ("id_start", chosen.id_start),
                ("id_end", chosen.id_end),
                ("limit", str(limit)),
                ("after", after),
            )
            if value
        ]
        answer = await self._connection.ask("GET", "embedded", "invocations", parameters=parameters)
        return [_view(each) for each in objects(answer.checked().fields, "invocations")]

    @override
    async def describe_invocation(self, invocation_id: str) -> InvocationDetail:
        answer = await self._connection.ask("GET", "embedded", "invocations", invocation_id)
        if not answer.success:
            raise refusal_of("describe", invocation_id, answer)
        journal = [_entry(each) for each in objects(answer.fields, "journal")]
        return InvocationDetail(_view(cast("JsonObject", answer.fields["invocation"])), journal)

    @override
    async def killed_with(self, invocation_id: str) -> Sequence[InvocationView]:
        return ()

    @override
    async def cancel(self, invocation_id: str) -> CancelOutcome:
        status, _ = await act(self._connection, "cancel", invocation_id)
        return cancel_outcome(status)

    @override
    async def pause(self, invocation_id: str) -> None:
        await act(self._connection, "pause", invocation_id)

    @override
    async def resume(self, invocation_id: str) -> None:
        await act(self._connection, "resume", invocation_id)

    @override
    async def get_state(self, service: str, key: str) -> Mapping[str, bytes]:
        return await self._state("GET", service, key)

    @override
    async def set_state(self, service: str, key: str, values: Mapping[str, bytes], replace: bool) -> None:
        if replace:
            body = {"object_key": key, "new_state": {name: list(value) for name, value in values.items()}}
            (await self._connection.ask("POST", "services", service, "state", body=body)).checked()
            return
        await self._state("PATCH", service, key, body=state_json(values))

    @override
    async def clear_state(self, service: str, key: str, names: Iterable[str] | None) -> None:
        chosen = None if names is None else list(names)
        if chosen == []:
            return
        await self._state("DELETE", service, key, parameters=[("name", name) for name in chosen or ()])

    @override
    async def register(self, url: str, options: RegisterOptions) -> Registration:
        raise NothingToRegister(url)

    async def _state(
        self,
        method: str,
        service: str,
        key: str,
        parameters: Sequence[tuple[str, str]] = (),
        body: object = None,
    ) -> Mapping[str, bytes]:
        path = ("embedded", "services", service, "state", key)
        answer = await self._connection.ask(method, *path, parameters=parameters, body=body)
        if answer.status == 400 and answer.message == str(NotKeyed(service)):
            raise NotKeyed(service)
        return state_bytes(cast("JsonObject", answer.checked().fields["state"]))


def _view(fields: JsonObject) -> InvocationView:
    failure = cast("JsonObject | None", fields["failure"])
    return InvocationView(
        id=str(fields["id"]),
        target=Target(str(fields["service"]), str(fields["handler"]), _text(fields, "key")),
        status=InvocationStatus(fields["status"]),
        created_ms=_time_ms(fields, "created_at") or 0,
        modified_ms=_time_ms(fields, "modified_at") or 0,
        scheduled_ms=_time_ms(fields, "scheduled_at"),
        completed_ms=_time_ms(fields, "completed_at"),
        attempt_count=cast("int", fields["attempt_count"]),
        last_failure=_text(fields, "last_failure"),
        next_retry_ms=_time_ms(fields, "next_retry_at"),
        waits_for=tuple(cast("Sequence[str]", fields["waits_for"])),
        idempotency_key=_text(fields, "idempotency_key"),
        invoked_by=_text(fields, "invoked_by"),
        failure=None if failure is None else Failure(cast("int", failure["code"]), str(failure["message"])),
    )


def _entry(fields: JsonObject) -> JournalEntryView:
    return JournalEntryView(
        cast("int", fields["position"]),
        str(fields["kind"]),
        str(fields["name"]),
        bool(fields["completed"]),
        str(fields["detail"]),
    )


def _text(fields: JsonObject, name: str) -> str | None:
    value = fields[name]
    return None if value is None else str(value)


def _time_ms(fields: JsonObject, name: str) -> int | None:
    value = _text(fields, name)
    return None if value is None else parse_rfc3339_ms(value)
