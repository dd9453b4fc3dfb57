"""A cancel that comes between the acceptance of an invocation and its first drain."""

from __future__ import annotations

import asyncio

import pytest

from restate_patterns import App, Cancelled, Context, Service, handler
from restate_patterns.testing import run_test


class Child(Service):
    @handler
    async def work(self, ctx: Context) -> str:
        await asyncio.sleep(60)
        return "worked"


class Parent(Service):
    @handler
    async def change_its_mind(self, ctx: Context) -> str:
        child = await ctx.service_client(Child).work.send()
        await child.cancel()
        try:
            return await child.result()
        except Cancelled:
            return "cancelled"


@pytest.mark.parametrize("replay_always", [False, True])
def test_the_handler_starts_and_is_cancelled_at_its_first_wait(replay_always: bool) -> None:
    async def scenario() -> None:
        async with run_test(App([Parent(), Child()]), replay_always=replay_always) as env:
            async with asyncio.timeout(10):
                assert await env.client.service_client(Parent).change_its_mind() == "cancelled"

    asyncio.run(scenario())
