"""Each fact that the engine stores has one file that changes it."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import restate_patterns.embedded
from restate_patterns.embedded.columns import INVOCATION, whole
from restate_patterns.embedded.records import Record
from restate_patterns.embedded.row_sql import insert_invocation, update_invocation
from restate_patterns.embedded.schema import MIGRATIONS
from restate_patterns.errors import Failure
from restate_patterns.seam import Target

FILES = {path.stem: path.read_text() for path in Path(restate_patterns.embedded.__file__).parent.glob("*.py")}

OWNERS = {
    "states": {"keys"},
    "promises": {"keys"},
    "timers": {"timers"},
    "waiters": {"waiters"},
    "signals": {"signals"},
    "idempotency": {"identities"},
    "steps": {"steps"},
    "created": {"records_table"},
    "remove": {"records_table"},
    "new_rows": {"journals"},
    "add_row": {"journals"},
    "change_row": {"journals"},
    "clear_journal": {"journals"},
}
"""Which files put each kind of change in the open batch."""


def test_one_file_sets_the_status_of_an_invocation() -> None:
    assert [name for name, text in FILES.items() if re.search(r"(?m)^ +\w+\.status = ", text)] == ["records"]


def test_each_kind_of_change_has_one_file_that_makes_it() -> None:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, text in FILES.items():
        change = r"log\.open\.(\w+)(?:\[[^=\n]*\] =|\.(?:add|pop|clear|update|setdefault)\(|\()"
        for kind in re.findall(change, text):
            found[kind].add(name)
    assert found == OWNERS


def test_the_columns_are_those_of_the_table_and_of_a_record() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for version in sorted(MIGRATIONS):
            connection.executescript(MIGRATIONS[version])
        table = {
            name: not_null
            for _, name, _, not_null, _, is_key in connection.execute("PRAGMA table_info(invocation)")
            for not_null in [not_null or is_key]
        }
    assert {column.name: not column.nullable for column in INVOCATION} == {n: bool(v) for n, v in table.items()}
    assert {column.name for column in INVOCATION} <= set(Record.__slots__)


def test_each_column_is_written_with_the_value_of_its_own_attribute() -> None:
    record = Record(1, 2, "inv", Target("s", "h", "k"), b"body", {"a": "b"})
    numbers = iter(range(10, 100))
    for column in INVOCATION:
        if column.read is whole and column.name not in {"num", "epoch"}:
            setattr(record, column.name, next(numbers))
    record.complete(next(numbers), b"out", Failure(409, "no"), next(numbers))
    record.failure, record.idempotency_key, record.mismatch = "why", "key", True
    record.caller, record.queue_sequence, record.retry_at_ms = next(numbers), next(numbers), next(numbers)
    for sql, values in (insert_invocation(record), update_invocation(record)):
        names = re.findall(r"(\w+)=\?", sql) or re.findall(r"\w+", sql.partition("(")[2].partition(")")[0])
        for name, value in zip(names, values, strict=True):
            column = next(each for each in INVOCATION if each.name == name)
            stored = bytes(value) if isinstance(value, bytearray) else value
            assert column.read(stored) == getattr(record, name), name
