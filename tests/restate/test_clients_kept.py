"""The client of `app.start(Restate())` after its block: what is open, and what is asked for, gets an error at once."""

from __future__ import annotations

import asyncio

import pytest

from restate_patterns import App, ClientClosed, Context, Restate, Service, handler
from restate_patterns.server import RunningServer
from tests.support.bounds import PATIENCE_S

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]


class Lasting(Service):
    @handler
    async def wait(self, ctx: Context) -> str:
        await asyncio.sleep(3600)
        return "waited"


async def test_a_client_is_good_inside_its_block(restate_server: RunningServer) -> None:
    backend = Restate(
        ingress_url=restate_server.ingress_url, admin_url=restate_server.admin_url, bind="127.0.0.1:0", force=True
    )
    async with App([Lasting()]).start(backend) as client:
        lasting = client.service_client(Lasting)
        handle = await lasting.wait.send()
        waiting = [asyncio.ensure_future(each) for each in (lasting.wait(), handle.result())]
        await asyncio.sleep(0.3)  # both are on their way: what has not been sent is refused all the same

    for each in (*waiting, lasting.wait(), lasting.wait.send(), handle.result(), handle.output(), handle.cancel()):
        with pytest.raises(ClientClosed, match="has ended"):
            async with asyncio.timeout(PATIENCE_S):
                await each
