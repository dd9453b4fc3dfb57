"""The inner event loop: a ready queue, drained inside the real loop, and nothing else.

Why a handler may use plain asyncio, and replays all the same:

- A handler runs on a loop of its own, which has no selector, no clock and no threads. Only completions of durable
  operations wake it, one at a time, in the order of the journal; so all that asyncio builds on top (tasks, groups,
  timeouts, queues, locks) is a pure function of the journal.
- A *drain* is `run_until_idle`: callbacks run, first in first out, until none is ready. The real loop calls it from a
  callback of its own, with this loop entered as the running one, and goes on with others afterwards.
- Time is durable time: what the last completion said (`happened_at`), and it never goes back. A timer is an operation
  of the backend, which the `LoopHost` starts; it fires as a completion like any other.
- What differs from process to process is put in order: tasks and futures are numbered as they are made and hashed by
  that (`tasks`), tasks that one callback cancelled wake in that order, and async generators are kept, so that no
  garbage collection decides when they end.
- What would let the outside in is refused with a sentence (`refusals`): sockets, processes, threads, a callback that
  another loop schedules here.
- A drain has a budget of callbacks; one that runs over it spins, and ends the attempt. A callback that schedules itself
  is parked until the next completion, after a bounded number of times.

It knows no operation. What it costs is on the way of each step, so the drain runs its handles itself.
"""

# pyright: reportPrivateUsage=false
# The loop runs its handles itself: a call of `Handle.cancelled()` and one of `_run()` for each cost more than they do.

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, TypeVar, TypeVarTuple, Unpack

from typing_extensions import override

from restate_patterns import limits
from restate_patterns.errors import NotDurable
from restate_patterns.execution import places
from restate_patterns.execution.entering import Enterable
from restate_patterns.execution.loop_host import NOBODY, LoopHost
from restate_patterns.execution.refusals import RefusingLoop
from restate_patterns.execution.tasks import InnerFuture, InnerTask, NumberingLoop
from restate_patterns.execution.timers import InnerHandle, InnerTimer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_HASH_BITS = (1 << 60) - 1


class InnerLoop(Enterable, RefusingLoop, NumberingLoop):
    """The event loop of one attempt.

    Args:
        host: The attempt.
        seed: The same on each attempt of one invocation; hashes of tasks and futures begin there.
        start_ms: Durable time at which the invocation started, in Unix milliseconds; None when unknown.
    """

    def __init__(self, host: LoopHost, seed: int, start_ms: int | None) -> None:
        self.host = host
        self.hash_base = seed & _HASH_BITS
        self.time_is_stale = start_ms is None
        """Whether something without a time has happened since `now_ms` was right; it lags until it is read."""
        self.now_ms = start_ms or 0
        self._now_s = self.now_ms / 1000
        self.count = 0
        self._ready: deque[InnerHandle] = deque()
        self._again: list[InnerHandle] = []
        self._running: Callable[..., object] | None = None
        self._cancelled_wakeups = 0
        self._others_ran = False
        self._budget = 0
        self.sealed = False
        self._tasks: list[InnerTask[Any]] = []
        self._tasks_limit = 64
        self._generators_limit = 64
        self.generators: list[AsyncGenerator[Any, Any]] = []

    # Time.

    @override
    def time(self) -> float:
        """Give durable time in Unix seconds."""
        if self.time_is_stale:
            self.refresh_time()
        return self._now_s

    def refresh_time(self) -> None:
        """Ask for durable time if it is not known."""
        if self.time_is_stale and not self.sealed:
            self.time_is_stale = False
            self.advance(self.host.read_time())

    def happened_at(self, time_ms: int | None) -> None:
        """Move durable time to when something happened, or note that it is not known."""
        if time_ms is None:
            self.time_is_stale = True
        else:
            self.time_is_stale = False
            if time_ms > self.now_ms:
                self.advance(time_ms)

    def advance(self, now_ms: int, now_s: float = 0.0) -> None:
        """Move durable time forward; it never goes back."""
        if now_ms > self.now_ms:
            self.now_ms = now_ms
            now_s = max(now_s, now_ms / 1000)
        if now_s > self._now_s:
            self._now_s = now_s

    # Draining.

    def begin(self) -> None:
        """Begin a drain: it has its full budget of callbacks."""
        self._budget = limits.DRAIN_CALLBACKS_MAX

    def seal(self) -> None:
        """Run no further callback and keep none: the attempt is being dropped."""
        self.sealed = True
        self._ready.clear()
        self._again.clear()
        self._cancelled_wakeups = 0

    def run_until_idle(self) -> None:
        """Run callbacks until none is ready, or the loop is sealed.

        A callback that scheduled itself (anyio delivers a cancellation that way, over and over until
        the task ends) runs again only after something else has, and a bounded number of times; then
        it is parked until the next completion.
        """
        ready = self._ready
        repeats_left = limits.CANCEL_REDELIVERIES_MAX
        if self._cancelled_wakeups:
            self._order_cancelled_wakeups()
        while not self.sealed:
            if not ready:
                repeats_left -= 1
                if repeats_left < 0 or not self.unpark():
                    break
            handle = ready.popleft()
            if handle._cancelled:  # what follows is `Handle.cancelled()` and `_run()`, without their calls
                continue
            if not handle.again:
                self._others_ran = True
            self._budget -= 1
            if self._budget < 0:
                self.host.spins(places.of_callback(handle._callback))
                break
            self._running = callback = handle._callback
            try:
                handle._context.run(callback, *handle._args)
            except BaseException as error:  # noqa: BLE001 - SystemExit ends the attempt, not the process
                self.host.callback_failed(error)
            if self._cancelled_wakeups:
                self._order_cancelled_wakeups()
        self._running = None

    def unpark(self) -> bool:
        """Make the callbacks that scheduled themselves ready again; False when it could change nothing."""
        if not (self._again and self._others_ran):
            return False
        self._ready.extend(self._again)
        self._again.clear()
        self._others_ran = False
        return True

    def _order_cancelled_wakeups(self) -> None:
        """Let the tasks that one callback cancelled wake in creation order.

        The sweep that cancelled them may have gone over a set of objects that are hashed by address.
        """
        left, self._cancelled_wakeups = self._cancelled_wakeups, 0
        if left < 2:
            return
        added: list[InnerHandle] = []
        while left:
            handle = self._ready.pop()
            added.append(handle)
            left -= handle.wakes_cancelled
        added.reverse()
        in_order = iter(sorted((handle for handle in added if handle.wakes_cancelled), key=InnerHandle.order))
        self._ready.extend(next(in_order) if handle.wakes_cancelled else handle for handle in added)

    # What asyncio asks of an event loop.

    @override
    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = InnerHandle(callback, args, self, contextvars.copy_context() if context is None else context)
        if not self._open:
            self._refuse_foreign(callback)
        if self.sealed:
            return handle
        if callback == self._running:
            handle.again = True
            self._again.append(handle)
            return handle
        if args and isinstance(args[0], asyncio.Future) and args[0].cancelled():
            handle.wakes_cancelled = True
            self._cancelled_wakeups += 1
        self._ready.append(handle)
        return handle

    def _refuse_foreign(self, callback: Callable[..., object]) -> None:
        raise NotDurable(
            f"{places.foreign_caller()} woke {places.of_callback(callback)} of another invocation (or of an "
            "earlier attempt): an asyncio object kept outside the handler is shared between invocations, and "
            "what it does is in no journal. Make it inside the handler, or use a virtual object, a durable "
            "promise, an awakeable or a signal"
        )

    @override
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        # What counts is the delay, so a time that lags will do: no sleep has to ask for it.
        return self._start_timer(self._now_s + delay, callback, args, context)

    @override
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        self.refresh_time()
        return self._start_timer(when, callback, args, context)

    def _start_timer(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> InnerTimer:
        timer = InnerTimer(when, callback, args, self, context)
        if when <= self._now_s:
            self.fire(timer)
        else:
            self.host.timer_started(timer, timer.deadline_ms - self.now_ms)
        return timer

    def fire(self, timer: InnerTimer) -> None:
        """Put the callback of a timer whose time has come into the ready queue."""
        self.advance(timer.deadline_ms, timer.when())
        timer.handle = None
        self.call_soon(timer.run_if_wanted, context=timer._context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if isinstance(handle, InnerTimer) and not self.sealed:
            self.host.timer_cancelled(handle)

    @override
    def create_future(self) -> InnerFuture[Any]:
        return InnerFuture(self)

    @override
    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **kwargs: Any,
    ) -> InnerTask[T]:
        places.refuse_unordered()
        parent = asyncio.current_task(self)
        shield_depth = parent.shield_depth if isinstance(parent, InnerTask) else 0
        own_context = contextvars.copy_context() if context is None else context
        task = self._start_task(coro, name, own_context, shield_depth)
        task.runs_to_its_end = isinstance(parent, InnerTask) and parent.runs_to_its_end
        return task

    def create_main(self, coro: Coroutine[Any, Any, T], name: str, context: contextvars.Context) -> InnerTask[T]:
        """Make the first task."""
        return self._start_task(coro, name, context, 0)

    def _start_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        name: str | None,
        context: contextvars.Context,
        shield_depth: int,
    ) -> InnerTask[T]:
        task = InnerTask(self, coro, name, context, shield_depth)
        tasks = self._tasks
        tasks.append(task)
        if len(tasks) > self._tasks_limit:
            self._tasks = [task for task in tasks if not task.done() or _failed(task)]
            self._tasks_limit = 64 + 2 * len(self._tasks)
        return task

    @override
    def get_task_factory(self) -> None:
        return None

    @override
    def get_exception_handler(self) -> None:
        return None

    @override
    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    @override
    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if "was never retrieved" in context.get("message", ""):
            return
        self.host.callback_failed(context.get("exception") or RuntimeError(context.get("message")))

    @override
    def get_debug(self) -> bool:
        return False

    @override
    def is_running(self) -> bool:
        return self._open

    @override
    def is_closed(self) -> bool:
        return self.sealed

    # What the attempt asks about its tasks.

    def is_over_with(self, task: InnerTask[Any] | None) -> bool:
        """Tell whether this task has ended and there is no other to look at."""
        return len(self._tasks) == 1 and self._tasks[0] is task and self._tasks[0].done()

    def live_tasks(self) -> list[InnerTask[Any]]:
        """Give the tasks that have not ended, in creation order."""
        return [task for task in self._tasks if not task.done()]

    def failed_tasks(self) -> list[InnerTask[Any]]:
        """Give the tasks that ended with an error, in creation order."""
        return [task for task in self._tasks if _failed(task)]

    def release(self) -> None:
        """Let go of all tasks and of the host, so that no cycle keeps an ended attempt in memory."""
        self._tasks.clear()
        self.generators.clear()
        self.host = NOBODY

    @override
    def keep_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Keep an async generator that was started, so that no garbage collection decides when it ends."""
        generators = self.generators
        generators.append(generator)
        if len(generators) > self._generators_limit:
            self.generators = [generator for generator in generators if is_open(generator)]
            self._generators_limit = 64 + 2 * len(self.generators)


def is_open(generator: AsyncGenerator[Any, Any]) -> bool:
    """Tell whether an async generator has code left to run."""
    return getattr(generator, "ag_frame", None) is not None


def _failed(task: InnerTask[Any]) -> bool:
    return getattr(task, "_exception", None) is not None
