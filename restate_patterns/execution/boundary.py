"""The handler's boundary: what an attempt came to, from how its main coroutine ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from restate_patterns import limits
from restate_patterns.errors import (
    Cancelled,
    DefinitionError,
    Failure,
    JournalMismatch,
    NotDurable,
    TerminalError,
    TimedOut,
    UsageError,
    WrongValue,
)
from restate_patterns.execution.tasks import UNNUMBERED, InnerTask
from restate_patterns.retries import leaves_of
from restate_patterns.seam import AttemptEnd, Crashed, Failed, MustPause, Succeeded
from restate_patterns.text.wording import shortened, text_of
from restate_patterns.values.failures import to_failure, travelling
from restate_patterns.values.storage_checks import checked_value

ALSO_FAILED = "error.also"
"""Under this name the metadata of a failure lists the other failures of its exception group."""


def end_of(
    main: asyncio.Task[bytes], failed: Callable[[], Sequence[InnerTask[Any]]], *, invocation_cancelled: bool
) -> AttemptEnd:
    """Say how an attempt ended.

    Args:
        main: The task of the handler; it is done.
        failed: Gives the tasks that ended with an error, in creation order.
        invocation_cancelled: Whether a cancellation of the invocation was delivered.
    """
    if main.cancelled():
        return _cancelled(invocation_cancelled)
    error = main.exception()
    if error is None:
        return _succeeded(main.result())
    if not isinstance(error, BaseExceptionGroup):
        return of_error(error)
    group = cast("BaseException", error)
    return _of_group(group, list(leaves_of(group)), failed(), invocation_cancelled)


def _succeeded(output: bytes) -> AttemptEnd:
    try:
        return Succeeded(checked_value(output, "what the handler returned"))
    except WrongValue as wrong:
        return MustPause(wrong)


def of_error(error: BaseException) -> AttemptEnd:
    """Say how an attempt ends that one error ended."""
    if isinstance(error, JournalMismatch):
        return MustPause(error, mismatch=True)
    if isinstance(error, (UsageError, DefinitionError)):
        return MustPause(error)
    if isinstance(error, RuntimeError) and "attached to a different loop" in text_of(error):
        return MustPause(_foreign_wait(error))
    return _failed((error,)) or Crashed(error)


def _foreign_wait(error: RuntimeError) -> NotDurable:
    sentence = NotDurable(
        "a handler awaited something that belongs to the event loop outside (a connection, a client, a "
        'task): its result would not be in the journal. Wrap the use of it in ctx.run("name", function)'
    )
    sentence.__cause__ = error
    return sentence


def _cancelled(invocation_cancelled: bool) -> AttemptEnd:
    if invocation_cancelled:
        return Failed(to_failure(Cancelled()))
    return MustPause(
        UsageError(
            "the handler ended with asyncio.CancelledError though nobody cancelled its invocation: it "
            "cancelled its own task, or awaited a task that was cancelled. Catch it where it arises"
        )
    )


def _of_group(
    group: BaseException,
    leaves: Sequence[BaseException],
    failed: Sequence[InnerTask[Any]],
    invocation_cancelled: bool,
) -> AttemptEnd:
    for leaf in leaves:
        if isinstance(end := of_error(leaf), MustPause):
            return end
    if all(isinstance(leaf, asyncio.CancelledError) for leaf in leaves):
        return _cancelled(invocation_cancelled)
    numbers = _numbers(failed)
    return _failed(sorted(leaves, key=lambda leaf: numbers.get(id(leaf), UNNUMBERED))) or Crashed(group)


def _failed(leaves: Sequence[BaseException]) -> AttemptEnd | None:
    try:
        failure = final_failure(leaves)
    except WrongValue as wrong:  # an error that would arrive as another one is no answer
        return MustPause(wrong)
    return None if failure is None else Failed(failure)


def terminal_failure(leaves: Sequence[BaseException]) -> Failure | None:
    """Return the failure that errors raised together come to, or None when one of them is to be retried.

    It is the first terminal one, with the others attached; those that were only cancelled don't count.

    Raises:
        WrongValue: A field of a terminal one would not come back as it is.
    """
    terminal = [leaf for leaf in leaves if isinstance(leaf, TerminalError)]
    if not terminal or not all(isinstance(leaf, (TerminalError, asyncio.CancelledError)) for leaf in leaves):
        return None
    first, *others = (travelling(leaf) for leaf in terminal)
    return _with_others(first, others)


def final_failure(leaves: Sequence[BaseException]) -> Failure | None:
    """Return the failure that errors of a handler come to, or None when one of them is to be retried.

    Unlike in a step, a `TimeoutError` is final: the timer that ended the wait is in the journal.

    Raises:
        WrongValue: A field of a terminal one would not come back as it is.
    """
    return terminal_failure([_timed_out(leaf) if isinstance(leaf, TimeoutError) else leaf for leaf in leaves])


def _timed_out(error: TimeoutError) -> TerminalError:
    if isinstance(error, TerminalError):
        return error
    said = text_of(error)
    return TimedOut(message=f"{TimedOut.message}: {said}") if said else TimedOut()


def _numbers(failed: Sequence[InnerTask[Any]]) -> Mapping[int, int]:
    numbers: dict[int, int] = {}
    for task in failed:
        numbers.setdefault(id(getattr(task, "_exception", None)), task.number)
    return numbers


def _with_others(first: Failure, others: Sequence[Failure]) -> Failure:
    if not others:
        return first
    chars_max = limits.FAILURE_CHARS_MAX // len(others)
    also = json.dumps([{"code": other.code, "message": shortened(other.message, chars_max)} for other in others])
    return Failure(first.code, first.message, {**first.metadata, ALSO_FAILED: also})
