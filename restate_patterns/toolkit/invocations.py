"""The invocation that a context belongs to: what it is, what it owes, and how its attempt is broken off."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from restate_patterns.api.context import Context, ObjectSharedContext
from restate_patterns.api.definition_reader import read_definition
from restate_patterns.api.definitions import Definition
from restate_patterns.api.scopes import scope_of
from restate_patterns.errors import TerminalError
from restate_patterns.execution.attempt import DurableAttempt

T = TypeVar("T")

_numbers: WeakKeyDictionary[DurableAttempt, dict[object, int]] = WeakKeyDictionary()


def handler_label(ctx: Context) -> str:
    """Return the class and the handler that run, as the code names them: `Booking.book`."""
    return scope_of(ctx).handler.label


def service_name(ctx: Context) -> str:
    """Return the wire name of the service whose handler runs."""
    return scope_of(ctx).service.name


def hosts(ctx: Context, definition: type[Definition]) -> bool:
    """Return whether the app that runs the handler hosts a definition, too."""
    return read_definition(definition).name in scope_of(ctx).attempt.hosted


def number_in_attempt(ctx: Context, what: object) -> int:
    """Count something that a handler makes: 1 for the first, the same on each replay.

    Args:
        ctx: The handler's own context.
        what: What is counted, such as the class of your pattern: everybody's things are counted in one table.
    """
    numbers = _numbers.setdefault(scope_of(ctx).attempt, {})
    numbers[what] = number = numbers.get(what, 0) + 1
    return number


def cancel_count(ctx: Context) -> int:
    """Return how often a cancellation of the invocation has come so far; 0 for code that is shielded from it."""
    return scope_of(ctx).attempt.cancel_count()


def break_off(ctx: Context, error: BaseException) -> None:
    """End the attempt here, with an error that has it tried again: no other code of the handler goes on.

    A usage error pauses the invocation instead, as it would leaving the handler.
    """
    scope_of(ctx).attempt.callback_failed(error)


def must_not_end(ctx: Context, why: str) -> None:
    """Keep the attempt from ending as if all were done: if the handler does end, the invocation pauses and says why."""
    scope_of(ctx).attempt.owe(why)


def must_be_awaited(ctx: Context, coroutine: Coroutine[Any, Any, T], what: str) -> Coroutine[Any, Any, T]:
    """Return a coroutine that does the same, and is an error naming `what` if nobody has awaited it at the end."""
    return scope_of(ctx).attempt.track(coroutine, what)


async def stored_state(ctx: ObjectSharedContext, name: str) -> bytes | None:
    """Return a state of the key as it is stored, whatever its type; None when it is not set.

    Args:
        ctx: The handler's own context.
        name: The wire name of the state.
    """
    return await scope_of(ctx).attempt.get_state(name)


async def wait_for_end(ctx: Context, invocation_id: str) -> bytes:
    """Wait until an invocation of any handler has ended.

    Returns:
        Its output as it is stored.

    Raises:
        TerminalError: The one it ended with.
        InvocationNotFound: There is no such invocation. Terminal.
    """
    return await scope_of(ctx).attempt.attach(invocation_id, None)


async def has_ended(ctx: Context, invocation_id: str) -> bool:
    """Return whether an invocation has ended, however it did; one that nobody knows any more has."""
    try:
        with ctx.shielded():  # or a cancellation of who asks would pass for the end of the other
            return await scope_of(ctx).attempt.output(invocation_id) is not None
    except TerminalError:
        return True
