"""Journals of a Restate server as people read them; the rows are of Restate 1.7.12, shortened."""

from __future__ import annotations

import json

from restate_patterns.admin.journal import commands_of, entries_of, journal_query, open_waits, sentence
from restate_patterns.engine.interface import JournalEntryView

TARGET = {"VirtualObject": {"name": "Counter", "key": "k", "handler": "add", "handler_ty": "Exclusive", "scope": None}}


def command(kind: str, **fields: object) -> object:
    return {"Command": {kind: fields}}


def completion(kind: str, **fields: object) -> object:
    return {"Notification": {"Completion": {kind: fields}}}


def rows(*entries: object) -> list[dict[str, object]]:
    return [{"id": "inv_1", "index": index, "entry_json": json.dumps(each)} for index, each in enumerate(entries)]


def test_commands_with_their_answers() -> None:
    journal = rows(
        command("Input", headers=[], payload=[], name=""),
        command("Run", completion_id=1, name="charge"),
        completion("Run", completion_id=1, result={"Success": [*b'"paid"']}),
        command("OneWayCall", request={"invocation_id": "inv_2", "invocation_target": TARGET}, name=""),
        completion("CallInvocationId", completion_id=2, invocation_id="inv_2"),
        command(
            "Call",
            request={"invocation_id": "inv_3", "invocation_target": TARGET},
            invocation_id_completion_id=3,
            result_completion_id=4,
            name="",
        ),
        completion("Call", completion_id=4, result={"Failure": {"code": 410, "message": "none left"}}),
        command("SetState", key=[*b"count"], value=[*b"1"], name=""),
        command("Sleep", wake_up_time=1_795_522_450_197, completion_id=5, name="a wait"),
        command("GetPromise", key="decision", completion_id=6, name=""),
        completion("Sleep", completion_id=5),
        command("SendSignal", target_invocation_id="inv_9", signal_id={"Index": 1}, result="Void"),
        command(
            "SendSignal",
            target_invocation_id="inv_9",
            signal_id={"Name": "approved"},
            result={"Success": [*b"true"]},
            name="",
        ),
        command("Output", result={"Success": []}, name=""),
    )
    assert entries_of(commands_of(journal)) == [
        JournalEntryView(0, "run", "charge", True, '"paid"'),
        JournalEntryView(1, "send", "Counter/k/add", True, ""),
        JournalEntryView(2, "call", "Counter/k/add", True, "failed with 410: none left"),
        JournalEntryView(3, "set-state", "count", True, ""),
        JournalEntryView(4, "sleep", "a wait", True, "until 2026-11-24 12:14:10 UTC"),
        JournalEntryView(5, "promise-value", "decision", False, "open"),
        JournalEntryView(6, "cancel-invocation", "inv_9", True, ""),
        JournalEntryView(7, "complete-signal", "approved of inv_9", True, "true"),
    ]


def test_what_is_waited_for() -> None:
    journal = rows(
        command("Call", request={"invocation_id": "inv_3", "invocation_target": TARGET}, result_completion_id=1),
        command("Sleep", wake_up_time=1_795_522_450_197, completion_id=2, name=""),
        command("Run", completion_id=3, name="charge"),
        command("GetLazyState", key=[*b"count"], completion_id=4),
    )
    waits = open_waits(commands_of(journal))
    assert [sentence(each, {"inv_3": "queued"}) for each in waits] == [
        "the call of Counter/k/add (inv_3), which is queued",
        "the timer until 2026-11-24 12:14:10 UTC",
        "the step charge",
    ]
    assert sentence(waits[0], {}) == "the call of Counter/k/add (inv_3)"


def test_a_kind_that_is_new_is_shown_by_its_name() -> None:
    (entry,) = entries_of(commands_of(rows(command("Teleport", name="home"))))
    assert (entry.kind, entry.name, entry.completed) == ("Teleport", "home", True)
    assert "entry_json" in journal_query(["inv_1"])
