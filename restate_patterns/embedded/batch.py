"""One batch of changes: everything that becomes durable together, last write per row wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NewType, TypeAlias

from restate_patterns.embedded.codec import encode_commands, failure_text
from restate_patterns.embedded.records import Record, Row
from restate_patterns.embedded.row_sql import Parameters, insert_invocation, insert_row, update_invocation
from restate_patterns.errors import Failure
from restate_patterns.seam import OperationHandle, ValueOrFailure

Statement: TypeAlias = tuple[str, list[Parameters]]
"""SQL, and the parameters of each of its executions."""

IdempotencyId: TypeAlias = tuple[str, str, str, str]
"""Service, key ("" for none), handler, idempotency key ("" for the run of a workflow)."""

KeyedName: TypeAlias = tuple[str, str, str]
"""Service, key, and the name of a state or promise."""

TimerMark = NewType("TimerMark", int)
"""What stands in the place of a handle where a timer is of no operation. The numbers are stored."""

TimerId: TypeAlias = tuple[int, OperationHandle | TimerMark]
"""Invocation number, and handle or mark."""

Due: TypeAlias = tuple[int, int]
"""When a timer is due (Unix ms), and its sequence number among those due at once."""

Answer: TypeAlias = tuple[bytes | None, Failure | None, int | None]
"""What a promise was completed with, and when it expires (Unix ms)."""

WaiterId: TypeAlias = tuple[str, int, OperationHandle]
"""What is waited for, the invocation that waits, and its handle."""

StepId: TypeAlias = tuple[int, OperationHandle]
"""Invocation number and handle."""

SignalId: TypeAlias = tuple[int, str]
"""The invocation that is signalled, and the name."""

FailedTries: TypeAlias = tuple[int, str]
"""How many tries of a step failed, and how the last one did."""


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
        "signals",
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
        self.states: dict[KeyedName, bytes | None] = {}
        self.promises: dict[KeyedName, Answer | None] = {}
        self.timers: dict[TimerId, Due | None] = {}
        self.waiters: dict[WaiterId, bool] = {}
        self.signals: dict[SignalId, ValueOrFailure] = {}
        self.idempotency: dict[IdempotencyId, int | None] = {}
        self.steps: dict[StepId, FailedTries | None] = {}
        self.committed: list[Callable[[], None]] = []

    def remove(self, num: int) -> None:
        """Take an invocation out, with its journal, timers, steps and signals."""
        self.removed.add(num)
        self.records.pop(num, None)

    def add_row(self, num: int, row: Row) -> None:
        """Append a row to the journal of an invocation."""
        self.new_rows[(num, row.index)] = row

    def change_row(self, num: int, row: Row) -> bool:
        """Write the commands of a row again; tells whether that changes anything, as it does not for a new row."""
        identity = (num, row.index)
        if identity in self.new_rows:
            return False
        self.rows[identity] = row
        return True

    def clear_journal(self, num: int, rows: Iterable[Row]) -> None:
        """Take out the journal of an invocation, with its timers and steps.

        Args:
            num: The invocation.
            rows: All rows that its journal has, also those that are only here.
        """
        for row in rows:
            self.new_rows.pop((num, row.index), None)
            self.rows.pop((num, row.index), None)
        self.cleared_journals.add(num)

    def render(self) -> list[Statement]:
        """Give the statements that write this batch, in the order in which they must run."""
        statements: list[Statement] = []
        self._render_removals(statements)
        written: dict[str, list[Parameters]] = {}
        for num, record in self.records.items():
            if num not in self.removed:
                write = insert_invocation if num in self.created else update_invocation
                _file(written, *write(record))
        for (num, _), row in self.new_rows.items():
            if num not in self.removed:
                _file(written, *insert_row(num, row))
        statements.extend(written.items())
        self._render_rows(statements)
        self._render_states(statements)
        self._render_others(statements)
        return statements

    def _render_removals(self, statements: list[Statement]) -> None:
        if self.removed:
            gone: list[tuple[object, ...]] = [(num,) for num in self.removed if num not in self.created]
            _add(statements, "DELETE FROM invocation WHERE num=?", gone)
            _add(statements, "DELETE FROM signal WHERE invocation=?", gone)
        cleared: list[tuple[object, ...]] = [(num,) for num in (*self.removed, *self.cleared_journals)]
        for table in ("journal", "timer", "step"):
            _add(statements, f"DELETE FROM {table} WHERE invocation=?", cleared)

    def _render_rows(self, statements: list[Statement]) -> None:
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
            "INSERT OR REPLACE INTO signal VALUES (?,?,?,?)",
            [
                (num, name, answer.value, failure_text(answer.failure))
                for (num, name), answer in self.signals.items()
                if num not in self.removed
            ],
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


def _file(written: dict[str, list[Parameters]], sql: str, parameters: Parameters) -> None:
    """Put parameters with those of the same SQL."""
    rows = written.get(sql)
    if rows is None:
        written[sql] = [parameters]
    else:
        rows.append(parameters)
