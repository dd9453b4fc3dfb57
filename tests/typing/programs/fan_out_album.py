"""The album of the API: what a fan-out gives is known to the type checkers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import assert_type

from pydantic import BaseModel

from restate_patterns import (
    Context,
    Outcome,
    Service,
    Tolerate,
    fan_out,
    fan_out_as_completed,
    first_success,
    handler,
    quorum,
)


class Image(BaseModel):
    url: str


class Thumb(BaseModel):
    url: str


class Resizer(Service):
    @handler
    async def resize(self, ctx: Context, image: Image) -> Thumb:
        return Thumb(url=image.url)


async def arriving() -> AsyncGenerator[Image]:
    yield Image(url="a")


class Album(Service):
    @handler
    async def thumbnails(self, ctx: Context, images: list[Image]) -> list[Thumb]:
        resizer = ctx.service_client(Resizer)
        thumbs = await fan_out(ctx, images, resizer.resize, window=100)
        assert_type(thumbs, list[Thumb])
        assert_type(await fan_out(ctx, images, resizer.resize, window=100, on_error="fail"), list[Thumb])
        some = await fan_out(ctx, images, resizer.resize, window=100, on_error="collect")
        assert_type(some, list[Outcome[Thumb]])
        most = await fan_out(ctx, arriving(), resizer.resize, window=9, on_error=Tolerate(count=1), page=100)
        assert_type(most, list[Outcome[Thumb]])

        async def two_steps(image: Image) -> str:
            thumb = await resizer.resize(image)
            return await ctx.run("etag", str.upper, thumb.url)

        assert_type(await fan_out(ctx, images, two_steps, window=10), list[str])
        assert_type(await first_success(ctx, images, two_steps), str)
        assert_type(await quorum(ctx, images, resizer.resize, count=2), list[Outcome[Thumb]])
        async for outcome in fan_out_as_completed(ctx, images, two_steps, window=2):
            assert_type(outcome, Outcome[str])
        return [outcome.value for outcome in some if outcome.error is None]
