"""An album: all images of a folder, so many at a time, whatever becomes of one of them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from examples.queues.thumbnails.resizer import Resizer, Wish
from restate_patterns import (
    FanOutProgress,
    State,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    fan_out,
    handler,
)

WINDOW = 4
"""How many images are under way at once: decoded, one takes its width times its height times four bytes of memory."""


class AlbumRequest(BaseModel):
    """What to make thumbnails of."""

    folder: str
    size: int = 128
    """The longest side of a thumbnail, in pixels."""


class AlbumReport(BaseModel):
    """What came of it."""

    thumbnails: list[str]
    failures: list[str]
    """One sentence for each file of which there is none."""


class Album(Workflow):
    """Makes the thumbnails of one album; the key is its name."""

    how_far = State[FanOutProgress](default=FanOutProgress(total=None))

    @handler
    async def run(self, ctx: WorkflowContext, request: AlbumRequest) -> AlbumReport:
        """Make a thumbnail of each file in the folder; those that are no images are reported."""
        files = await ctx.run("list", list_files, request.folder)
        found = await fan_out(
            ctx,
            [Wish(file=file, size=request.size) for file in files],
            ctx.service_client(Resizer).resize,
            window=WINDOW,
            on_error="collect",
            progress=lambda now: self.how_far.set(ctx, now),
        )
        return AlbumReport(
            thumbnails=[each.value for each in found if each.error is None],
            failures=[each.error.message for each in found if each.error is not None],
        )

    @handler
    async def progress(self, ctx: WorkflowSharedContext) -> FanOutProgress:
        """Tell how many images are done, and of how many."""
        return await self.how_far.get(ctx)


def list_files(folder: str) -> list[str]:
    """List the files of a folder, without the thumbnails that are already there."""
    return sorted(str(file) for file in Path(folder).iterdir() if file.is_file())
