"""Invocations in the SQL tables of a Restate server: the queries, and their rows as views. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from restate_patterns.admin.connection import JsonObject
from restate_patterns.client.sql import among, equals, literal
from restate_patterns.engine.interface import InvocationFilter, InvocationStatus, InvocationView
from restate_patterns.errors import Failure
from restate_patterns.seam import Target
from restate_patterns.text.durations import parse_rfc3339_ms

CANCEL_SIGNAL: Final = 1
"""The number of the signal that cancels an invocation; awakeables have the numbers from 17 on."""

# `scheduled_at` is asked for because Restate 1.7.12 leaves `scheduled_start_at` empty without it.
_COLUMNS: Final = (
    "id, target_service_name, target_service_key, target_handler_name, status, created_at, modified_at, "
    "scheduled_at, scheduled_start_at, completed_at, retry_count, last_failure, next_retry_at, idempotency_key, "
    "invoked_by_id, completion_failure, journal_size, suspended_waiting_for_signals, "
    "suspended_waiting_for_completions"
)
SELECT: Final = f"SELECT {_COLUMNS} FROM sys_invocation"
"""Asks for what `view_of` reads; a condition follows."""

_STATUS: Final = {"pending": InvocationStatus.QUEUED} | {status.value: status for status in InvocationStatus}
_WORD: Final = {status: word for word, status in _STATUS.items() if word != "queued"}
_HANDLER_GONE: Final = "unexpected http status code: 404 Not Found"
_FAILURE: Final = re.compile(r"\[(\d+)(?: [^\]]*)?\] ?(.*)", re.DOTALL)


def listing(chosen: InvocationFilter, limit: int, after_created_at: str | None, after: str | None) -> str:
    """Write the query that lists invocations, newest first, after the one given by its time and id."""
    conditions = [
        equals(column, value)
        for column, value in (
            ("target_service_name", chosen.service),
            ("target_handler_name", chosen.handler),
            ("target_service_key", chosen.key),
        )
        if value is not None
    ]
    if chosen.statuses:
        conditions.append(among("status", sorted(_WORD[status] for status in chosen.statuses)))
    if chosen.failed:
        conditions.append("completion_failure IS NOT NULL")
    if chosen.without:
        conditions.append(f"NOT {among('target_service_name', sorted(chosen.without))}")
    for function, part in (("starts_with", chosen.id_start), ("ends_with", chosen.id_end)):
        if part:
            conditions.append(f"{function}(id, {literal(part)})")
    if after is not None and after_created_at is not None:
        time = f"to_timestamp_millis({parse_rfc3339_ms(after_created_at)})"
        conditions.append(f"(created_at < {time} OR (created_at = {time} AND id < {literal(after)}))")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{SELECT}{where} ORDER BY created_at DESC, id DESC LIMIT {int(limit)}"


def by_ids(ids: Iterable[str]) -> str:
    """Write the query for some invocations."""
    return f"{SELECT} WHERE {among('id', ids)}"


def in_flight_children(ids: Iterable[str], limit: int) -> str:
    """Write the query for what some invocations have called or sent and that has not completed."""
    return (
        f"{SELECT} WHERE {among('invoked_by_id', ids)} AND status != 'completed' "
        f"ORDER BY created_at, id LIMIT {int(limit)}"
    )


def holders(keys: Iterable[tuple[str, str]]) -> str:
    """Write the query for who holds some keys, each given with its service."""
    wanted = " OR ".join(
        f"({equals('k.service_name', service)} AND {equals('k.service_key', key)})" for service, key in keys
    )
    return (
        "SELECT k.service_name, k.service_key, i.id, i.target, i.status FROM sys_keyed_service_status k "
        f"JOIN sys_invocation i ON i.id = k.invocation_id WHERE {wanted}"
    )


def pauses(ids: Iterable[str]) -> str:
    """Write the query for why some invocations have paused."""
    return (
        f"SELECT id, event_json FROM sys_journal_events WHERE {among('id', ids)} AND event_type = 'Paused' "
        "ORDER BY appended_at"
    )


def view_of(row: JsonObject, *, last_failure: str | None = None, waits_for: Sequence[str] = ()) -> InvocationView:
    """Read an invocation from its row, with what other tables add."""
    status = _STATUS.get(str(row.get("status")), InvocationStatus.RUNNING)
    scheduled_ms = _time_ms(row, "scheduled_start_at") if status is InvocationStatus.SCHEDULED else None
    # A paused one has what its last attempt left there for a moment.
    next_retry_ms = _time_ms(row, "next_retry_at") if status is InvocationStatus.BACKING_OFF else None
    return InvocationView(
        id=str(row["id"]),
        target=target_of(row),
        status=status,
        created_ms=_time_ms(row, "created_at") or 0,
        modified_ms=_time_ms(row, "modified_at") or 0,
        scheduled_ms=scheduled_ms,
        completed_ms=_time_ms(row, "completed_at"),
        attempt_count=number(row, "retry_count") or 0,
        last_failure=_explained(last_failure or text(row, "last_failure"), target_of(row)),
        next_retry_ms=next_retry_ms,
        waits_for=waits_for,
        idempotency_key=text(row, "idempotency_key"),
        invoked_by=text(row, "invoked_by_id"),
        failure=_failure(text(row, "completion_failure")),
    )


def target_of(row: JsonObject) -> Target:
    """Read whom an invocation is for."""
    return Target(str(row["target_service_name"]), str(row["target_handler_name"]), text(row, "target_service_key"))


def word_of(row: JsonObject) -> str:
    """Return the status of a row as people read it."""
    return _STATUS.get(str(row["status"]), InvocationStatus.RUNNING).value


def pause_reasons(rows: Iterable[JsonObject]) -> Mapping[str, str]:
    """Read why invocations have paused, by id; the last reason counts."""
    found: dict[str, str] = {}
    for row in rows:
        event = cast("JsonObject", json.loads(str(row["event_json"])))
        failure = event.get("last_failure")
        if isinstance(failure, Mapping):
            found[str(row["id"])] = str(cast("JsonObject", failure).get("error_message", ""))
    return found


def text(row: JsonObject, column: str) -> str | None:
    """Read a text; a NULL is left out of a row."""
    value = row.get(column)
    return value if isinstance(value, str) else None


def number(row: JsonObject, column: str) -> int | None:
    """Read a whole number."""
    value = row.get(column)
    return value if isinstance(value, int) else None


def signal_awaited(row: JsonObject) -> str | None:
    """Say what kind of signal a suspended invocation waits for, besides its own cancel; None where it is not known.

    Awakeables have numbers. The names of others are in no column that each server has: one that waits for nothing with
    a number waits for such a one.
    """
    signals = row.get("suspended_waiting_for_signals")
    if not isinstance(signals, list) or not signals:
        return None
    if any(signal != CANCEL_SIGNAL for signal in cast("list[int]", signals)):
        return "an awakeable"
    return None if row.get("suspended_waiting_for_completions") else "a signal"


def _explained(failure: str | None, target: Target) -> str | None:
    """Add what a failure means that the server tells by a status only."""
    if failure is None or not failure.endswith(_HANDLER_GONE):
        return failure
    return (
        f"{failure}: what is served at the deployment that it began on has no {target.service}/{target.handler} any "
        "more. Serve the code that has it there again, or kill it"
    )


def _failure(written: str | None) -> Failure | None:
    """Read `[409] cancelled`; the table has no metadata."""
    if written is None:
        return None
    match = _FAILURE.fullmatch(written)
    return Failure(500, written) if match is None else Failure(int(match[1]), match[2])


def _time_ms(row: JsonObject, column: str) -> int | None:
    value = text(row, column)
    return None if value is None else parse_rfc3339_ms(value)
