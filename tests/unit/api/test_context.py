"""What a context gives: ids, dice, time, headers, logs, keys; the same on every replay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from restate_patterns import (
    Cancelled,
    Context,
    ObjectContext,
    ObjectSharedContext,
    Service,
    State,
    VirtualObject,
    handler,
)
from tests.support.engines.apps import running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


async def nothing() -> None: ...


class Facts(VirtualObject, name="FactsObject"):
    one = State[int]()
    two = State[int](name="zwei")

    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []

    @handler
    async def collect(self, ctx: ObjectContext) -> str:
        def look() -> dict[str, object]:
            return {
                "uuid": ctx.uuid4(),
                "dice": ctx.random.randint(1, 10**9),
                "now": ctx.now(),
                "id": ctx.invocation_id,
                "key": ctx.key,
                "headers": dict(ctx.headers),
            }

        facts = [look()]
        await asyncio.sleep(10)
        facts.append(look())
        await ctx.run("nothing", nothing)
        self.seen.append({"first": facts[0], "second": facts[1]})
        return ctx.invocation_id

    @handler
    async def set_header(self, ctx: ObjectContext) -> None:
        headers: Any = ctx.headers
        headers["x"] = "y"

    @handler
    async def states(self, ctx: ObjectContext) -> list[list[str]]:
        before = await ctx.state_keys()
        self.one.set(ctx, 1)
        self.two.set(ctx, 2)
        between = await ctx.state_keys()
        ctx.clear_all()
        return [before, between, await ctx.state_keys()]

    @handler
    async def look_at_keys(self, ctx: ObjectSharedContext) -> list[str]:
        return [ctx.key, *await ctx.state_keys()]

    @handler(name="log_it")
    async def log(self, ctx: ObjectContext) -> None:
        ctx.logger.info("before %s", "the wait")
        await asyncio.sleep(1)
        ctx.logger.warning("after the wait", extra={"own": 3})
        await asyncio.sleep(1)

    @handler
    async def cleans_up(self, ctx: ObjectContext) -> None:
        try:
            await asyncio.sleep(60)
        except Cancelled:
            with ctx.shielded():
                await asyncio.sleep(5)
                self.one.set(ctx, 7)
            raise


class Headers(Service):
    @handler
    async def show(self, ctx: Context) -> Mapping[str, str]:
        return dict(ctx.headers)

    @handler
    async def forward(self, ctx: Context) -> Mapping[str, str]:
        return await ctx.service_client(Headers).show.with_options(headers={"trace": ctx.headers["trace"]})()


async def test_facts_are_the_same_on_each_replay() -> None:
    facts = Facts()
    async with running(facts) as app:
        handle = await app.client.object_client(Facts, "k/1").collect.send()
        await app.bench.advance(timedelta(seconds=11))
        assert await handle.result() == handle.id

    seen = facts.seen[-1]
    first: Any = seen["first"]
    second: Any = seen["second"]
    assert isinstance(first["uuid"], UUID)
    assert first["uuid"].version == 4
    assert first["uuid"] != second["uuid"]
    assert first["dice"] != second["dice"]
    assert first["now"].tzinfo is UTC
    assert second["now"] - first["now"] == timedelta(seconds=10)
    assert first["now"] == datetime(2030, 1, 1, tzinfo=UTC)
    assert (first["key"], first["id"]) == ("k/1", handle.id)


async def test_headers_travel_and_are_read_only() -> None:
    async with running(Headers(), Facts()) as app:
        forward = app.client.service_client(Headers).forward.with_options(headers={"trace": "t1"})
        assert await forward() == {"trace": "t1"}
        shouted = app.client.service_client(Headers).show.with_options(headers={"X-TRACE": "t2"})
        assert await shouted() == {"x-trace": "t2"}
        handle = await app.client.object_client(Facts, "a").set_header.send()
        await app.bench.settle()
        view = (await app.bench.engine.describe_invocation(handle.id)).view
        assert "does not support item assignment" in (view.last_failure or "")
        await app.bench.engine.kill(handle.id)


async def test_state_keys_and_clear_all() -> None:
    async with running(Facts()) as app:
        facts = app.client.object_client(Facts, "a")
        assert await facts.states() == [[], ["one", "zwei"], []]
        assert await facts.look_at_keys() == ["a"]


async def test_logs_are_said_once_and_say_whose_they_are(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(Facts()) as app:
        handle = await app.client.object_client(Facts, "a").log.send()
        await app.bench.advance(timedelta(seconds=3))
        await handle.result()

    records = [record for record in caplog.records if record.name == f"{__name__}.FactsObject.log_it"]
    assert [record.getMessage() for record in records] == ["before the wait", "after the wait"]
    assert {vars(record)["invocation_id"] for record in records} == {handle.id}
    assert vars(records[1])["own"] == 3


async def test_a_shielded_undo_runs_to_its_end() -> None:
    async with running(Facts()) as app:
        handle = await app.client.object_client(Facts, "a").cleans_up.send()
        await app.bench.settle()
        await handle.cancel()
        await app.bench.settle()
        await handle.cancel()
        await app.bench.advance(timedelta(seconds=6))

        with pytest.raises(Cancelled):
            await handle.result()
        assert await app.client.object_client(Facts, "a").look_at_keys() == ["a", "one"]
