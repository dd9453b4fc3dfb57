"""Dropping an attempt: its coroutines and generators are unwound inside their own loop, in creation order.

What unwinds them is `AttemptSealed`, thrown in where they wait. A `finally` block that waits again gets it
again; an `except Exception` never sees it; primitives raise it too, so that nothing reaches the backend.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Final

from restate_patterns.errors import AttemptSealed
from restate_patterns.execution import places
from restate_patterns.execution.loop import InnerLoop, is_open
from restate_patterns.execution.tasks import InnerTask
from restate_patterns.text.log_lines import logger_named

_logger = logger_named("restate_patterns")
_THROWS_MAX: Final = 100
_unclosable: list[object] = []

_plain_cancel: Any = asyncio.Future[Any].cancel
_enter_task: Any = asyncio.tasks._enter_task
_leave_task: Any = asyncio.tasks._leave_task


def close_tasks(loop: InnerLoop, tasks: Iterable[InnerTask[Any]]) -> None:
    """Unwind the coroutines of tasks that have not ended; the loop must be sealed and entered."""
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch, as in gather()
        coroutine: Any = task.get_coro()
        _enter_task(loop, task)
        try:
            task.context.run(_unwind, coroutine.throw, coroutine)
        finally:
            _leave_task(loop, task)
        _let_go(task.waits_for)
        _let_go(task)


def _let_go(future: asyncio.Future[Any] | None) -> None:
    """Make a future drop its callbacks, and so its tasks: with the plain cancel(), whatever its class does."""
    if future is not None:
        _plain_cancel(future)


def close_generators(generators: Iterable[AsyncGenerator[Any, Any]]) -> None:
    """Unwind async generators that have not ended; the loop must be sealed and entered."""
    for generator in generators:
        if is_open(generator):
            unwinding: Any = generator.athrow(AttemptSealed())
            _unwind(_first_send_then_throw(unwinding), generator)


def _first_send_then_throw(unwinding: Any) -> Callable[[BaseException], object]:
    started = False

    def step(error: BaseException) -> object:
        nonlocal started
        if started:
            return unwinding.throw(error)
        started = True
        return unwinding.send(None)

    return step


def _unwind(throw: Callable[[BaseException], object], coroutine: object) -> None:
    for _ in range(_THROWS_MAX):
        try:
            throw(AttemptSealed())
        except BaseException:  # noqa: BLE001 - whatever ends it, it has ended; the attempt is over already
            return
    # Collecting it would throw once more and print. It is kept for good instead.
    _unclosable.append(coroutine)
    _logger.warning(
        "a coroutine goes on waiting although its attempt is over (it catches BaseException in a loop): %s",
        places.of_coroutine(coroutine),
    )
