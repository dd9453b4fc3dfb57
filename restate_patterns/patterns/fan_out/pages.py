"""Fan-outs of so many items that they need journals of their own: a child invocation takes care of each page."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from restate_patterns.api.context import Context
from restate_patterns.api.definitions import Service
from restate_patterns.api.handlers import handler
from restate_patterns.errors import Failure, UsageError
from restate_patterns.patterns.fan_out.outcomes import FanOutProgress, Outcome
from restate_patterns.patterns.fan_out.policies import OnError
from restate_patterns.patterns.fan_out.tally import Tally, fan_in
from restate_patterns.patterns.fan_out.window import Window
from restate_patterns.toolkit import (
    Codec,
    RawCall,
    call_raw,
    from_failure,
    hosts,
    raw_call,
    result_codec,
    stopping,
    to_failure,
)

T = TypeVar("T")


class PageFailure(BaseModel):
    """The terminal error of an item."""

    code: int
    message: str
    metadata: dict[str, str] = Field(default_factory=dict[str, str])


class PageOutcome(BaseModel):
    """What became of an item: its output in base64, or its failure."""

    output: str = ""
    failure: PageFailure | None = None


class Page(BaseModel):
    """Some of the items of a fan-out, and whom to call with them."""

    service: str
    handler: str
    key: str | None
    headers: dict[str, str]
    timeout_s: float | None
    bodies: list[str]
    """The bodies of the calls, in base64."""
    window: int
    collect: bool
    """Whether an item that fails is an outcome; else it fails the page."""


class FanOutPages(Service):
    """Takes care of the pages of fan-outs."""

    @handler(private=True)
    async def run(self, ctx: Context, page: Page) -> list[PageOutcome]:
        """Call a handler for each item of a page."""

        async def one(body: str) -> str:
            call = RawCall(page.service, page.handler, page.key, base64.b64decode(body), page.headers, page.timeout_s)
            return _text(await call_raw(ctx, call))

        tally = Tally(len(page.bodies), "collect" if page.collect else "fail", None, every=len(page.bodies))
        found = await fan_in(Window(ctx, page.bodies, one, page.window), tally)
        return [_written(each) if page.collect else PageOutcome(output=each) for each in found]


def fan_out_services() -> list[Service]:
    """Return what an app hosts so that its fan-outs can go in pages.

    app = App([Album(), *fan_out_services()])
    """
    return [FanOutPages()]


async def in_pages(
    ctx: Context,
    items: Iterable[T] | AsyncIterable[T],
    call: Callable[[T], Awaitable[Any]],
    total: int | None,
    *,
    window: int,
    on_error: OnError,
    progress: Callable[[FanOutProgress], object] | None,
    page: int,
) -> list[Any]:
    """Do what `fan_out` does, with a child invocation for each page of the items, which are `total`."""
    if type(page) is not int or page < 1:
        raise UsageError(f"page={page!r}: how many items a child invocation takes care of, a whole number from 1 up")
    if not hosts(ctx, FanOutPages):
        raise UsageError("fan_out in pages needs its service: write `App([..., *fan_out_services()])`")
    codec = result_codec(call)
    run = stopping(ctx, ctx.service_client(FanOutPages).run)
    at_once = max(min(2, window), -(-window // page))

    async def page_of(part: list[T]) -> list[PageOutcome]:
        calls = [raw_call(call, item) for item in part]
        first = calls[0]
        return await run(
            Page(
                service=first.service,
                handler=first.handler,
                key=first.key,
                headers=dict(first.headers),
                timeout_s=first.timeout_s,
                bodies=[_text(each.body) for each in calls],
                window=max(1, window // at_once),
                collect=on_error != "fail",
            )
        )

    tally = Tally(total, on_error, progress, every=page)
    parts = _parts(items, page) if isinstance(items, Iterable) else _later_parts(items, page)
    pages = Window(ctx, parts, page_of, at_once)
    while (ended := await pages.next()) is not None:
        failure = ended.error
        for place, each in enumerate(() if failure is not None else ended.value, ended.index * page):
            failure = tally.add(_read(place, each, codec)) or failure
        if failure is not None:
            await pages.stop()
            raise failure
    return tally.results()


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while part := list(itertools.islice(remaining, size)):
        yield part


async def _later_parts(items: AsyncIterable[T], size: int) -> AsyncIterator[list[T]]:
    part: list[T] = []
    async for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _written(outcome: Outcome[str]) -> PageOutcome:
    if outcome.error is None:
        return PageOutcome(output=outcome.value)
    failure = to_failure(outcome.error)
    return PageOutcome(failure=PageFailure(code=failure.code, message=failure.message, metadata=dict(failure.metadata)))


def _read(index: int, outcome: PageOutcome, codec: Codec[Any]) -> Outcome[Any]:
    failure = outcome.failure
    if failure is not None:
        return Outcome(index, None, from_failure(Failure(failure.code, failure.message, failure.metadata)))
    return Outcome(index, codec.read(base64.b64decode(outcome.output), "the result of item {}", index), None)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
