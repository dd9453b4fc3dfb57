"""A batch that can't be written as it is: what of it can, and which invocations that costs.

What is handed in was checked where it was given, so this is for what nobody thought of. Each change of the batch is
tried alone. In the place of an entry of a journal that can't be written stands why, so that its invocation can never
go on as if that entry had not been: it is paused. All else of the batch is written, also what that invocation did
to others; it stays a prefix of what happened, as after a kill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from restate_patterns.embedded.batch import Batch, KeyedName, Statement
from restate_patterns.embedded.records import CommandKind, Record, Row
from restate_patterns.embedded.row_sql import (
    insert_unwritten,
    insert_unwritten_row,
    update_invocation,
    update_unwritten_row,
)
from restate_patterns.embedded.store import Store
from restate_patterns.text.wording import sentence_of


@dataclass(slots=True)
class Salvage:
    """What is left of a batch.

    Args:
        statements: What writes it.
        costs: The invocations that can't go on, each with the reason.
        unwritten: Of them those whose own row could not be written.
        lost_states: States whose latest write can't be stored.
        lost_promises: Promises whose answer can't be stored.
    """

    statements: list[Statement] = field(default_factory=list[Statement])
    costs: dict[int, str] = field(default_factory=dict[int, str])
    unwritten: set[int] = field(default_factory=set[int])
    lost_states: list[KeyedName] = field(default_factory=list[KeyedName])
    lost_promises: list[KeyedName] = field(default_factory=list[KeyedName])


class _Part(NamedTuple):
    """One change of a batch: whose it is, what it is, alone in a batch, and what is written instead of it."""

    num: int | None
    what: str
    batch: Batch
    instead: Callable[[str], list[Statement]]


def salvage(batch: Batch, store: Store) -> Salvage:
    """Find out what of a batch can be written.

    Raises:
        StoreBusyError: The disk is full or the file is busy.
    """
    parts = list(_parts(batch))
    found = Salvage()
    for part, error in zip(parts, store.probe([part.batch.render for part in parts]), strict=True):
        if error is None:
            found.statements += part.batch.render()
            continue
        reason = f"{part.what} can't be written: {sentence_of(error)}"
        found.statements += part.instead(reason)
        found.lost_states += part.batch.states
        found.lost_promises += part.batch.promises
        if part.num is not None:
            found.costs.setdefault(part.num, reason)
            if part.batch.records:
                found.unwritten.add(part.num)
    return found


def _parts(batch: Batch) -> Iterator[_Part]:
    removals = Batch()
    removals.removed, removals.created, removals.cleared_journals = batch.removed, batch.created, batch.cleared_journals
    yield _Part(None, "a removal", removals, _nothing)
    for num, record in batch.records.items():
        if num not in batch.removed:
            alone = Batch()
            alone.records[num] = record
            if num in batch.created:
                alone.created.add(num)
                yield _Part(num, "the invocation", alone, partial(_unwritten, record))
            else:
                yield _Part(num, "how far the invocation is", alone, partial(_reduced, record))
    yield from _journal_parts(batch)
    for name, value in batch.states.items():
        alone = Batch()
        alone.states[name] = value
        yield _Part(_writer(batch, name, CommandKind.SET_STATE), f"the state {name[2]!r}", alone, _nothing)
    for name, answer in batch.promises.items():
        alone = Batch()
        alone.promises[name] = answer
        yield _Part(_writer(batch, name, CommandKind.PROMISE_COMPLETE), f"the promise {name[2]!r}", alone, _nothing)
    yield from _other_parts(batch)


def _journal_parts(batch: Batch) -> Iterator[_Part]:
    for (num, index), row in batch.new_rows.items():
        if num not in batch.removed:
            alone = Batch()
            alone.new_rows[num, index] = row
            yield _Part(num, f"entry {index} of its journal", alone, partial(_unwritten_row, num, row))
    for (num, index), row in batch.rows.items():
        alone = Batch()
        alone.rows[num, index] = row
        instead = partial(_unwritten_commands, num, index)
        yield _Part(num, f"what follows entry {index} of its journal", alone, instead)


def _other_parts(batch: Batch) -> Iterator[_Part]:
    for timer, due in batch.timers.items():
        alone = Batch()
        alone.timers[timer] = due
        yield _Part(timer[0], "a timer", alone, _nothing)
    for step, tries in batch.steps.items():
        alone = Batch()
        alone.steps[step] = tries
        yield _Part(step[0], "a failed try of a step", alone, _nothing)
    for waiter, waits in batch.waiters.items():
        alone = Batch()
        alone.waiters[waiter] = waits
        yield _Part(waiter[1], "what it waits for", alone, _nothing)
    for signal, signalled in batch.signals.items():
        if signal[0] not in batch.removed:
            alone = Batch()
            alone.signals[signal] = signalled
            yield _Part(signal[0], f"the signal {signal[1]!r}", alone, _nothing)
    for identity, num in batch.idempotency.items():
        alone = Batch()
        alone.idempotency[identity] = num
        yield _Part(num, "its idempotency key", alone, _nothing)


def _writer(batch: Batch, name: KeyedName, kind: CommandKind) -> int | None:
    """Give the invocation that wrote a state or a promise, as the journals of the batch say."""
    for num, row in ((num, row) for rows in (batch.new_rows, batch.rows) for (num, _), row in rows.items()):
        record = batch.touched.get(num) or batch.records.get(num)
        is_of_key = record is not None and record.object_key == name[:2]
        if is_of_key and any(command.kind is kind and command.name == name[2] for command in row.commands or ()):
            return num
    return None


def _nothing(reason: str) -> list[Statement]:
    return []


def _unwritten(record: Record, reason: str) -> list[Statement]:
    sql, parameters = insert_unwritten(record, reason)
    return [(sql, [parameters])]


def _reduced(record: Record, reason: str) -> list[Statement]:
    record.give_up(reason)
    sql, parameters = update_invocation(record)
    return [(sql, [parameters])]


def _unwritten_row(num: int, row: Row, reason: str) -> list[Statement]:
    sql, parameters = insert_unwritten_row(num, row, reason)
    return [(sql, [parameters])]


def _unwritten_commands(num: int, index: int, reason: str) -> list[Statement]:
    sql, parameters = update_unwritten_row(num, index, reason)
    return [(sql, [parameters])]
