"""What `migrate` says: what is carried, what stays, and what cannot be carried and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from restate_patterns.cli.output import ago, print_fields, print_table, say
from restate_patterns.embedded.inventory import Finished, ParkedFile
from restate_patterns.moving.plan import Plan
from restate_patterns.moving.refusals import REMEDIES, Refusal
from restate_patterns.text.durations import rfc3339

_SHOWN_MAX: Final = 20
"""Refusals of one kind that are listed for people; JSON has all."""


def show(plan: Plan, file: Path, to: str, now_ms: int) -> None:
    """Print a plan."""
    say(f"{file} to {to}")
    print_fields(
        [
            ("state", f"{_count(plan.state.keys, 'key')} with {_count(plan.state.values, 'value')}"),
            ("now", _now(plan, now_ms)),
            ("later", _later(plan, now_ms)),
            ("there", _there(plan)),
            ("stays", _stays(plan.finished, plan.state.left_keys)),
        ]
    )
    if plan.refusals:
        _show_refusals(plan.refusals)


def _now(plan: Plan, now_ms: int) -> str:
    waiting = sum(each.due is None for each in plan.sends)
    overdue = sum(each.due is not None and each.due[0] <= now_ms for each in plan.sends)
    parts = [
        f"{_count(waiting, 'send')} not yet begun" if waiting else "",
        f"{_count(overdue, 'delayed send')} overdue" if overdue else "",
    ]
    return ", ".join(part for part in parts if part)


def _later(plan: Plan, now_ms: int) -> str:
    dues = [each.due[0] for each in plan.sends if each.due is not None and each.due[0] > now_ms]
    if not dues:
        return ""
    return f"{_count(len(dues), 'delayed send')}, the first due {ago(rfc3339(min(dues)), now_ms)}"


def _there(plan: Plan) -> str:
    parts = [
        _count(plan.sent_before + len(plan.found), "send") if plan.sent_before or plan.found else "",
        _count(plan.promises_there, "promise") if plan.promises_there else "",
    ]
    return ", ".join(part for part in parts if part)


def _stays(finished: Finished, left_keys: int) -> str:
    if not finished.count:
        return ""
    parts = [_count(finished.count, "result")]
    if finished.keyed_count:
        parts.append(f"{finished.keyed_count} of them with an idempotency key")
    if finished.runs_count:
        parts.append(f"{finished.runs_count} of them of workflows")
    if left_keys:
        parts.append(f"the state of {_count(left_keys, 'workflow key')}")
    again = ""
    if finished.keyed_count or finished.runs_count:
        again = "; a request with one of these idempotency keys, or for one of these workflows, runs again there"
    until = "" if finished.until_ms is None else f" (kept until {rfc3339(finished.until_ms)[:16]}Z)"
    return ", ".join(parts) + until + again


def _show_refusals(refusals: list[Refusal]) -> None:
    say(f"cannot be carried: {len(refusals)}")
    counts = Counter(each.why for each in refusals)
    for why, count in counts.items():
        of_kind = [each for each in refusals if each.why is why]
        say()
        say(f"{why.value} ({count}): {REMEDIES[why]}")
        shown = list(dict.fromkeys((each.subject, each.id or "", each.reason) for each in of_kind))
        print_table(("TARGET", "ID", "WHY"), shown[:_SHOWN_MAX])
        if len(shown) > _SHOWN_MAX:
            say(f"... and {len(shown) - _SHOWN_MAX} more; --json lists them all")
    say()


def report_json(plan: Plan, file: ParkedFile, to: str, *, moved: bool) -> dict[str, object]:
    """Give the report as JSON: every send with its id here and there, every refusal with its code."""
    new_ids = {num: each.new_id for num, each in file.log.sent().items()}
    return {
        "file": str(file.path),
        "to": to,
        "moved": moved,
        "state": {"keys": plan.state.keys, "values": plan.state.values},
        "sends": [
            {
                "id": each.id,
                "target": str(each.target),
                "due": None if each.due is None else rfc3339(each.due[0]),
                "new_id": new_ids.get(each.num),
            }
            for each in plan.sends
        ],
        "carried_before": plan.sent_before + len(plan.found),
        "promises_there": plan.promises_there,
        "stays": {
            "results": plan.finished.count,
            "idempotency_keys": plan.finished.keyed_count,
            "workflow_runs": plan.finished.runs_count,
            "workflow_states": plan.state.left_keys,
            "until": None if plan.finished.until_ms is None else rfc3339(plan.finished.until_ms),
        },
        "refused": [
            {
                "why": each.why.value,
                "subject": each.subject,
                "id": each.id,
                "reason": each.reason,
                "remedy": REMEDIES[each.why],
            }
            for each in plan.refusals
        ],
    }


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
