"""Resizes one image, in a step: a thumbnail that was made is not made again."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, Field

from restate_patterns import Context, Service, TerminalError, handler


class NoImage(TerminalError, code=422):
    """A file is no image that can be read; no retry would mend that."""

    message = "{file} is no image"
    file: str


class Wish(BaseModel):
    """A thumbnail that is wanted."""

    file: str
    size: int = Field(gt=0)


class Resizer(Service):
    """Makes thumbnails, in the folder `thumbnails` beside the image."""

    @handler(raises=[NoImage])
    async def resize(self, ctx: Context, wish: Wish) -> str:
        """Make a thumbnail, and give its path."""
        return await ctx.run("resize", make_thumbnail, wish)


def make_thumbnail(wish: Wish) -> str:
    """Write a thumbnail. Doing it again writes the same file; one that is half written has another name."""
    source = Path(wish.file)
    target = source.parent / "thumbnails" / f"{source.stem}-{wish.size}.png"
    target.parent.mkdir(exist_ok=True)
    try:
        with Image.open(source) as image:
            image.thumbnail((wish.size, wish.size))
            partial = target.with_suffix(f".{os.getpid()}.partial")
            image.convert("RGB").save(partial, "PNG")
    except UnidentifiedImageError:
        raise NoImage(file=source.name) from None
    partial.replace(target)
    return str(target)
