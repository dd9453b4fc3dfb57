"""A guarantee that no backend can break is none: each of these backends lacks one thing, and is found out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import nullcontext

import pytest

from restate_patterns.embedded import admission
from restate_patterns.embedded.admission import Admission
from restate_patterns.embedded.attempts import Attempts
from restate_patterns.embedded.batch import IdempotencyId, TimerMark
from restate_patterns.embedded.cancels import Cancels
from restate_patterns.embedded.lines import Lines
from restate_patterns.embedded.operations import JournalOperations
from restate_patterns.embedded.records import Record
from restate_patterns.embedded.store import Store
from restate_patterns.embedded.timers import Timers
from restate_patterns.execution import boundary
from restate_patterns.execution.attempt import DurableAttempt
from restate_patterns.execution.primitives import Primitives
from restate_patterns.execution.tasks import InnerFuture
from restate_patterns.execution.waits import StepWait
from restate_patterns.seam import Issued, OperationHandle, Ready
from restate_patterns.testing.contract import ALL, check
from restate_patterns.testing.contract import guarantee as guarantee_module
from restate_patterns.testing.contract import recorder as recorder_module
from tests.support.engines.contract_hosts import EmbeddedHost, EmbeddedRunning

BY_NAME = {guarantee.name: guarantee for guarantee in ALL}


def forgets(patch: pytest.MonkeyPatch) -> None:
    """Comes back with nothing after its process died."""

    async def restart(self: EmbeddedRunning) -> None:
        await self.engine.crash()
        self._store = Store(":memory:")
        self.engine = self._new_engine()
        await self.engine.start()

    patch.setattr(EmbeddedRunning, "restart", restart)


def lets_all_write(patch: pytest.MonkeyPatch) -> None:
    """Has no line for a key."""

    def enter(self: Lines, record: Record) -> None:
        self._queue.wake(record)

    patch.setattr(Lines, "enter", enter)


def knows_no_keys(patch: pytest.MonkeyPatch) -> None:
    """Makes a new invocation of each request."""

    def identity_of(self: Admission, request: object) -> IdempotencyId | None:
        return None

    patch.setattr(Admission, "identity_of", identity_of)


def leaves_steps_behind(patch: pytest.MonkeyPatch) -> None:
    """Goes on while a step that was asked to stop still runs."""

    def cancel(self: StepWait, msg: object = None) -> bool:
        self._ask_to_stop()
        return InnerFuture.cancel(self, msg)

    patch.setattr(StepWait, "cancel", cancel)


def spares_children(patch: pytest.MonkeyPatch) -> None:
    """Cancels the caller and not what it calls."""

    def cancel_call(self: JournalOperations, handle: OperationHandle) -> None: ...

    patch.setattr(JournalOperations, "cancel_call", cancel_call)


def is_early(patch: pytest.MonkeyPatch) -> None:
    """Has timers that fire before their time."""
    add = Timers.add

    def early(self: Timers, num: int, handle: OperationHandle | TimerMark, due_ms: int) -> None:
        add(self, num, handle, due_ms - 60)

    patch.setattr(Timers, "add", early)


def shields_nothing(patch: pytest.MonkeyPatch) -> None:
    """Cancels through a shield."""
    patch.setattr(Primitives, "shielded", lambda self: nullcontext())


def rolls_anew(patch: pytest.MonkeyPatch) -> None:
    """Has other dice on each attempt."""
    patch.setattr(Primitives, "random", property(lambda self: random.Random()))


def reads_what_is(patch: pytest.MonkeyPatch) -> None:
    """Reads the state of now while it replays."""
    get_state = JournalOperations.get_state

    def get(self: JournalOperations, name: str) -> Issued:
        get_state(self, name)
        return Ready(self._parts.keys.of(self._record).state.get(name))

    patch.setattr(JournalOperations, "get_state", get)


def kills_for_cancel(patch: pytest.MonkeyPatch) -> None:
    """Kills what it should cancel."""
    patch.setattr(Cancels, "cancel", Cancels.kill)


def hangs(patch: pytest.MonkeyPatch) -> None:
    """Sees no deadlock."""
    patch.setattr(Attempts, "_break_deadlock", lambda self, record, deadlock: None)


def looks_at_keys_alone(patch: pytest.MonkeyPatch) -> None:
    """Joins whatever comes under a key, whatever it asks for."""
    patch.setattr(admission, "_differs", lambda found, request, handler: False)


def sorts_no_groups(patch: pytest.MonkeyPatch) -> None:
    """Takes the errors of a group as they come."""
    patch.setattr(boundary, "_numbers", lambda failed: {})


def leaves_tasks(patch: pytest.MonkeyPatch) -> None:
    """Answers while tasks of the handler run on."""
    patch.setattr(DurableAttempt, "_cancel_rest", lambda self: False)


@pytest.mark.parametrize(
    ("lack", "names"),
    [
        (
            forgets,
            "steps.recorded_never_again state.kept_over_a_restart awakeables.over_a_restart programs.undisturbed",
        ),
        (lets_all_write, "keys.single_writer keys.first_in_first_out keys.holder_keeps_its_key"),
        (knows_no_keys, "idempotency.joins idempotency.scope workflows.two_at_the_same_time"),
        (looks_at_keys_alone, "idempotency.another_argument"),
        (leaves_steps_behind, "undoing.timeout undoing.thread undoing.failing_sibling undoing.cancelled_task"),
        (spares_children, "cancelling.calls_too"),
        (is_early, "timers.never_early sends.delayed_from_outside sends.delayed_from_a_handler"),
        (shields_nothing, "compensating.second_cancel_and_shield"),
        (rolls_anew, "facts.dice"),
        (reads_what_is, "state.reads_replay"),
        (kills_for_cancel, "cancelling.result compensating.each_branch"),
        (hangs, "keys.deadlock_with_itself"),
        (sorts_no_groups, "failures.group_of_terminal_errors"),
        (leaves_tasks, "concurrency.tasks_left_over"),
    ],
)
def test_a_backend_that_lacks_something_is_found_out(
    lack: Callable[[pytest.MonkeyPatch], None], names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "PATIENCE_S", 0.5)
    monkeypatch.setattr(guarantee_module, "CHECK_TIMEOUT_S", 1.0)
    lack(monkeypatch)
    for name in names.split():
        with pytest.raises(AssertionError) as broken:
            asyncio.run(check(BY_NAME[name], EmbeddedHost(name)))
        assert not isinstance(broken.value.__cause__, TypeError | AttributeError | NameError), broken.value.__cause__
