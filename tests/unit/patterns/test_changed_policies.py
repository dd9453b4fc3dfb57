"""A saga whose policy is changed while it undoes: what was decided stays, what comes goes by the new one."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from restate_patterns import Context, RetryPolicy, Saga, StuckSagas, UndoPolicy
from tests.support.sagas.sagas import Refused, Run, Shop, World, bench

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

OLD = UndoPolicy(retry=RetryPolicy(initial=timedelta(minutes=1), factor=1, max_attempts=4, then="fail"))
NEW = {
    "fewer tries": UndoPolicy(retry=RetryPolicy(initial=timedelta(minutes=1), factor=1, max_attempts=1)),
    "more tries": UndoPolicy(retry=RetryPolicy(initial=timedelta(minutes=1), factor=1, max_attempts=9)),
    "other waits": UndoPolicy(retry=RetryPolicy(initial=timedelta(seconds=7), factor=3, max_attempts=4)),
    "by chance": UndoPolicy(retry=RetryPolicy(initial=timedelta(seconds=50), factor=1, max_attempts=4, jitter=1)),
    "in order": UndoPolicy(retry=RetryPolicy(initial=timedelta(minutes=1), factor=1, max_attempts=2), rest="wait"),
    "another class": UndoPolicy(retry=RetryPolicy(give_up_on=[Refused])),
}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("minutes", [1, 3], ids="after {} min".format)
@pytest.mark.parametrize(("new", "as_step"), [*((new, False) for new in NEW), ("fewer tries", True)])
async def test_a_replay_under_a_new_policy(new: str, as_step: bool, minutes: int) -> None:
    policies = [OLD]

    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async with Saga(ctx, policy=policies[0]) as saga:
            saga.undo(shop.undo, "a")
            if as_step:
                saga.undo_step("undo b", world.do, "-b")
            else:
                saga.undo(shop.undo, "b")
            await shop.do("d")

    async with bench(body, d=None, _b=None) as at:
        handle = await at.env.client.service_client(Run).run.send()
        await at.env.advance(timedelta(minutes=minutes, seconds=1))
        tried_count = at.world.effects.count("refused -b")
        policies[0] = NEW[new]
        await at.env.crash()
        await at.env.advance(timedelta(minutes=40))
        (stuck,) = await at.env.client.object_client(StuckSagas, "all").list_all()
        assert at.world.effects.count("refused -b") >= tried_count
        assert stuck.failed_count == at.world.effects.count("refused -b")
        assert handle.id == stuck.saga
