"""What can't go on is paused on a Restate server, with its reason, whatever its retry policy says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import ClassVar

import pytest
from restate import discovery

from restate_patterns import (
    App,
    AwakeableId,
    Client,
    Context,
    Restate,
    RetryPolicy,
    Service,
    TerminalError,
    UsageError,
    handler,
)
from restate_patterns.admin import AdminClient, InvocationStatus, InvocationView
from restate_patterns.server import RunningServer
from tests.support.bounds import PATIENCE_S

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]

MANY = 24
ONCE = RetryPolicy(max_attempts=1, then="fail")
THRICE = RetryPolicy(initial=timedelta(milliseconds=5), max_attempts=3, then="fail")


class Declined(TerminalError, code=402):
    """The card is empty."""

    card: str


class Shop(Service):
    """Fails with an error that has a field, which older servers have no place for."""

    @handler(retry=ONCE, raises=[Declined])
    async def pay(self, ctx: Context) -> None:
        raise Declined(card="4111")

    @handler(retry=ONCE, raises=[Declined])
    async def pay_in_a_step(self, ctx: Context) -> None:
        await ctx.run("charge", self._charge)

    async def _charge(self) -> None:
        raise Declined(card="4111")


class Changing(Service):
    """Takes another path, or meets a bug, on its second attempt."""

    changed = False
    doors: ClassVar[list[AwakeableId[str]]] = []

    @handler(retry=ONCE, inactivity_timeout=timedelta(0))
    async def once(self, ctx: Context) -> str:
        return await self._path(ctx)

    @handler(retry=THRICE, inactivity_timeout=timedelta(0))
    async def thrice(self, ctx: Context) -> str:
        return await self._path(ctx)

    @handler(retry=ONCE)
    async def bug(self, ctx: Context) -> str:
        await ctx.run("first", lambda: 1)
        raise UsageError("a bug")

    @handler(retry=ONCE)
    async def weather(self, ctx: Context) -> str:
        raise ConnectionError("weather")

    async def _path(self, ctx: Context) -> str:
        await ctx.run("new" if Changing.changed else "old", lambda: 1)
        door = ctx.awakeable(str)
        Changing.doors.append(door.id)
        return await door


def backend_on(server: RunningServer) -> Restate:
    return Restate(ingress_url=server.ingress_url, admin_url=server.admin_url, bind="127.0.0.1:0", force=True)


async def reached(status: InvocationStatus, admin: AdminClient, invocation_id: str) -> InvocationView:
    """Wait until an invocation has a status."""
    async with asyncio.timeout(PATIENCE_S):
        while (view := (await admin.describe_invocation(invocation_id)).view).status is not status:
            assert view.status is not InvocationStatus.COMPLETED, view
            await asyncio.sleep(0.05)
    return view


@pytest.fixture
async def client(restate_server: RunningServer, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Client]:
    caplog.set_level(logging.CRITICAL)
    async with App([Changing()]).start(backend_on(restate_server)) as client:
        yield client


@pytest.mark.parametrize("name", ["once", "thrice", "bug"])
async def test_it_is_paused_every_time_with_its_reason(
    client: Client, restate_server: RunningServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Changing, "changed", False)
    monkeypatch.setattr(Changing, "doors", [])
    handles = [await getattr(client.service_client(Changing), name).send() for _ in range(MANY)]
    async with AdminClient(restate_server.admin_url) as admin:
        if name != "bug":
            for handle in handles:
                await reached(InvocationStatus.SUSPENDED, admin, handle.id)
            monkeypatch.setattr(Changing, "changed", True)
            for door in set(Changing.doors):
                await door.resolve(client, "open")
        for handle in handles:
            view = await reached(InvocationStatus.PAUSED, admin, handle.id)
            assert ("a bug" if name == "bug" else "mismatch") in (view.last_failure or ""), view
        for handle in handles:
            await admin.kill(handle.id)


@pytest.mark.parametrize("name", ["pay", "pay_in_a_step"])
async def test_a_server_that_is_too_old_is_named(
    restate_server: RunningServer, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    described = discovery.Endpoint
    monkeypatch.setattr(discovery, "Endpoint", lambda **facts: described(**facts | {"maxProtocolVersion": 5}))
    async with (
        App([Shop()]).start(backend_on(restate_server)) as client,
        AdminClient(restate_server.admin_url) as admin,
    ):
        handle = await getattr(client.service_client(Shop), name).send()
        view = await reached(InvocationStatus.PAUSED, admin, handle.id)
        assert "not supported by the negotiated protocol version" in (view.last_failure or ""), view
        assert "the Restate server is too old" in caplog.text
        await admin.kill(handle.id)


async def test_what_a_retry_could_mend_fails_as_its_policy_says(client: Client) -> None:
    with pytest.raises(TerminalError, match="weather"):
        await client.service_client(Changing).weather()
