"""The endpoint under an ASGI server of the user's choice, and over HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hypercorn.asyncio
import hypercorn.config
import pytest

from restate_patterns import App, Client, Context, ObjectContext, Restate, Service, State, VirtualObject, handler
from restate_patterns.admin import AdminClient
from restate_patterns.server import RunningServer, free_ports
from tests.support.bounds import PATIENCE_S

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class HostedTally(VirtualObject, lazy_state=True):
    """Counts, and reads its state from the server each time."""

    count = State[int](default=0)

    @handler
    async def add(self, ctx: ObjectContext, by: int) -> int:
        total = await self.count.get(ctx) + by
        self.count.set(ctx, total)
        return total

    @handler
    async def count_up(self, ctx: ObjectContext, to: int) -> int:
        """Write very often, then be replayed."""
        for number in range(to + 1):
            self.count.set(ctx, number)
        await asyncio.sleep(0.01)
        return await self.count.get(ctx)


class Hosted(Service):
    """Does a bit of everything."""

    @handler
    async def work(self, ctx: Context, key: str) -> list[int]:
        tally = ctx.object_client(HostedTally, key)

        async def branch(by: int) -> int:
            doubled = await ctx.run("double", double, by)
            await asyncio.sleep(0.01)
            return await tally.add(doubled)

        await asyncio.gather(branch(1), branch(2), branch(3))
        return [await tally.add(0), await ctx.run("double", double, 21)]


async def double(by: int) -> int:
    """Double it."""
    return 2 * by


@asynccontextmanager
async def hosted(server: RunningServer) -> AsyncIterator[str]:
    """Serve the app with hypercorn; gives its URL."""
    (port,) = free_ports(1)
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    stop = asyncio.Event()
    backend = Restate(ingress_url=server.ingress_url, admin_url=server.admin_url)
    app = backend.asgi_app(App([Hosted(), HostedTally()]))
    serving = asyncio.ensure_future(
        hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]  # its own TypedDicts
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        await asyncio.wait({serving}, timeout=PATIENCE_S)


@pytest.mark.parametrize("http1", [False, True], ids=["http2", "http1"])
async def test_an_asgi_server_hosts_the_endpoint(restate_server: RunningServer, http1: bool) -> None:
    async with hosted(restate_server) as url, AdminClient(restate_server.admin_url) as admin:
        registered = await admin.register(url, use_http_11=http1)
        async with Client(restate_server.ingress_url, admin_url=restate_server.admin_url) as client:
            found = await asyncio.gather(
                *(client.service_client(Hosted).work(f"{http1}-{number}") for number in range(20))
            )
        await admin.remove_deployment(registered.deployment_id)
    assert found == [[12, 42]] * 20


async def test_a_journal_of_many_small_entries_is_read(suspending_restate_server: RunningServer) -> None:
    """The server sends each entry as a frame of its own, which a limit against floods of frames must not hit."""
    count = 3000
    backend = Restate(
        ingress_url=suspending_restate_server.ingress_url,
        admin_url=suspending_restate_server.admin_url,
        bind="127.0.0.1:0",
    )
    async with App([Hosted(), HostedTally()]).start(backend) as client, asyncio.timeout(PATIENCE_S):
        assert await client.object_client(HostedTally, "many").count_up(count) == count
