"""Why an invocation does not go on by itself, and what in a test would let it.

Read off the engine as it is when nothing moves; it changes nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from restate_patterns.embedded.core import Core
from restate_patterns.embedded.records import Command, CommandKind, Record, Status
from restate_patterns.embedded.timers import START_TIMER
from restate_patterns.seam import InvocationRef, OperationHandle
from restate_patterns.testing.errors import EndlessWait

_UNITS: Final = (
    ("days", "d", 86_400_000),
    ("hours", "h", 3_600_000),
    ("minutes", "min", 60_000),
    ("seconds", "s", 1000),
)
_CALLED: Final = (CommandKind.CALL, CommandKind.ATTACH)
_ANSWERED: Final = (CommandKind.PROMISE_VALUE, CommandKind.AWAKEABLE, CommandKind.SIGNAL)
_AWAITED: Final = (*_CALLED, *_ANSWERED, CommandKind.RUN, CommandKind.SLEEP)


class Reasons:
    """Looks for what an invocation waits for, through the invocations that it waits for.

    Args:
        core: The engine, in which nothing moves.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._now_ms = core.log.now_ms()
        self._dues_ms: list[int] = []
        self._fixes: dict[str, None] = {}
        self._seen: set[int] = set()

    def of(self, ref: InvocationRef) -> EndlessWait | None:
        """Return what to raise for a wait; None where the invocation is not there, or has ended."""
        num = self._core.identities.find(ref)
        record = None if num is None else self._core.records.peek(num)
        if record is None or record.status is Status.COMPLETED:
            return None
        why = self._why(record)
        if self._dues_ms:
            passing = timedelta(milliseconds=min(self._dues_ms) - self._now_ms)
            self._fixes = {f"let time pass, as with `await env.advance({_in_code(passing)})`": None, **self._fixes}
        return EndlessWait(f"{record.target} ({record.id})", why, tuple(self._fixes))

    def _why(self, record: Record) -> str:
        self._seen.add(record.num)
        match record.status:
            case Status.SCHEDULED:
                return f"is to start {self._due(self._core.timers.due_ms(record.num, START_TIMER))}"
            case Status.BACKING_OFF:
                return f"failed, last with {record.failure}, and its next try is {self._due(record.retry_at_ms)}"
            case Status.PAUSED:
                self._fix(f"mend that and resume it: `await env.engine.resume({record.id!r})`")
                return f"is paused: {record.failure}"
            case Status.QUEUED:
                return f"waits for its turn on the key {record.key!r}, held by {self._other(self._holder(record))}"
            case _:
                return f"waits for {' and for '.join(self._waits(record)) or 'what no journal brings'}"

    def _holder(self, record: Record) -> int | None:
        return self._core.keys.of(record).holder

    def _other(self, num: int | None) -> str:
        record = None if num is None else self._core.records.peek(num)
        if record is None:
            return "one that is gone"
        name = f"{record.target} ({record.id})"
        return name if record.num in self._seen else f"{name}, which {self._why(record)}"

    def _waits(self, record: Record) -> Iterator[str]:
        self._core.records.load_rows(record)
        commands = dict(record.commands())
        if record.running is not None:
            handles = list(record.running.awaited())
        else:
            handles = [handle for handle in commands if handle not in record.done]
        for handle in handles:
            command = commands.get(handle)
            if command is not None and command.kind in _AWAITED:
                found = self._wait(record, handle, command)
                if found is not None:
                    yield found

    def _wait(self, record: Record, handle: OperationHandle, command: Command) -> str | None:
        match command.kind:
            case CommandKind.SLEEP:
                due_ms = self._core.timers.due_ms(record.num, handle)
                return None if due_ms is None else f"a timer that is due {self._due(due_ms)}"
            case CommandKind.RUN:
                return self._step(record, handle, command.name)
            case CommandKind.PROMISE_VALUE:
                self._fix(f"let a handler of {record.service} resolve the promise {command.name!r}")
                return f"the promise {command.name!r}, which nobody has resolved"
            case CommandKind.AWAKEABLE:
                awakeable_id = (command.value or b"").decode()
                self._fix("resolve the awakeable: `await awakeable_id.resolve(env.client, ...)`")
                return f"the awakeable {awakeable_id}, which nobody has resolved"
            case CommandKind.SIGNAL:
                self._fix(f"resolve the signal: `await handle.signal({command.name!r}, ...).resolve(...)`")
                return f"the signal {command.name!r}, which nobody has resolved"
            case _:
                return self._other(record.calls.get(handle))

    def _step(self, record: Record, handle: OperationHandle, name: str) -> str:
        for step in self._core.steps.of(record.num):
            wait_ms = step.next_try_in_ms
            if step.handle == handle and wait_ms is not None:
                next_try = self._due(self._now_ms + round(wait_ms))
                return f"the step {name!r}, which failed, last with {step.last_failure}; its next try is {next_try}"
        return f"the step {name!r}"

    def _due(self, due_ms: int | None) -> str:
        if due_ms is None:
            return "later"
        self._dues_ms.append(due_ms)
        return f"in {_in_words(timedelta(milliseconds=due_ms - self._now_ms))}"

    def _fix(self, fix: str) -> None:
        self._fixes[fix] = None


def _parts(span: timedelta) -> Iterator[tuple[str, str, int]]:
    left_ms = max(0, span // timedelta(milliseconds=1))
    for name, short, unit_ms in _UNITS:
        count, left_ms = divmod(left_ms, unit_ms)
        if count:
            yield name, short, count
    if left_ms or span < timedelta(milliseconds=1):
        yield "milliseconds", "ms", left_ms


def _in_words(span: timedelta) -> str:
    return " ".join(f"{count} {short}" for _, short, count in _parts(span))


def _in_code(span: timedelta) -> str:
    return f"timedelta({', '.join(f'{name}={count}' for name, _, count in _parts(span))})"
