"""What a Restate server does otherwise, by guarantee, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from restate_patterns.testing.contract import Sometimes

_WAITS = "the server waits until somebody registers the service, as it may be on its way"
_DEADLOCK = "the server does not look for cycles: the calls wait until one is cancelled"
_PAUSE = "a pause of one that runs waits until its running steps have ended"
_TAKES_ALL = "the server takes any body and the handler refuses it, so its key is used; a typed client sends none such"
_ONE_CANCEL = "a cancel goes to every call that is outstanding; whose invocation it is, the server does not say"

DIFFERENCES: Final[Mapping[str, str]] = {
    "calls.unknown_from_inside": _WAITS,
    "steps.tries_count_over_a_restart": Sometimes(
        "the tries of a step that has no result yet are counted by the process that runs it, not in the journal"
    ),
    "keys.deadlock_with_itself": _DEADLOCK,
    "keys.deadlock_through_a_service": _DEADLOCK,
    "keys.deadlock_through_a_handle": _DEADLOCK,
    "keys.deadlock_of_two": _DEADLOCK,
    "idempotency.another_argument": "the server looks at the key alone: the argument of a repetition is ignored",
    "idempotency.freed_by_cancel": "the key goes on naming what was cancelled before it began, which ends with 409",
    "idempotency.bad_input_uses_up_no_key": _TAKES_ALL,
    "workflows.bad_input_uses_up_no_key": _TAKES_ALL,
    "signals.resolved_from_outside": "servers have no request for it; a handler does it",
    "signals.answered_before_it_began": "what comes before an invocation begins is dropped, and nobody is told",
    "cancelling.joined_call": _ONE_CANCEL,
    "cancelling.between_attempts": "an invocation that backs off hears of it at its next attempt; a resume makes that",
    "misuse.mismatch_is_not_cancelled": (
        "the server takes a cancel of any invocation; one that is paused is told once it is resumed"
    ),
    "operating.pause_and_resume": _PAUSE,
    "operating.paused_callers": "who calls waits, however long it takes until a person resumes the invocation",
    "operating.paused_over_a_restart": _PAUSE,
    "operating.kill_spares_sends": Sometimes(
        "the server kills what the victim has sent, too; the command names it and asks"
    ),
}

_NOTHING_ARRIVES = (
    "with an inactivity timeout of 0 the server stops talking at once, so nothing reaches a handler while a step of "
    "it runs; the same holds for a step that runs longer than whatever the timeout is"
)

SUSPENDING_DIFFERENCES: Final[Mapping[str, str]] = {
    **DIFFERENCES,
    "sends.cancel_by_handle": _NOTHING_ARRIVES,
    "steps.never_twice_at_once": _NOTHING_ARRIVES,
    "steps.adopted_by_the_next_attempt": _NOTHING_ARRIVES,
    "undoing.timeout": _NOTHING_ARRIVES,
    "undoing.failing_sibling": _NOTHING_ARRIVES,
    "undoing.cancelled_invocation": _NOTHING_ARRIVES,
    "undoing.cancelled_task": _NOTHING_ARRIVES,
    "undoing.thread": Sometimes(_NOTHING_ARRIVES),
    "cancelling.joined_call": Sometimes(_ONE_CANCEL),
    "state.kept_after_cancel": _NOTHING_ARRIVES,
    "concurrency.winner_is_kept": _NOTHING_ARRIVES,
    "idempotency.cancelled_by_key": _NOTHING_ARRIVES,
    "cancelling.arrives_at_each_wait": _NOTHING_ARRIVES,
}
