"""Tasks of the real loop for the actions of steps: those that end without waiting share one.

A commit releases many steps at once, and the actions of many never wait. A task for each, with its callbacks and
its turns of the loop, was a sixth of what a step cost. So one task runs them one after the other, each in its own
context, until one waits: that one keeps the task, as `asyncio.current_task()` promised it, and those behind it get
another. It knows coroutines, not what a step is.
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, Final, Protocol

from restate_patterns.seam import ValueOrFailure
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns.embedded")
_BROKE: Final = "what follows from the end of a step broke; the other steps go on"


class Job(Protocol):
    """What is run: a coroutine that is made when its turn has come."""

    def begin(self, task: asyncio.Task[None]) -> tuple[Coroutine[Any, Any, ValueOrFailure], contextvars.Context] | None:
        """Give the coroutine and its context, or None when it is not to be run any more."""
        ...

    def ended(self, result: ValueOrFailure | None, error: BaseException | None) -> None:
        """It has ended, with a result or with what it raised."""
        ...


class StepTasks:
    """Runs jobs in the order given.

    Args:
        loop: The real loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: deque[Job] = deque()
        self._task: asyncio.Task[None] | None = None
        """The task that takes the next job."""

    def start(self, job: Job) -> None:
        """Run a job in one of the next turns of the loop."""
        self._jobs.append(job)
        if self._task is None:
            self._task = self._loop.create_task(self._work())

    def clear(self) -> None:
        """Forget the jobs that have not begun."""
        self._jobs.clear()

    async def _work(self) -> None:
        task = self._task
        assert task is not None
        try:
            while self._jobs and self._task is task:
                await self._run(self._jobs.popleft(), task)
                if task.cancelling() or task._must_cancel:  # type: ignore[attr-defined]  # a job's own doing
                    return
        finally:
            self._hand_over(task)

    def _hand_over(self, task: asyncio.Task[None]) -> None:
        """Let another task take the jobs that are left."""
        if self._task is task:
            self._task = self._loop.create_task(self._work()) if self._jobs else None

    @types.coroutine
    def _run(self, job: Job, task: asyncio.Task[None]) -> Generator[Any, Any, None]:
        begun = job.begin(task)
        if begun is None:
            return
        coroutine, context = begun
        enter, step, given = context.run, coroutine.send, None
        while True:
            try:
                waits_for = enter(step, given)
            except StopIteration as end:
                try:
                    job.ended(end.value, None)
                except Exception:
                    _logger.exception(_BROKE)
                return
            except GeneratorExit:
                raise
            except BaseException as error:
                try:
                    job.ended(None, error)
                except Exception:
                    _logger.exception(_BROKE)
                if isinstance(error, KeyboardInterrupt):
                    raise
                return
            self._hand_over(task)
            try:
                given = yield waits_for
                step = coroutine.send
            except BaseException as error:  # noqa: BLE001 - what is thrown into the task is thrown into the action
                given, step = error, coroutine.throw
