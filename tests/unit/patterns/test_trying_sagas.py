"""A step of a saga that is refused and tried again: listings say so while it waits, and not for a saga that is over."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from restate_patterns import Context, RetryPolicy, Saga, StuckSagas, UndoPolicy
from restate_patterns.engine.interface import InvocationStatus
from restate_patterns.patterns.saga.trying import NextTry, next_try, timer_name
from tests.support.sagas.sagas import TWICE, Run, Shop, World, bench

TEN = timedelta(minutes=10)
PATIENT = UndoPolicy(retry=RetryPolicy(initial=TEN, maximum=TEN, max_attempts=3, then="fail"))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def refused(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, policy=PATIENT) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        await shop.do("d")


async def hopeless(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, policy=TWICE) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        await shop.do("d")


@pytest.mark.anyio
async def test_what_is_tried_again_is_said() -> None:
    """Out of memory, too: which undo it is, how often it was refused, and when it is tried again."""
    async with bench(refused, d=None, _a=None) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.settle()
        for number in (2, 3):
            view = (await at.env.engine.describe_invocation(handle.id)).view
            assert view.status is InvocationStatus.SUSPENDED
            (wait,) = view.waits_for
            trying = next_try(wait)
            assert trying is not None, wait
            assert trying[:2] == (number, "the undo Shop.undo")
            assert trying.until.endswith(" UTC")
            await at.env.advance(TEN)
        (wait,) = (await at.env.engine.describe_invocation(handle.id)).view.waits_for
        assert wait == "an awakeable"


@pytest.mark.anyio
async def test_a_saga_that_was_killed_is_not_listed() -> None:
    """Nobody can decide anything about it."""
    async with bench(hopeless, d=None, _a=None) as at:
        desk = at.env.client.object_client(StuckSagas, "all")
        handles = [await at.env.client.service_client(Run).run.send() for _ in range(2)]
        await at.env.advance(timedelta(minutes=1))
        assert [step.saga for step in await desk.list_all()] == [handle.id for handle in handles]
        await at.env.engine.kill(handles[0].id)
        await at.env.settle()
        assert [step.saga for step in await desk.list_all()] == [handles[1].id]


@pytest.mark.parametrize("name", ["cancel", "give back until it is done", "a\nb"])
@pytest.mark.parametrize("undoes", [True, False])
def test_the_name_of_the_timer_is_read_back(name: str, undoes: bool) -> None:
    """As the listings of both backends show it."""
    what = f"the {'undo' if undoes else 'action'} {name}"
    written = f"the timer {timer_name(4, name, undoes=undoes)} until 2026-11-24 12:14:10 UTC"
    assert next_try(written) == NextTry(4, what, "2026-11-24 12:14:10 UTC")
    assert next_try("the timer sleep until 2026-11-24 12:14:10 UTC") is None
