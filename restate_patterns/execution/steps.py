"""Steps: actions of `ctx.run`, tried until they have a result, on the real event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from typing_extensions import override

from restate_patterns import limits
from restate_patterns.errors import DefinitionError, StepFailed, UsageError, WrongValue
from restate_patterns.execution import boundary
from restate_patterns.execution.threads import DaemonThreads
from restate_patterns.options import Step
from restate_patterns.retries import RetryPolicy, leaves_of
from restate_patterns.seam import StepAction, StepExhausted, StepProgress, ValueOrFailure
from restate_patterns.system.clock import Clock
from restate_patterns.text.log_lines import logger_named
from restate_patterns.text.wording import sentence_of
from restate_patterns.values.failures import to_failure
from restate_patterns.values.storage_checks import checked_value

P = ParamSpec("P")
R = TypeVar("R")

_logger = logger_named("restate_patterns")
_DEFAULT_RETRY: Final = RetryPolicy()

STEP_THREADS: Final = "restate-patterns-step"
"""What the names of the threads begin with in which steps run."""


class StepRunner(StepAction):
    """Tries an action by its step's policy until it has a result.

    A flaky step is so no concern of its handler: the attempt goes on, and its other steps with it.

    Args:
        step: Name, retry policy and timeout.
        action: What to do; called once per try.
    """

    __slots__ = ("_action", "_context", "_retry", "_step")

    def __init__(self, step: Step, action: Callable[[], Awaitable[bytes | None]]) -> None:
        self._step = step
        self._action = action
        self._retry = step.retry or _DEFAULT_RETRY
        self._context = contextvars.copy_context()

    @property
    @override
    def context(self) -> contextvars.Context:
        return self._context

    @override
    async def __call__(self, progress: StepProgress, /) -> ValueOrFailure:
        while True:
            try:
                timeout = self._step.timeout
                value = await (self._action() if timeout is None else self._try(progress.clock, timeout))
                if value is not None and len(value) > limits.VALUE_BYTES_WARNING:
                    value = checked_value(value, "step {!r}: its result", self._step.name)
                return ValueOrFailure(value, None)
            except BaseException as error:  # SystemExit, too, is a failed try and not the end of the server
                if isinstance(error, GeneratorExit) and _being_closed():
                    raise
                result, wait_ms = self._after(error, progress)
                if result is not None:
                    return result
            await progress.clock.sleep(wait_ms)

    def _after(self, error: BaseException, progress: StepProgress) -> tuple[ValueOrFailure | None, int]:
        """Give the result that a failed try comes to, or None and the wait before the next one."""
        try:
            failure = boundary.terminal_failure(tuple(leaves_of(error)))
        except WrongValue as wrong:
            raise StepExhausted(self._step.name, wrong) from error
        if failure is not None:
            return ValueOrFailure(None, failure), 0
        _raise_if_stopped(error)
        if isinstance(error, (UsageError, DefinitionError)):
            # Trying again would repeat the effect and end the same way.
            raise StepExhausted(self._step.name, error) from error
        wait_ms = self._retry.delay_ms(progress.failed_count + 1, error)
        if wait_ms is None:
            progress.gave_up(error)
            return self._exhausted(error), 0
        progress.failed(error, wait_ms)
        return None, wait_ms

    async def _try(self, clock: Clock, timeout: timedelta) -> bytes | None:
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        try:
            return await self._within(clock, timeout, limit, loop)
        except TimeoutError:
            if limit.expired():
                raise TimeoutError(f"the try took over {timeout}, its timeout") from None
            raise

    async def _within(
        self, clock: Clock, timeout: timedelta, limit: asyncio.Timeout, loop: asyncio.AbstractEventLoop
    ) -> bytes | None:
        async with limit as scope:
            alarm = clock.call_later(timeout / timedelta(milliseconds=1), lambda: scope.reschedule(loop.time()))
            try:
                return await self._action()
            finally:
                alarm.cancel()

    def _exhausted(self, error: BaseException) -> ValueOrFailure:
        if self._retry.then == "pause":
            raise StepExhausted(self._step.name, error) from error
        cause = sentence_of(error)
        failed = StepFailed(
            message=f"step {self._step.name!r} used up its tries: {cause}", step=self._step.name, cause=cause
        )
        return ValueOrFailure(None, to_failure(failed))


def _raise_if_stopped(error: BaseException) -> None:
    """End the step instead of trying again when it was asked to stop while the action ran.

    A cancellation that the action made itself is a failed try like any other.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError("the step was asked to stop") from error


def _being_closed() -> bool:
    """Whether a `GeneratorExit` is the end of the step's coroutine: no task runs it. Else the action raised it."""
    try:
        return asyncio.current_task() is None
    except RuntimeError:
        return True


async def in_thread(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking function in a thread and give its result.

    A thread can't be stopped: a cancellation waits until the function has ended, and its outcome
    counts. So what comes after never overtakes it; one that goes on for long is named in the log. A function that
    no thread has begun is not run.
    """
    call = functools.partial(fn, *args, **kwargs)
    work = _threads().submit(contextvars.copy_context().run, _outcome, call)
    task = asyncio.current_task()
    if task is not None:
        _working[task] = work
    ended = asyncio.wrap_future(work)
    warn_after_s: float | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended], timeout=warn_after_s)
        except asyncio.CancelledError:
            if work.cancel():
                raise
            warn_after_s = limits.THREAD_STOP_WARNING_S
            continue
        if not ended.done():
            _logger.warning(
                "%s was asked to stop and still runs in its thread, which nothing can stop: its handler, with its undo "
                "and its key, waits until it returns. Give what it waits for a timeout of its own",
                getattr(fn, "__qualname__", fn),
            )
            warn_after_s = None
    result, error = ended.result()
    if error is not None:
        try:
            raise error
        finally:
            error = None  # it would hold this frame, and the frame it
    return result  # type: ignore[return-value]  # there is one where nothing was raised


def _outcome(call: Callable[[], R]) -> tuple[R | None, BaseException | None]:
    """Give what a function came to without raising it: a future takes no StopIteration, and waits for ever."""
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        return None, error


_working: Final[WeakKeyDictionary[asyncio.Task[Any], Future[Any]]] = WeakKeyDictionary()


def thread_of(task: asyncio.Task[Any]) -> Future[Any] | None:
    """Give what a task has last begun in a thread; None when it never did."""
    return _working.get(task)


@functools.cache
def _threads() -> DaemonThreads:
    return DaemonThreads(limits.THREADS_MAX, STEP_THREADS)
