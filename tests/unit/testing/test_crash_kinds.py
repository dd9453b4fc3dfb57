"""A crash before, during and after each try of a step: what only a repeated effect shows is found, and said."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from restate_patterns import App, Context, RetryPolicy, Saga, Service, Step, TerminalError, UsageError, handler
from restate_patterns.testing import CrashPoints, TestEnvironment, at_every_crash_point
from restate_patterns.testing.crash_points import run_at_every_crash_point
from restate_patterns.testing.crashes import CRASH_KINDS, Crashes, CrashKind, CrashPoint, after_commits
from restate_patterns.testing.environment import environment


@dataclass
class Stock:
    """A fake store: one half of it knows repetitions, the other does not."""

    count: int = 0
    orders: dict[str, int] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    failing: int = 0

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]  # as new

    async def add(self, by: int) -> int:
        self.events.append(f"begin {by}")
        await asyncio.sleep(0)
        self.count += by
        self.events.append(f"add {by}")
        await asyncio.sleep(0)
        self.events.append(f"end {by}")
        return self.count

    def add_in_thread(self, by: int) -> int:
        self.count += by
        return self.count

    async def at_once(self, by: int) -> int:
        self.count += by
        return self.count

    async def order(self, key: str, by: int) -> None:
        await asyncio.sleep(0)
        self.orders[key] = by

    async def fails_once(self, by: int) -> None:
        self.events.append("try")
        await asyncio.sleep(0)
        self.failing += 1
        if self.failing == 1:
            raise ConnectionError
        self.orders["late"] = by

    async def refuse(self) -> None:
        raise TerminalError("sold out")


stock = Stock()
QUICK = Step("add", retry=RetryPolicy(initial=timedelta(seconds=1)))


class Shop(Service):
    """Takes things by steps of every kind."""

    @handler
    async def take(self, ctx: Context, how: str) -> None:
        add = {"async": stock.add, "thread": stock.add_in_thread, "at once": stock.at_once}[how]
        await ctx.run("add", add, 5)

    @handler
    async def side_by_side(self, ctx: Context) -> None:
        await asyncio.gather(ctx.run("one", stock.at_once, 1), ctx.run("two", stock.at_once, 2))

    @handler
    async def on_the_loop(self, ctx: Context) -> None:
        await asyncio.gather(ctx.run("one", stock.add, 1), ctx.run("two", stock.add, 2))

    @handler
    async def order(self, ctx: Context) -> None:
        await ctx.run("order", stock.order, str(ctx.uuid4()), 5)

    @handler
    async def insist(self, ctx: Context) -> None:
        await ctx.run(QUICK, stock.fails_once, 5)

    @handler
    async def give_back(self, ctx: Context) -> None:
        async with Saga(ctx) as saga:
            saga.undo_step("give back", stock.add, -5)
            await ctx.run("refuse", stock.refuse)


def shop() -> App:
    stock.clear()
    return App([Shop()])


def taking(how: str, kinds: Collection[CrashKind]) -> CrashPoints:
    @at_every_crash_point(shop, kinds=kinds)
    async def test(env: TestEnvironment) -> None:
        await env.client.service_client(Shop).take(how)
        assert stock.count == 5

    test()
    return test.crash_points


@pytest.mark.parametrize("how", ["async", "thread", "at once"])
def test_a_step_that_can_t_be_repeated_is_found_after_its_effect(how: str) -> None:
    """Commits, and the moments before an action, never hit the gap between an effect and its record."""
    assert taking(how, ["commit"]).count > 1
    assert taking(how, ["before"]) == CrashPoints(before=1)
    with pytest.raises(AssertionError, match="10 == 5") as failed:
        taking(how, ["after"])
    assert failed.value.__notes__ == [
        "with a crash after action 1 (step 'add' of Shop.take), before its result was recorded"
    ]


def test_a_step_that_can_t_be_repeated_is_found_at_an_await() -> None:
    with pytest.raises(AssertionError) as failed:
        taking("async", ["during"])
    assert failed.value.__notes__ == ["with a crash during action 1 (step 'add' of Shop.take), at its await 2"]


def test_effects_that_know_their_repetitions_pass(capsys: pytest.CaptureFixture[str]) -> None:
    @at_every_crash_point(shop)
    async def test_order(env: TestEnvironment) -> None:
        await env.client.service_client(Shop).order()
        assert list(stock.orders.values()) == [5]

    assert test_order.crash_points == CrashPoints()
    test_order()
    assert test_order.crash_points == CrashPoints(commits=test_order.crash_points.commits, before=1, during=1, after=1)
    assert test_order.crash_points.commits > 1
    assert capsys.readouterr().out == f"test_order: {test_order.crash_points}\n"


def test_an_undo_that_can_t_be_repeated_is_found() -> None:
    @at_every_crash_point(shop)
    async def test(env: TestEnvironment) -> None:
        with pytest.raises(TerminalError, match="sold out"):
            await env.client.service_client(Shop).give_back()
        assert stock.count == -5

    with pytest.raises(AssertionError) as failed:
        test()
    assert "(step 'give back' of Shop.give_back)" in failed.value.__notes__[0]


def test_each_try_of_a_step_has_its_points() -> None:
    @at_every_crash_point(shop, kinds=["before", "during", "after"])
    async def test(env: TestEnvironment) -> None:
        insisting = asyncio.ensure_future(env.client.service_client(Shop).insist())
        for _ in range(4):
            await env.advance(timedelta(seconds=5))
        await insisting
        assert stock.orders == {"late": 5}

    test()
    assert test.crash_points == CrashPoints(before=2, during=2, after=2)


def events_with(point: CrashPoint) -> list[str]:
    """Give what happens in the process that dies at a point, and in the next one."""

    async def run() -> None:
        async with environment(shop(), crashes=Crashes(point.__eq__)) as env:
            await env.client.service_client(Shop).take("async")
            assert env.crash_count == 1

    asyncio.run(run())
    return stock.events


def test_a_dead_process_does_nothing_more() -> None:
    """What is after the point happens once: in the process that comes next."""
    whole = ["begin 5", "add 5", "end 5"]
    assert events_with(CrashPoint("before", 1)) == whole
    assert events_with(CrashPoint("during", 1)) == ["begin 5", *whole]
    assert events_with(CrashPoint("during", 2)) == ["begin 5", "add 5", *whole]
    assert events_with(CrashPoint("after", 1)) == [*whole, *whole]


def test_of_steps_side_by_side_none_begins_in_a_dead_process() -> None:
    """Both were released by one commit; the process dies between them."""

    async def run(crashes: Crashes) -> None:
        async with environment(shop(), crashes=crashes) as env:
            await env.client.service_client(Shop).side_by_side()
            place = " ".join(crashes.places)
            repeated = {"after action 2": 3, "after action 1": 1, "before action 2": 1}
            extra = next((by for words, by in repeated.items() if place.startswith(words)), 0)
            assert stock.count == 3 + extra, place

    assert run_at_every_crash_point(run, ["before", "after"]) == CrashPoints(before=2, after=2)


@pytest.mark.parametrize("number", range(1, 5))
def test_of_steps_side_by_side_none_goes_on_in_a_dead_process(number: int) -> None:
    """One was to go on in the same turn of the loop in which the other met its end."""
    before = list[int]()

    def plan(point: CrashPoint) -> bool:
        dies = point == CrashPoint("during", number)
        before.extend([len(stock.events)] * dies)
        return dies

    async def run() -> None:
        async with environment(shop(), crashes=Crashes(plan)) as env:
            await env.client.service_client(Shop).on_the_loop()

    asyncio.run(run())
    again = stock.events[before[0] :]
    assert sorted(again[:2]) == ["begin 1", "begin 2"]
    assert len(again) == 6


@pytest.mark.timeout(60)
def test_a_process_that_dies_again_while_it_starts() -> None:
    """The first commit of a process is that of its start."""

    async def run() -> None:
        crashes = Crashes(after_commits({1, 2, 4, 5, 6}.__contains__))
        async with environment(shop(), crashes=crashes) as env:
            await env.client.service_client(Shop).order()
            assert list(stock.orders.values()) == [5]
            assert crashes.places == [f"after commit {number}" for number in (1, 2, 4, 5, 6)]

    asyncio.run(run())


@pytest.mark.parametrize("kind", CRASH_KINDS)
def test_a_crash_while_time_passes(kind: CrashKind) -> None:
    """`advance` goes on in the process that comes next, whatever it was at."""

    async def run(crashes: Crashes) -> None:
        async with environment(shop(), crashes=crashes) as env:
            handle = await env.client.service_client(Shop).insist.send_after(timedelta(minutes=1))
            await env.advance(timedelta(minutes=2))
            await env.crash()
            await handle.result()
            assert stock.orders == {"late": 5}

    assert run_at_every_crash_point(run, [kind]).count > 0


@pytest.mark.parametrize("kinds", [["commits"], [], ["after", "never"]])
def test_kinds_that_are_none(kinds: list[CrashKind]) -> None:
    with pytest.raises(UsageError, match=r"take some of 'commit', 'before', 'during', 'after'"):
        at_every_crash_point(shop, kinds=kinds)
