"""What people see of invocations: listings, and one invocation with its journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from restate_patterns.embedded.core import Core
from restate_patterns.embedded.records import Command, CommandKind, Record, Status
from restate_patterns.embedded.steps import RunningStep
from restate_patterns.embedded.timers import START_TIMER
from restate_patterns.engine.interface import (
    InvocationDetail,
    InvocationFilter,
    InvocationStatus,
    InvocationView,
    JournalEntryView,
)
from restate_patterns.errors import Failure
from restate_patterns.limits import LIST_LIMIT_MAX, PARTIAL_IDS_MAX
from restate_patterns.seam import OperationHandle
from restate_patterns.text.durations import duration_text

_STATUS = {
    Status.SCHEDULED: InvocationStatus.SCHEDULED,
    Status.QUEUED: InvocationStatus.QUEUED,
    Status.ACTIVE: InvocationStatus.RUNNING,
    Status.SUSPENDED: InvocationStatus.SUSPENDED,
    Status.BACKING_OFF: InvocationStatus.BACKING_OFF,
    Status.PAUSED: InvocationStatus.PAUSED,
    Status.COMPLETED: InvocationStatus.COMPLETED,
}
_WAITS = {
    CommandKind.CALL: "the call of",
    CommandKind.RUN: "the step",
    CommandKind.SLEEP: "the timer",
    CommandKind.PROMISE_VALUE: "the promise",
    CommandKind.AWAKEABLE: "an awakeable",
    CommandKind.SIGNAL: "the signal",
    CommandKind.ATTACH: "the invocation",
}
_UNKNOWN = Command(CommandKind.RUN, "?", b"")
_SHORT = 200


def view_of(core: Core, record: Record) -> InvocationView:
    """Give what people see of an invocation."""
    status = _STATUS[record.status]
    if record.status is Status.ACTIVE and record.running is None and not core.steps.running(record.num):
        status = InvocationStatus.READY
    caller = None if record.caller is None else core.records.peek(record.caller)
    return InvocationView(
        id=record.id,
        target=record.target,
        status=status,
        created_ms=record.created_ms,
        modified_ms=record.modified_ms,
        scheduled_ms=core.timers.due_ms(record.num, START_TIMER) if record.status is Status.SCHEDULED else None,
        completed_ms=record.completed_ms,
        attempt_count=record.failed_count + (1 if record.start_ms else 0),
        last_failure=record.failure,
        next_retry_ms=record.retry_at_ms,
        waits_for=_waits(core, record),
        idempotency_key=record.idempotency_key,
        invoked_by=None if caller is None else caller.id,
        failure=record.output_failure,
    )


def _waits(core: Core, record: Record) -> Sequence[str]:
    if record.status is Status.QUEUED:
        holder = core.records.peek(core.keys.of(record).holder or 0)
        if holder is None:
            return ()
        return (f"the key {record.key!r}, held by {holder.target} ({holder.id}), which is {_state(holder)}",)
    if record.status is Status.SUSPENDED:
        core.records.load_rows(record)
        return [_wait(core, record, *each) for each in record.commands() if _is_open(record, *each)]
    handles = _awaited(core, record)
    if not handles:
        return ()
    core.records.load_rows(record)
    commands = dict(record.commands())
    return [_wait(core, record, handle, commands.get(handle, _UNKNOWN)) for handle in handles]


def _wait(core: Core, record: Record, handle: OperationHandle, command: Command) -> str:
    words = f"{_WAITS.get(command.kind, command.kind.name.lower())} {command.name}".strip()
    return words + (f" {_until(command)}" if command.kind is CommandKind.SLEEP else _detail(core, record, handle))


def _is_open(record: Record, handle: OperationHandle, command: Command) -> bool:
    """Say whether one out of memory may wait for an operation; nobody does for a timer that was cancelled."""
    if command.kind is CommandKind.SLEEP:
        return handle in record.timers
    return command.kind in _WAITS and handle not in record.done


def _awaited(core: Core, record: Record) -> Sequence[OperationHandle]:
    """Give what an active invocation waits for; of one that has left memory while its steps run, those."""
    if record.status is not Status.ACTIVE:
        return ()
    if record.running is None:
        return [step.handle for step in core.steps.of(record.num)]
    return list(record.running.awaited())


def _state(record: Record) -> str:
    return _STATUS[record.status].value


def _detail(core: Core, record: Record, handle: OperationHandle) -> str:
    callee = core.records.peek(record.calls[handle]) if handle in record.calls else None
    if callee is not None:
        return f" ({callee.id}), which is {_state(callee)}"
    for step in core.steps.of(record.num):
        if step.handle == handle and step.last_failure is not None:
            return f", which failed {_times(step.failed_count)}, last with {step.last_failure}{_next_try(step)}"
    return ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _next_try(step: RunningStep) -> str:
    wait_ms = step.next_try_in_ms
    if wait_ms is None:
        return ""
    wait = timedelta(seconds=wait_ms // 1000) if wait_ms >= 1000 else timedelta(milliseconds=max(0, wait_ms))
    return f"; next try in {duration_text(wait)}"


def list_views(core: Core, chosen: InvocationFilter, limit: int, after_num: int | None) -> Sequence[InvocationView]:
    """List invocations, newest first, from what is durable."""
    where, parameters = ["1"], list[object]()
    for column, value in (("service", chosen.service), ("handler", chosen.handler), ("key", chosen.key)):
        if value is not None:
            where.append(f"{column} = ?")
            parameters.append(value)
    if chosen.statuses:
        wanted = sorted(int(status) for status, word in _STATUS.items() if _matches(word, chosen.statuses))
        where.append(f"status IN ({', '.join(map(str, wanted))})")
    if chosen.failed:
        where.append(f"status = {Status.COMPLETED:d} AND output_failure IS NOT NULL")
    if chosen.without:
        where.append(f"service NOT IN ({', '.join('?' * len(chosen.without))})")
        parameters += sorted(chosen.without)
    if chosen.id_start or chosen.id_end:
        where.append(f"num IN ({', '.join(map(str, _numbers_like(core, chosen)))})")
    if after_num is not None:
        where.append("num < ?")
        parameters.append(after_num)
    condition = " AND ".join(where) + " ORDER BY num DESC LIMIT ?"
    return [view_of(core, record) for record in core.records.select(condition, (*parameters, limit))]


def _numbers_like(core: Core, chosen: InvocationFilter) -> Sequence[int]:
    """Give the numbers of invocations by parts of their ids, which are not in the file."""
    newest = ((num, core.ids.invocation(num, epoch)) for num, epoch in core.records.newest(PARTIAL_IDS_MAX))
    found = (num for num, made in newest if made.startswith(chosen.id_start) and made.endswith(chosen.id_end))
    return list(islice(found, LIST_LIMIT_MAX))


def _matches(word: InvocationStatus, wanted: frozenset[InvocationStatus]) -> bool:
    return word in wanted or (word is InvocationStatus.RUNNING and InvocationStatus.READY in wanted)


def describe(core: Core, record: Record) -> InvocationDetail:
    """Give one invocation with its journal."""
    rows = core.records.load_rows(record)
    answers = {row.handle: (row.value, row.failure) for row in rows if row.handle >= 0}
    entries = [_entry(command, handle, answers) for handle, command in record.commands()]
    if record.status is Status.COMPLETED:
        record.rows = None
    return InvocationDetail(view_of(core, record), entries)


def _entry(
    command: Command, handle: OperationHandle, answers: dict[OperationHandle, tuple[bytes | None, Failure | None]]
) -> JournalEntryView:
    waits = command.kind in _WAITS
    completed = handle in answers or not waits
    value, failure = answers.get(handle, (None if waits else command.value, command.failure))
    detail = "" if completed else "open"
    if command.kind is CommandKind.SLEEP:
        detail = _until(command)
    elif failure is not None:
        detail = f"failed with {failure.code}: {failure.message}"
    elif completed and value is not None:
        detail = value[:_SHORT].decode(errors="replace")
    kind = command.kind.name.lower().replace("_", "-")
    return JournalEntryView(handle, kind, command.name, completed, detail)


def _until(command: Command) -> str:
    return f"until {datetime.fromtimestamp(int(command.value or 0) / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
