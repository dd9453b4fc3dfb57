"""Steps: actions of `ctx.run`, tried until they have a result, on the real event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final, ParamSpec, TypeVar

from typing_extensions import override

from restate_patterns import limits
from restate_patterns.clock import Clock
from restate_patterns.errors import StepFailed, TerminalError, UsageError
from restate_patterns.failures import to_failure
from restate_patterns.options import RetryPolicy, Step
from restate_patterns.seam import StepAction, StepExhausted, StepProgress, StepResult

P = ParamSpec("P")
R = TypeVar("R")

_DEFAULT_RETRY: Final = RetryPolicy()


class StepRunner(StepAction):
    """Tries an action by its step's policy until it has a result.

    A flaky step is so no concern of its handler: the attempt goes on, and its other steps with it.

    Args:
        step: Name, retry policy and timeout.
        action: What to do; called once per try.
    """

    def __init__(self, step: Step, action: Callable[[], Awaitable[bytes]]) -> None:
        self._step = step
        self._action = action
        self._retry = step.retry or _DEFAULT_RETRY
        self._context = contextvars.copy_context()

    @property
    @override
    def context(self) -> contextvars.Context:
        return self._context

    @override
    async def __call__(self, progress: StepProgress, /) -> StepResult:
        while True:
            try:
                return StepResult(await self._try(progress.clock), None)
            except TerminalError as error:
                return StepResult(None, to_failure(error))
            except UsageError as error:  # trying again would repeat the effect and end the same way
                raise StepExhausted(self._step.name, error) from error
            except Exception as error:  # noqa: BLE001 - anything that is not terminal is tried again
                _raise_if_stopped(error)
                wait_ms = self._retry.delay_ms(progress.failed_count + 1)
                if wait_ms is None:
                    return self._exhausted(error)
                progress.failed(error, wait_ms)
            await progress.clock.sleep(wait_ms)

    async def _try(self, clock: Clock) -> bytes:
        if self._step.timeout is None:
            return await self._action()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as scope:
            alarm = clock.call_later(
                self._step.timeout / timedelta(milliseconds=1), lambda: scope.reschedule(loop.time())
            )
            try:
                return await self._action()
            finally:
                alarm.cancel()

    def _exhausted(self, error: Exception) -> StepResult:
        if self._retry.then == "pause":
            raise StepExhausted(self._step.name, error) from error
        cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        failed = StepFailed(
            message=f"step {self._step.name!r} used up its tries: {cause}", step=self._step.name, cause=cause
        )
        return StepResult(None, to_failure(failed))


def _raise_if_stopped(error: Exception) -> None:
    """End the step instead of trying again when it was asked to stop while the action ran."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError("the step was asked to stop") from error


async def in_thread(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking function in a thread and give its result.

    A thread can't be stopped: a cancellation waits until the function has ended, and its outcome
    counts. So what comes after never overtakes it.
    """
    call = functools.partial(contextvars.copy_context().run, fn, *args, **kwargs)
    future = asyncio.get_running_loop().run_in_executor(_threads(), call)
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.cancelled():
                raise
        except BaseException:  # noqa: BLE001 - the function's own error, raised below from the future
            break
    return future.result()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(limits.THREADS_MAX, thread_name_prefix="restate-patterns-step")
