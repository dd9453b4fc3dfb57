"""An app for tests of killed fan-outs: each item writes a line to the file `did` when it is done."""

from __future__ import annotations

import os

from restate_patterns import App, Context, Service, fan_out, fan_out_services, handler

WINDOW = 100


class Items(Service):
    """Does items."""

    @handler
    async def do(self, ctx: Context, number: int) -> int:
        """Do it in a step, whose result is what counts."""
        return await ctx.run("do", self._done, number)

    async def _done(self, number: int) -> int:
        file = os.open("did", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, b"%d\n" % number)
        os.close(file)
        return number


class Fans(Service):
    """Has many items."""

    @handler
    async def whole(self, ctx: Context, count: int) -> int:
        """Do all of them in one journal."""
        return sum(await fan_out(ctx, range(count), ctx.service_client(Items).do, window=WINDOW))

    @handler
    async def in_pages(self, ctx: Context, count: int) -> int:
        """Do them in pages."""
        return sum(await fan_out(ctx, range(count), ctx.service_client(Items).do, window=WINDOW, page=500))


app = App([Items(), Fans(), *fan_out_services()])
