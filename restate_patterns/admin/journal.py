"""The journal of an invocation on a Restate server, as people read it. Pure.

A Restate journal has commands (what the handler asked for) and notifications (answers, by completion
id). A view has one entry for each command of the handler, so the two are brought together here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from restate_patterns.admin.connection import JsonObject
from restate_patterns.admin.introspection import CANCEL_SIGNAL
from restate_patterns.client.sql import among
from restate_patterns.engine.interface import JournalEntryView
from restate_patterns.seam import Target

_KINDS: Final = {
    "Call": "call",
    "OneWayCall": "send",
    "Run": "run",
    "Sleep": "sleep",
    "GetLazyState": "get-state",
    "GetEagerState": "get-state",
    "GetLazyStateKeys": "state-names",
    "GetEagerStateKeys": "state-names",
    "SetState": "set-state",
    "ClearState": "clear-state",
    "ClearAllState": "clear-all-state",
    "GetPromise": "promise-value",
    "PeekPromise": "promise-peek",
    "CompletePromise": "promise-complete",
    "CompleteAwakeable": "complete-awakeable",
    "AttachInvocation": "attach",
    "GetInvocationOutput": "output",
}
_WAITS: Final = {
    "call": "the call of",
    "run": "the step",
    "sleep": "the timer",
    "promise-value": "the promise",
    "attach": "the invocation",
}
_NOT_OF_THE_HANDLER: Final = ("Input", "Output")
_SHORT: Final = 200


def journal_query(ids: Iterable[str]) -> str:
    """Write the query for the journals of some invocations."""
    return f'SELECT id, "index", entry_json FROM sys_journal WHERE {among("id", ids)} ORDER BY id, "index"'


@dataclass(frozen=True, slots=True)
class Command:
    """What a handler asked for, with its answer as far as there is one."""

    position: int
    kind: str
    name: str
    body: JsonObject
    completion_id: int | None
    """None for what completes at once."""
    result: object = None

    @property
    def completed(self) -> bool:
        """Whether it has its answer."""
        return self.completion_id is None or self.result is not None

    @property
    def callee(self) -> str | None:
        """The id of the invocation that it called or sent."""
        found = _object(self.body.get("request")).get("invocation_id", self.body.get("invocation_id"))
        return found if isinstance(found, str) else None


def commands_of(rows: Sequence[JsonObject]) -> Sequence[Command]:
    """Bring the commands of one journal together with their answers."""
    entries = [_object(json.loads(str(row["entry_json"]))) for row in rows if row.get("entry_json")]
    answers: dict[object, JsonObject] = {}
    for entry in entries:
        for completion in map(_object, _object(_object(entry.get("Notification")).get("Completion")).values()):
            answers[completion.get("completion_id")] = completion
    found: list[Command] = []
    for entry in entries:
        for name, body in _object(entry.get("Command")).items():
            if name not in _NOT_OF_THE_HANDLER:
                found.append(_command(len(found), name, _object(body), answers))
    return found


def entries_of(commands: Iterable[Command]) -> Sequence[JournalEntryView]:
    """Show commands as entries of a journal."""
    return [JournalEntryView(each.position, each.kind, each.name, each.completed, _detail(each)) for each in commands]


def open_waits(commands: Iterable[Command]) -> Sequence[Command]:
    """Return the commands without an answer, which the handler may be waiting for."""
    return [each for each in commands if not each.completed and each.kind in _WAITS]


def sentence(command: Command, statuses: Mapping[str, str]) -> str:
    """Say what is waited for, with the status of who is called where it is known."""
    words = f"{_WAITS[command.kind]} {command.name}".strip()
    if command.kind == "sleep":
        return f"{words} {_detail(command)}"
    callee = command.callee if command.kind == "call" else None
    if callee is None:
        return words
    status = statuses.get(callee)
    return f"{words} ({callee})" + (f", which is {status}" if status else "")


def _command(position: int, name: str, body: JsonObject, answers: Mapping[object, JsonObject]) -> Command:
    completion_id = body.get("result_completion_id", body.get("completion_id"))
    answer = answers.get(completion_id) if completion_id is not None else None
    result = body.get("result") if answer is None else answer.get("result", "Void")
    kind = _KINDS.get(name, name)
    if name == "SendSignal":
        kind, result = _signal_kind(_object(body.get("signal_id")), result)
    return Command(position, kind, _name(body), body, completion_id if isinstance(completion_id, int) else None, result)


def _signal_kind(signal_id: JsonObject, result: object) -> tuple[str, object]:
    if signal_id.get("Index") == CANCEL_SIGNAL:
        return "cancel-invocation", None
    return "complete-signal" if "Name" in signal_id else "complete-awakeable", result


def _name(body: JsonObject) -> str:
    request = _object(body.get("request"))
    target = _target(_object(request.get("invocation_target", body.get("invocation_target"))))
    if target is not None:
        return str(target)
    signal = _object(body.get("signal_id")).get("Name")
    if isinstance(signal, str):
        return f"{signal} of {body.get('target_invocation_id')}"
    for field in ("name", "key"):
        value = body.get(field)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value:
            return _text_of(cast("list[int]", value))
    for field in ("target_invocation_id", "id", "target"):
        value = body.get(field)
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            return next((str(each) for each in cast("JsonObject", value).values()), "")
    return ""


def _target(written: JsonObject) -> Target | None:
    for fields in map(_object, written.values()):
        key = fields.get("key")
        return Target(str(fields["name"]), str(fields["handler"]), key if isinstance(key, str) else None)
    return None


def _detail(command: Command) -> str:
    deadline_ms = command.body.get("wake_up_time")
    if isinstance(deadline_ms, int):
        return f"until {datetime.fromtimestamp(deadline_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if not command.completed:
        return "open"
    return _shown(command.result)


def _shown(result: object) -> str:
    fields = _object(result)
    failure = _object(fields.get("Failure"))
    if failure:
        return f"failed with {failure.get('code')}: {failure.get('message')}"
    success = fields.get("Success")
    return _text_of(cast("list[int]", success))[:_SHORT] if isinstance(success, list) else ""


def _text_of(data: list[int]) -> str:
    return bytes(data).decode(errors="replace")


def _object(value: object) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, Mapping) else {}
