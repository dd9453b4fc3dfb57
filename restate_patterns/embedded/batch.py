"""One batch of changes: everything that becomes durable together, last write per row wins."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from restate_patterns.embedded.codec import encode_commands, failure_text
from restate_patterns.embedded.records import Record, Row, Status
from restate_patterns.errors import Failure

Statement: TypeAlias = tuple[str, list[tuple[object, ...]]]
"""SQL, and the parameters of each of its executions."""

IdempotencyId: TypeAlias = tuple[str, str, str, str]
"""Service, key ("" for none), handler, idempotency key ("" for the run of a workflow)."""

TimerId: TypeAlias = tuple[int, int]
"""Invocation number and handle."""

_MUTABLE = (
    "status", "modified_ms", "start_ms", "queue_sequence", "first_handle", "failed_count", "failed_at_index", "failure",
    "mismatch", "retry_at_ms", "waits", "attached", "output", "output_failure", "completed_ms", "expires_ms",
)  # fmt: skip
_IMMUTABLE = (
    "epoch", "service", "handler", "key", "body", "headers", "idempotency_key", "caller", "caller_handle", "created_ms",
)  # fmt: skip
_COLUMNS = (*_MUTABLE, "num", *_IMMUTABLE)
_INSERT_INVOCATION = f"INSERT INTO invocation ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_UPDATE_INVOCATION = f"UPDATE invocation SET {', '.join(f'{name}=?' for name in _MUTABLE)} WHERE num=?"


def _mutable(record: Record) -> tuple[object, ...]:
    return (
        int(record.status),
        record.modified_ms,
        record.start_ms,
        record.queue_sequence,
        record.first_handle,
        record.failed_count,
        record.failed_at_index,
        record.failure,
        record.mismatch,
        record.retry_at_ms,
        json.dumps(record.waits) if record.waits is not None and record.status is Status.SUSPENDED else None,
        record.attached,
        record.output,
        failure_text(record.output_failure) if record.output_failure is not None else None,
        record.completed_ms,
        record.expires_ms,
        record.num,
    )


def _immutable(record: Record) -> tuple[object, ...]:
    return (
        record.epoch,
        record.service,
        record.handler,
        record.key,
        record.body,
        json.dumps(dict(record.headers)) if record.headers else "{}",
        record.idempotency_key,
        record.caller,
        record.caller_handle,
        record.created_ms,
    )


class Batch:
    """Collects changes between two commits; rendered to statements when it is closed."""

    __slots__ = (
        "cleared_journals",
        "committed",
        "created",
        "idempotency",
        "last_sequence",
        "new_rows",
        "promises",
        "records",
        "removed",
        "rows",
        "states",
        "steps",
        "timers",
        "touched",
        "waiters",
    )

    def __init__(self) -> None:
        self.last_sequence = 0
        self.records: dict[int, Record] = {}
        """The invocations whose own row changed."""
        self.touched: dict[int, Record] = {}
        """The invocations of which only something that belongs to them changed, such as their journal."""
        self.created: set[int] = set()
        self.removed: set[int] = set()
        self.cleared_journals: set[int] = set()
        self.new_rows: dict[tuple[int, int], Row] = {}
        self.rows: dict[tuple[int, int], Row] = {}
        self.states: dict[tuple[str, str, str], bytes | None] = {}
        self.promises: dict[tuple[str, str, str], tuple[bytes | None, Failure | None, int | None] | None] = {}
        self.timers: dict[TimerId, tuple[int, int] | None] = {}
        self.waiters: dict[tuple[str, int, int], bool] = {}
        self.idempotency: dict[IdempotencyId, int | None] = {}
        self.steps: dict[tuple[int, int], tuple[int, str] | None] = {}
        self.committed: list[Callable[[], None]] = []

    def render(self) -> list[Statement]:
        """Give the statements that write this batch, in the order in which they must run."""
        statements: list[Statement] = []
        self._render_removals(statements)
        created = list[tuple[object, ...]]()
        changed = list[tuple[object, ...]]()
        for num, record in self.records.items():
            if num in self.removed:
                continue
            if num in self.created:
                created.append(_mutable(record) + _immutable(record))
            else:
                changed.append(_mutable(record))
        _add(statements, _INSERT_INVOCATION, created)
        _add(statements, _UPDATE_INVOCATION, changed)
        self._render_rows(statements)
        self._render_states(statements)
        self._render_others(statements)
        return statements

    def _render_removals(self, statements: list[Statement]) -> None:
        if self.removed:
            gone: list[tuple[object, ...]] = [(num,) for num in self.removed if num not in self.created]
            _add(statements, "DELETE FROM invocation WHERE num=?", gone)
        cleared: list[tuple[object, ...]] = [(num,) for num in (*self.removed, *self.cleared_journals)]
        for table in ("journal", "timer", "step"):
            _add(statements, f"DELETE FROM {table} WHERE invocation=?", cleared)

    def _render_rows(self, statements: list[Statement]) -> None:
        _add(
            statements,
            "INSERT INTO journal VALUES (?,?,?,?,?,?,?)",
            [
                (
                    num,
                    row.index,
                    row.handle,
                    row.time_ms,
                    row.value,
                    failure_text(row.failure) if row.failure is not None else None,
                    encode_commands(row.commands) if row.commands is not None else None,
                )
                for (num, _), row in self.new_rows.items()
                if num not in self.removed
            ],
        )
        _add(
            statements,
            "UPDATE journal SET commands=? WHERE invocation=? AND idx=?",
            [(encode_commands(row.commands or ()), num, index) for (num, index), row in self.rows.items()],
        )

    def _render_states(self, statements: list[Statement]) -> None:
        _add(
            statements,
            "INSERT OR REPLACE INTO state VALUES (?,?,?,?)",
            [(*name, value) for name, value in self.states.items() if value is not None],
        )
        _add(
            statements,
            "DELETE FROM state WHERE service=? AND key=? AND name=?",
            [name for name, value in self.states.items() if value is None],
        )

    def _render_others(self, statements: list[Statement]) -> None:
        _add(
            statements,
            "INSERT OR REPLACE INTO promise VALUES (?,?,?,?,?,?)",
            [
                (*name, answer[0], failure_text(answer[1]), answer[2])
                for name, answer in self.promises.items()
                if answer is not None
            ],
        )
        _add(
            statements,
            "DELETE FROM promise WHERE service=? AND key=? AND name=?",
            [name for name, answer in self.promises.items() if answer is None],
        )
        for table, changes in (("timer", self.timers), ("step", self.steps)):
            _add(
                statements,
                f"INSERT OR REPLACE INTO {table} VALUES (?,?,?,?)",
                [(*identity, *values) for identity, values in changes.items() if values is not None],
            )
            _add(
                statements,
                f"DELETE FROM {table} WHERE invocation=? AND handle=?",
                [identity for identity, values in changes.items() if values is None],
            )
        _add(
            statements,
            "INSERT OR REPLACE INTO waiter VALUES (?,?,?)",
            [waiter for waiter, waits in self.waiters.items() if waits],
        )
        _add(
            statements,
            "DELETE FROM waiter WHERE target=? AND invocation=? AND handle=?",
            [waiter for waiter, waits in self.waiters.items() if not waits],
        )
        _add(
            statements,
            "INSERT OR REPLACE INTO idempotency VALUES (?,?,?,?,?)",
            [(*name, num) for name, num in self.idempotency.items() if num is not None],
        )
        _add(
            statements,
            "DELETE FROM idempotency WHERE service=? AND key=? AND handler=? AND idempotency_key=?",
            [name for name, num in self.idempotency.items() if num is None],
        )


def _add(statements: list[Statement], sql: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        statements.append((sql, rows))
