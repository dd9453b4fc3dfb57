"""Fan-out and fan-in: one call for each of many items, and what comes of them together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Iterable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from typing_extensions import override

from restate_patterns.api.context import Context
from restate_patterns.errors import TerminalError, UsageError
from restate_patterns.patterns.fan_out.errors import FanOutFailed
from restate_patterns.patterns.fan_out.outcomes import FanOutProgress, Outcome
from restate_patterns.patterns.fan_out.pages import in_pages
from restate_patterns.patterns.fan_out.policies import OnError, Tolerate, check_policy
from restate_patterns.patterns.fan_out.tally import Tally, fan_in
from restate_patterns.patterns.fan_out.window import Window
from restate_patterns.toolkit import terminal

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@overload
async def fan_out(
    ctx: Context,
    items: Iterable[T] | AsyncIterable[T],
    call: Callable[[T], Awaitable[R]],
    *,
    window: int,
    progress: Callable[[FanOutProgress], object] | None = None,
    page: int | None = None,
) -> list[R]: ...
@overload
async def fan_out(
    ctx: Context,
    items: Iterable[T] | AsyncIterable[T],
    call: Callable[[T], Awaitable[R]],
    *,
    window: int,
    on_error: Literal["fail"],
    progress: Callable[[FanOutProgress], object] | None = None,
    page: int | None = None,
) -> list[R]: ...
@overload
async def fan_out(
    ctx: Context,
    items: Iterable[T] | AsyncIterable[T],
    call: Callable[[T], Awaitable[R]],
    *,
    window: int,
    on_error: Literal["collect"] | Tolerate,
    progress: Callable[[FanOutProgress], object] | None = None,
    page: int | None = None,
) -> list[Outcome[R]]: ...
async def fan_out(
    ctx: Context,
    items: Iterable[Any] | AsyncIterable[Any],
    call: Callable[[Any], Awaitable[Any]],
    *,
    window: int,
    on_error: OnError = "fail",
    progress: Callable[[FanOutProgress], object] | None = None,
    page: int | None = None,
) -> list[Any]:
    """Do something with each of many items, so many at a time, and give what came of them in the order of the items.

        thumbs = await fan_out(ctx, images, ctx.service_client(Resizer).resize, window=20)

    Args:
        ctx: The handler's own context.
        items: Read as there is room in the window: a list, a generator, an async iterator.
        call: What to do with one: a handler of a client, or a coroutine function of any number of steps and calls.
        window: How many items are under way at once.
        on_error: What an item that ends with a terminal error means. `"fail"`: the others are cancelled, and when
            they have ended the error is raised. `"collect"`: nothing; it is its outcome. `Tolerate`: nothing, until
            they are too many.
        progress: Told how far it is: at the beginning, at the end, and after each hundredth of the items (each window
            of them, where their number is not known before).
        page: How many items one child invocation takes care of. With it the journal of this handler has an entry for
            each page instead of each item. For handlers of clients; the app hosts `fan_out_services()`.

    Returns:
        The results, or with another policy than `"fail"` the outcomes.

    Raises:
        TerminalError: The first error of an item, with `"fail"`.
        FanOutFailed: More items failed than are tolerated. Terminal.
        Cancelled: The invocation was cancelled; what ran has ended.
        UsageError: The window, the policy or the page is none.
    """
    check_policy(on_error)
    total = len(items) if isinstance(items, Collection) else None
    if page is not None:
        return await in_pages(ctx, items, call, total, window=window, on_error=on_error, progress=progress, page=page)
    tally = Tally(total, on_error, progress, every=window if total is None else max(1, total // 100))
    return await fan_in(Window(ctx, items, call, window), tally)


class FanOut(AsyncIterator[Outcome[R_co]], Generic[R_co]):
    """The outcomes of a fan-out as they come. Made by `fan_out_as_completed`.

    Leave a loop over it early inside `async with`: what runs is then cancelled, and has ended when the block has.
    """

    def __init__(self, window: Window[Any, R_co]) -> None:
        self._window = window

    @override
    async def __anext__(self) -> Outcome[R_co]:
        outcome = await self._window.next()
        if outcome is None:
            raise StopAsyncIteration
        return outcome

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, asyncio.CancelledError) or terminal(error) is not None:
            await self._window.stop()


def fan_out_as_completed(
    ctx: Context, items: Iterable[T] | AsyncIterable[T], call: Callable[[T], Awaitable[R]], *, window: int
) -> FanOut[R]:
    """Do something with each of many items, so many at a time, and give each outcome as it comes.

        async for outcome in fan_out_as_completed(ctx, images, resizer.resize, window=20):
            ...

    Args:
        ctx: The handler's own context.
        items: Read as there is room in the window, which an outcome leaves when it is read.
        call: What to do with one, as for `fan_out`.
        window: How many items are under way at once.

    Returns:
        The outcomes, failures among them; `outcome.index` says of which item.

    Raises:
        UsageError: The window is none.
    """
    return FanOut(Window(ctx, items, call, window))


async def quorum(
    ctx: Context, items: Iterable[T], call: Callable[[T], Awaitable[R]], *, count: int, window: int | None = None
) -> list[Outcome[R]]:
    """Do something with items until so many have succeeded, and cancel the rest.

    Args:
        ctx: The handler's own context.
        items: At least `count` of them.
        call: What to do with one, as for `fan_out`.
        count: How many are to succeed.
        window: How many items are under way at once. Default: all.

    Returns:
        The outcomes of those that succeeded, first the one that did first. The others have ended.

    Raises:
        FanOutFailed: So many can't succeed any more. Terminal.
        UsageError: There are fewer items than are to succeed, or the window or the count is none.
    """
    given = list(items)
    if type(count) is not int or not 1 <= count <= len(given):
        raise UsageError(f"quorum: count={count!r} of {len(given)} items: a whole number from 1 to that is needed")
    calls = Window(ctx, given, call, len(given) if window is None else window)
    succeeded: list[Outcome[R]] = []
    errors: list[TerminalError] = []
    while len(succeeded) < count:
        outcome = await calls.next()
        assert outcome is not None
        if outcome.error is None:
            succeeded.append(outcome)
            continue
        errors.append(outcome.error)
        if len(given) - len(errors) < count:
            await calls.stop()
            raise FanOutFailed(
                failed=len(errors),
                ended=len(errors) + len(succeeded),
                wanted=f"{count} of {len(given)} were to succeed",
                first=errors[0].message,
            )
    await calls.stop()
    return succeeded


async def first_success(
    ctx: Context, items: Iterable[T], call: Callable[[T], Awaitable[R]], *, window: int | None = None
) -> R:
    """Do something with items until one has succeeded, and cancel the rest: hedged requests, the first of many mirrors.

    Args:
        ctx: The handler's own context.
        items: At least one.
        call: What to do with one, as for `fan_out`.
        window: How many items are under way at once; 1 tries one after the other. Default: all.

    Returns:
        What it gave. The others have ended.

    Raises:
        FanOutFailed: All failed. Terminal.
        UsageError: There is no item, or the window is none.
    """
    return (await quorum(ctx, items, call, count=1, window=window))[0].value
