"""One attempt of one invocation: drives the handler on its own loop, one completion at a time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVarTuple, Unpack

from typing_extensions import override

from restate_patterns.errors import AttemptSpins, CallNotAwaited, Cancelled, JournalMismatch, NotDurable, UsageError
from restate_patterns.execution import boundary, closing, places
from restate_patterns.execution.loop import InnerLoop, is_open
from restate_patterns.execution.loop_host import LoopHost
from restate_patterns.execution.primitives import Primitives
from restate_patterns.execution.stragglers import Stragglers
from restate_patterns.execution.tasks import InnerTask
from restate_patterns.execution.timers import InnerTimer
from restate_patterns.seam import (
    Attempt,
    AttemptEnd,
    Completion,
    Crashed,
    Failed,
    Invocation,
    MustPause,
    OperationHandle,
    Operations,
    Succeeded,
)
from restate_patterns.text.log_lines import logger_named
from restate_patterns.values.failures import to_failure

_logger = logger_named("restate_patterns")
Ts = TypeVarTuple("Ts")


class DurableAttempt(Primitives, Attempt, LoopHost):
    """One attempt of a handler.

    Args:
        invocation: What is known of the invocation; the same on each attempt.
        operations: What the backend does for this attempt.
        main: Makes the handler's coroutine from this attempt; its bytes are the output.
    """

    def __init__(
        self,
        invocation: Invocation,
        operations: Operations,
        main: Callable[[DurableAttempt], Coroutine[Any, Any, bytes]],
    ) -> None:
        super().__init__(invocation, operations, InnerLoop(self, invocation.random_seed, invocation.start_ms))
        self._make_main = main
        self._context = contextvars.copy_context()
        self._main: InnerTask[bytes] | None = None
        self._stragglers: Stragglers | None = None
        """Of the latest cancellation of the invocation that was delivered."""
        self._end: AttemptEnd | None = None
        """How the main coroutine ended; the attempt ends so once its other tasks have ended too."""
        self._lingering_count = 0
        self._broken: AttemptEnd | None = None
        self._closed = False

    # What the backend calls.

    @override
    def start(self) -> AttemptEnd | None:
        return self._drive(self._start_main)

    @override
    def deliver(self, completion: Completion) -> AttemptEnd | None:
        return self._drive(self._waits.deliver, completion)

    @override
    def deliver_cancel(self, time_ms: int | None) -> AttemptEnd | None:
        def cancel() -> None:
            self._cancels_count += 1
            self._loop.happened_at(time_ms)
            self._stragglers = Stragglers(self._loop, self._waits.waits_durably)
            self._waits.cancel_unshielded()

        return self._drive(cancel)

    @override
    def awaited(self) -> Iterable[OperationHandle]:
        return self._waits.awaited()

    @override
    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with self._loop:
                self._drop()

    # How it runs.

    def _start_main(self) -> None:
        self._main = self._loop.create_main(self._make_main(self), str(self.invocation.target), self._context)
        self._main.add_done_callback(self._main_ended)

    def _drive(self, event: Callable[[Unpack[Ts]], None], *args: *Ts) -> AttemptEnd | None:
        if self._closed:
            raise RuntimeError(f"the attempt of {self.invocation.id} is over: nothing can be delivered to it")
        with self._loop:
            self._loop.begin()
            try:
                event(*args)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is this attempt's
                self._break_off(boundary.of_error(error))
            end = self._run_to_next_wait()
            if end is not None:
                self._closed = True
                if self.said is not None and isinstance(end, (Succeeded, Failed)):
                    self.said.forget(self.invocation.id)
                self._report_lost_errors()
                self._drop()
        return end

    def _run_to_next_wait(self) -> AttemptEnd | None:
        while True:
            self._loop.run_until_idle()
            if self._broken is not None:
                return self._unless_cancelled(self._broken)
            if self._end is not None and self._lingering_count == 0:
                if self._cancel_rest() or self._close_generators():
                    continue
                return self._end
            if self._stragglers is not None and self._stragglers.reach():
                self._waits.cancel_arrived()
                continue
            if self._waits.any_awaited():
                return None
            if not self._loop.unpark():
                return None if self._operations.cancel_ahead() else MustPause(self._nothing_to_wait_for())

    def _unless_cancelled(self, end: AttemptEnd) -> AttemptEnd:
        """Give how an attempt ends that broke off: as cancelled, where it would never come to its cancellation.

        What is owed goes first: an undo that a later attempt may still do, or what a shield is there for.
        """
        if not isinstance(end, (Crashed, MustPause)) or (isinstance(end, MustPause) and end.mismatch):
            return end
        if self.owed or self.shield_broken or not (self._operations.cancel_ahead() and self._operations.at_journal_end):
            return end
        _logger.warning(
            "%s (%s) ends as cancelled: it failed where its cancellation could not reach it, so it cleaned up nothing",
            self.invocation.target,
            self.invocation.id,
            exc_info=end.error,
        )
        return Failed(to_failure(Cancelled()), broken_off=True)

    def _main_ended(self, main: InnerTask[bytes]) -> None:
        end = boundary.end_of(main, self._loop.failed_tasks, invocation_cancelled=self._stragglers is not None)
        if isinstance(end, Succeeded) and (forgotten := self._tracked.never_awaited()):
            end = MustPause(
                CallNotAwaited(
                    f"{', '.join(forgotten)}: called but never awaited, so nothing was called. Write `await` "
                    "before it, or give it to asyncio.gather or a TaskGroup; a call that nobody waits for is "
                    "`await ... .send(...)`"
                )
            )
        if isinstance(end, (Succeeded, Failed)) and self.owed:
            end = MustPause(UsageError("; ".join(self.owed)))
        if isinstance(end, (Succeeded, Failed)):
            self._end = end
            self._cancel_rest()
        else:
            # The next attempt must find nothing in the journal that this one did after its error.
            self._break_off(end)

    def _cancel_rest(self) -> bool:
        """Cancel the tasks that outlive the main coroutine, in creation order; tell whether there was one.

        They run to their end, and what they start while they clean up is left alone until then.
        """
        if self._loop.is_over_with(self._main):
            return False
        rest = self._loop.live_tasks()
        self._lingering_count += len(rest)
        for task in rest:
            task.add_done_callback(self._one_ended)
        for task in rest:
            if not task.runs_to_its_end:
                task.cancel()
        return bool(rest)

    def _one_ended(self, _task: object) -> None:
        self._lingering_count -= 1

    def _close_generators(self) -> bool:
        """Start to close the async generators that were left half-way; tell whether there was one."""
        if not self._loop.generators:
            return False
        open_ones = [generator for generator in self._loop.generators if is_open(generator)]
        self._loop.generators.clear()
        if not open_ones:
            return False

        async def close() -> None:
            for generator in open_ones:
                try:
                    await generator.aclose()
                except (Exception, asyncio.CancelledError):
                    _logger.exception(
                        "%s: the clean-up of a half-read async generator failed: %s",
                        self.invocation.target,
                        getattr(generator, "__qualname__", generator),
                    )

        task = self._loop.create_task(close(), name="close async generators", context=self._context)
        task.add_done_callback(self._one_ended)
        self._lingering_count += 1
        return True

    def _nothing_to_wait_for(self) -> NotDurable:
        return NotDurable(
            f"the handler of {self.invocation.target} waits for something that no journal will bring: "
            f"{places.of_tasks(self._loop.live_tasks())}. Wait for durable things only: calls, steps, "
            'sleeps, promises, awakeables, signals; wrap anything else in ctx.run("name", function)'
        )

    # What the loop tells.

    @override
    def timer_started(self, timer: InnerTimer, delay_ms: int) -> None:
        if timer.sleeper is not None and self._waits.takes_cancel():
            timer.sleeper.set_exception(Cancelled())
        else:
            self._waits.timer(self._ask(self._operations.sleep, timer.deadline_ms, delay_ms, timer.name), timer)

    @override
    def read_time(self) -> int:
        return self._ask(self._operations.now_ms)

    @override
    def timer_cancelled(self, timer: InnerTimer) -> None:
        if timer.handle is not None:
            self._waits.abandon(timer.handle)

    @override
    def callback_failed(self, error: BaseException) -> None:
        end = boundary.of_error(error)
        self._break_off(Crashed(error) if isinstance(end, Failed) else end)

    @override
    def spins(self, place: str) -> None:
        self._break_off(
            MustPause(
                AttemptSpins(
                    f"the handler of {self.invocation.target} runs without ever waiting for anything durable, "
                    f"last at {place}. A loop over asyncio.sleep(0) is no wait: sleep, or wait for what it polls for"
                )
            )
        )

    @override
    def _mismatched(self, error: JournalMismatch) -> None:
        self._break_off(MustPause(error, mismatch=True))

    def _break_off(self, end: AttemptEnd) -> None:
        """End the attempt here: no task runs on, nothing more reaches the backend."""
        if self._broken is None:
            self._broken = end
        self._loop.seal()

    def _report_lost_errors(self) -> None:
        """Log, as asyncio would, the errors of tasks that nobody awaited; a cancellation is none."""
        if self._loop.is_over_with(self._main):
            return
        for task in self._loop.failed_tasks():
            lost = task is not self._main and getattr(task, "_log_traceback", False)
            if lost and not isinstance(task.exception(), Cancelled):
                _logger.error(
                    "%s: a task failed and nobody awaited it: %s",
                    self.invocation.target,
                    task.get_name(),
                    exc_info=task.exception(),
                )

    def _drop(self) -> None:
        loop = self._loop
        loop.seal()
        if not loop.is_over_with(self._main):
            while living := loop.live_tasks():  # a cleanup may make tasks; those never start
                closing.close_tasks(loop, living)
        closing.close_generators(loop.generators)
        self._waits.clear()
        self._tracked.clear()
        loop.release()
        self._main = None
