"""One handler with all there is (steps on the loop, in threads, side by side, sends, limits) at every crash point."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from restate_patterns import App, Context, ObjectContext, RetryPolicy, Service, State, Step, VirtualObject, handler
from restate_patterns.testing import TestEnvironment, at_every_crash_point

MINUTE = timedelta(minutes=1)
LIMITED = Step("limited", retry=RetryPolicy(initial=timedelta(seconds=1)), timeout=timedelta(seconds=30))
done: dict[str, str] = {}
tries: list[str] = []


async def do(key: str, what: str) -> str:
    await asyncio.sleep(0)
    done[key] = what
    await asyncio.sleep(0)
    return what


def do_in_thread(key: str, what: str) -> str:
    done[key] = what
    return what


async def do_at_the_second_try(key: str) -> str:
    tries.append(key)
    if len(tries) == 1:
        raise ConnectionError
    return await do(key, "limited")


class Guests(VirtualObject):
    """Who comes."""

    names = State[list[str]](default_factory=list)

    @handler
    async def add(self, ctx: ObjectContext, name: str) -> None:
        self.names.set(ctx, [*await self.names.get(ctx), name])

    @handler
    async def all_of_them(self, ctx: ObjectContext) -> list[str]:
        return await self.names.get(ctx)


class Party(Service):
    """Invites, and does not wait for ever for an answer."""

    @handler
    async def give(self, ctx: Context) -> list[str]:
        guests = ctx.object_client(Guests, "all")
        async with asyncio.timeout(600):
            said = await asyncio.gather(
                ctx.run("on the loop", do, str(ctx.uuid4()), "loop"),
                ctx.run("in a thread", do_in_thread, str(ctx.uuid4()), "thread"),
                ctx.run(LIMITED, do_at_the_second_try, str(ctx.uuid4())),
            )
        for name in said:
            await guests.add.send(name)
        await guests.add.send_after(MINUTE, "late")
        try:
            async with asyncio.timeout(30):
                await ctx.awakeable(str)
        except TimeoutError:
            await asyncio.sleep(1)
        return list(said)


def party() -> App:
    done.clear()
    tries.clear()
    return App([Guests(), Party()])


@pytest.mark.parametrize("replay_always", [False, True])
def test_everything_is_done_whenever_the_process_dies(replay_always: bool) -> None:
    @at_every_crash_point(party, replay_always=replay_always)
    async def test(env: TestEnvironment) -> None:
        giving = await env.client.service_client(Party).give.send()
        await env.advance(2 * MINUTE)
        assert await giving.result() == ["loop", "thread", "limited"]
        guests = await env.client.object_client(Guests, "all").all_of_them()
        assert guests == ["loop", "thread", "limited", "late"]
        assert sorted(done.values()) == ["limited", "loop", "thread"]

    test()
    points = test.crash_points
    assert points.commits > 5
    assert (points.before, points.during, points.after) == (4, 4, 4)


def test_crashes_while_time_passes() -> None:
    """A crash on demand in the midst of a jump, beside the planned one: time goes on in the process that comes next."""

    @at_every_crash_point(party, kinds=["commit", "after"])
    async def test(env: TestEnvironment) -> None:
        async def crash() -> None:
            for _ in range(3):
                await env.crash()

        giving = asyncio.create_task(env.client.service_client(Party).give())
        await asyncio.gather(env.advance(2 * MINUTE), crash())
        await env.advance(2 * MINUTE)
        assert await giving == ["loop", "thread", "limited"]
        assert sorted(done.values()) == ["limited", "loop", "thread"]

    test()
    assert test.crash_points.count > 5
