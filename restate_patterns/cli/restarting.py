"""Before an invocation is started again: what it has done already, as it will be done once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from restate_patterns.admin import AdminClient, EngineError, InvocationDetail, InvocationStatus, JournalEntryView
from restate_patterns.cli.exits import CommandError, Exit
from restate_patterns.cli.output import confirmed, need_a_person, say
from restate_patterns.errors import InvocationNotFound
from restate_patterns.patterns.saga.trying import NEXT_TRY

_EFFECTS: Final = {"run": "step", "call": "call of", "send": "send to"}
"""Entries of a journal that have changed something outside of it."""
_RESTARTABLE: Final = (InvocationStatus.COMPLETED, InvocationStatus.PAUSED)
_WITHOUT_EFFECT: Final = (NEXT_TRY,)
"""How the names of steps begin that only note something."""


async def confirm_restart(ids: Sequence[str], admin: AdminClient) -> None:
    """Say what the invocations have done, and ask whether it may be done again; those that did nothing need no answer.

    Raises:
        CommandError: The answer is no, or nobody can give one.
    """
    done = [detail for each in ids if (detail := await _completed(each, admin)) and _effects(detail.journal)]
    if not done:
        return
    need_a_person("a restart does again what was done")
    for detail in done:
        for line in what_was_done(detail):
            say(line)
    if any(detail.view.status is InvocationStatus.COMPLETED for detail in done):
        say(
            "What has completed begins anew with another id, so the idempotency keys that ctx.uuid4() makes are "
            "others: no company will see that it is a repeat."
        )
    if not confirmed("Restart?"):
        raise CommandError(Exit.USAGE, "nothing was restarted")


async def _completed(invocation_id: str, admin: AdminClient) -> InvocationDetail | None:
    """Return an invocation that can be restarted; why another one can't be, its restart says."""
    try:
        detail = await admin.describe_invocation(invocation_id)
    except (EngineError, InvocationNotFound):
        return None
    return detail if detail.view.status in _RESTARTABLE else None


def what_was_done(detail: InvocationDetail) -> Sequence[str]:
    """Return what an invocation has done, and what may be done of what it was in the middle of, a line each."""
    view = detail.view
    how = "completed" if view.failure is None else f"failed with {view.failure.code}: {view.failure.message}"
    if view.status is InvocationStatus.PAUSED:
        how = "paused"
    effects = _effects(detail.journal)
    done = _counted(entry for entry in effects if entry.completed)
    begun = _counted(entry for entry in effects if not entry.completed)
    return [
        f"{view.id}: {view.target}, {how}",
        *(f"  did {each}" for each in done),
        *(f"  was in the middle of {each}, which may be done" for each in begun),
    ]


def _effects(journal: Iterable[JournalEntryView]) -> Sequence[JournalEntryView]:
    return [entry for entry in journal if entry.kind in _EFFECTS and not (entry.name or "").startswith(_WITHOUT_EFFECT)]


def _counted(entries: Iterable[JournalEntryView]) -> Iterable[str]:
    names = Counter(f"{_EFFECTS[entry.kind]} {entry.name}" for entry in entries)
    return (name if count == 1 else f"{name}, {count} times" for name, count in names.items())
