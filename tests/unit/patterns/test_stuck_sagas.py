"""An undo that gives up: the saga is stuck, is found, and goes on as a person decides."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from restate_patterns import (
    App,
    Context,
    Decision,
    DecisionRequest,
    InvocationHandle,
    NotStuck,
    Saga,
    SagaFailed,
    SagaLog,
    SagaState,
    SagaStepState,
    Step,
    StuckSagas,
    StuckStep,
    UndoPolicy,
    saga_services,
)
from restate_patterns.testing import run_test
from tests.support.sagas.sagas import QUICK, TWICE, Bench, Refused, Run, Shop, World, bench

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def three(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, policy=TWICE, name="three") as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        await saga.call(shop.do, "b").undo(shop.undo, lambda b: b.id)
        await saga.call(shop.do, "c").undo(shop.undo, lambda c: c.id)
        await shop.do("d")


async def in_order(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx, policy=UndoPolicy(retry=QUICK, rest="wait")) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        await saga.call(shop.do, "b").undo(shop.undo, lambda b: b.id)
        await shop.do("d")


def desk(at: Bench) -> StuckSagas:
    return at.env.client.object_client(StuckSagas, "all")


async def decide(at: Bench, handle: InvocationHandle[str], decision: Decision, number: int | None = None) -> None:
    await desk(at).decide(DecisionRequest(saga=handle.id, number=number, decision=decision))


async def start(at: Bench) -> InvocationHandle[str]:
    handle = await at.env.client.service_client(Run).run.send()
    await at.env.advance(timedelta(minutes=1))
    return handle


async def the_stuck(at: Bench) -> StuckStep:
    (stuck,) = await desk(at).list_all()
    return stuck


async def test_the_rest_is_undone_and_the_saga_is_listed() -> None:
    async with bench(three, d=None, _b=None) as at:
        handle = await start(at)
        assert at.world.effects[4:] == ["-c", "refused -b", "refused -b", "-a"]
        stuck = await the_stuck(at)
        assert (stuck.saga, stuck.saga_name, stuck.name) == (handle.id, "three", "Shop.undo")
        assert stuck.error.message == "It was refused."
        assert stuck.failed_count == 2
        record = await at.env.client.object_client(SagaLog, handle.id).show()
        assert record.state is SagaState.STUCK


async def test_resumed_it_goes_on_where_it_was() -> None:
    async with bench(three, d=None, _b=None) as at:
        handle = await start(at)
        at.world.failing["-b"] = 0
        await decide(at, handle, Decision(action="resume", by="ann"))
        with pytest.raises(Refused) as refused:
            await at.end(handle)
        assert refused.value.what == "d"
        assert at.world.effects[-1] == "-b"
        record = await at.env.client.object_client(SagaLog, handle.id).show()
        assert record.state is SagaState.UNDONE
        (step,) = [step for step in record.steps if step.decisions]
        assert step.decisions == ["resumed by ann"]
        assert step.state is SagaStepState.DONE
        assert await desk(at).list_all() == []


async def test_resumed_in_vain_it_is_stuck_again() -> None:
    async with bench(three, d=None, _b=None) as at:
        handle = await start(at)
        await decide(at, handle, Decision(action="resume"))
        await at.env.advance(timedelta(minutes=1))
        assert (await the_stuck(at)).failed_count == 2
        assert at.world.effects.count("refused -b") == 4


async def test_skipped_the_caller_gets_both_errors() -> None:
    async with bench(three, d=None, _b=None) as at:
        handle = await start(at)
        await decide(at, handle, Decision(action="skip", reason="refunded by hand", by="ann"))
        with pytest.raises(SagaFailed) as failed:
            await at.end(handle)
        assert failed.value.code == 402
        original = failed.value.original_error
        assert isinstance(original, Refused)
        assert original.what == "d"
        (lost,) = failed.value.undo_errors
        assert lost.step == "Shop.undo"
        assert lost.decision == "skipped by ann: refunded by hand"
        undone = lost.error.error()
        assert isinstance(undone, Refused)
        assert undone.what == "-b"
        record = await at.env.client.object_client(SagaLog, handle.id).show()
        assert record.state is SagaState.FAILED


async def test_supplied_it_counts_as_undone() -> None:
    async with bench(three, d=None, _b=None) as at:
        handle = await start(at)
        await decide(at, handle, Decision(action="supply", reason="refund 17", result=None))
        with pytest.raises(Refused):
            await at.end(handle)
        record = await at.env.client.object_client(SagaLog, handle.id).show()
        assert record.state is SagaState.UNDONE
        assert [step.state for step in record.steps if step.decisions] == [SagaStepState.SUPPLIED]


async def test_the_rest_waits_where_the_policy_says_so() -> None:
    async with bench(in_order, d=None, _b=None) as at:
        handle = await start(at)
        assert at.world.effects[3:] == ["refused -b", "refused -b"]
        at.world.failing["-b"] = 0
        await decide(at, handle, Decision(action="resume"))
        with pytest.raises(Refused):
            await at.end(handle)
        assert at.world.effects[5:] == ["-b", "-a"]


async def test_several_are_decided_one_by_one() -> None:
    async with bench(three, d=None, _a=None, _b=None, _c=None) as at:
        handle = await start(at)
        numbers = [stuck.number for stuck in await desk(at).list_all()]
        assert len(numbers) == 3
        await decide(at, handle, Decision(action="skip", reason="first"), numbers[0])
        await at.env.settle()
        assert [stuck.number for stuck in await desk(at).list_all()] == numbers[1:]
        with pytest.raises(NotStuck):
            await decide(at, handle, Decision(action="skip"), numbers[0])
        await decide(at, handle, Decision(action="skip", reason="the others"))
        with pytest.raises(SagaFailed) as failed:
            await at.end(handle)
        assert [lost.decision for lost in failed.value.undo_errors] == [
            "skipped: first",
            "skipped: the others",
            "skipped: the others",
        ]


async def step_undo(run: Run, ctx: Context, shop: Shop, world: World) -> None:
    async with Saga(ctx) as saga:
        saga.undo_step(Step("undo a", retry=QUICK), world.flaky, "-a")
        await shop.do("d")


async def test_a_step_gives_up_by_its_own_policy() -> None:
    async with bench(step_undo, d=None, _a=1) as at:
        handle = await start(at)
        stuck = await the_stuck(at)
        assert stuck.name == "undo a"
        assert "ConnectionError: not now" in stuck.error.message
        assert at.world.effects == ["refused d", "tried", "tried"]
        at.world.failing.clear()
        await decide(at, handle, Decision(action="resume"))
        with pytest.raises(Refused):
            await at.end(handle)


async def forward(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx, policy=TWICE) as saga:
        saga.pivot()
        receipt = await saga.call(shop.do, "a")
        count = await saga.run(Step("count", retry=QUICK), world.count, "count")
    return f"{receipt.id} {count + 1}"


async def test_an_action_after_the_pivot_gets_its_result_from_a_person() -> None:
    """A result that is not of its type, or none where one is needed, is refused and asked for again."""
    async with bench(forward, a=None, count=None) as at:
        handle = await start(at)
        assert (await the_stuck(at)).name == "Shop.do"
        await decide(at, handle, Decision(action="skip"))
        await at.env.settle()
        assert "the body is empty, expected Receipt" in (await the_stuck(at)).error.message
        await decide(at, handle, Decision(action="supply", result={"id": 7}))
        await at.env.settle()
        assert "id" in (await the_stuck(at)).error.message
        await decide(at, handle, Decision(action="supply", result={"id": "by hand"}))
        await at.env.advance(timedelta(minutes=1))
        assert (await the_stuck(at)).name == "count"
        await decide(at, handle, Decision(action="supply", result=41))
        assert await at.end(handle) == "by hand 42"


async def test_without_a_desk_the_invocation_pauses_and_parks_when_it_has_one() -> None:
    world = World(failing={"d": None, "-b": None})
    app = App([Shop(world), Run(world, three)])
    async with run_test(app, replay_always=True) as env:
        at = Bench(env, world)
        handle = await start(at)
        assert "saga_services()" in await at.why_paused(handle.id)
        assert at.world.effects[4:] == ["-c", "refused -b", "refused -b"]

        env._app = App([Shop(world), Run(world, three), *saga_services()])
        await env.crash()
        await env.engine.resume(handle.id)
        await env.advance(timedelta(minutes=1))
        assert at.world.effects[4:] == ["-c", "refused -b", "refused -b", "-a"]
        await decide(at, handle, Decision(action="supply"))
        with pytest.raises(Refused):
            await at.end(handle)


async def cancelled_while_stuck(at: Bench, handle: InvocationHandle[str]) -> None:
    await handle.cancel()
    await at.env.advance(timedelta(minutes=1))


async def test_a_cancel_does_not_free_a_stuck_saga() -> None:
    async with bench(three, d=None, _b=None) as at:
        handle = await start(at)
        await cancelled_while_stuck(at, handle)
        assert (await the_stuck(at)).saga == handle.id
        at.world.failing["-b"] = 0
        await decide(at, handle, Decision(action="resume"))
        with pytest.raises(Refused):
            await at.end(handle)


async def savepoint(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx, policy=TWICE) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        async with saga.savepoint():
            await saga.call(shop.do, "b").undo(shop.undo, lambda b: b.id)
            await shop.do("d")
    return ""


async def test_errors_of_a_savepoint_and_of_its_saga_arrive_together() -> None:
    async with bench(savepoint, d=None, _a=None, _b=None) as at:
        handle = await start(at)
        await decide(at, handle, Decision(action="skip", reason="one"))
        await at.env.advance(timedelta(minutes=1))
        await decide(at, handle, Decision(action="skip", reason="two"))
        with pytest.raises(SagaFailed) as failed:
            await at.end(handle)
        assert isinstance(failed.value.original_error, Refused)
        assert [lost.decision for lost in failed.value.undo_errors] == ["skipped: one", "skipped: two"]


async def test_two_sagas_of_one_invocation_are_told_apart() -> None:
    async def body(run: Run, ctx: Context, shop: Shop, world: World) -> None:
        async def one(name: str) -> None:
            async with Saga(ctx, policy=TWICE) as saga:
                await saga.call(shop.do, name).undo(shop.undo, lambda receipt: receipt.id)
                await shop.do("d")

        await asyncio.gather(one("a"), one("b"), return_exceptions=True)

    async with bench(body, d=None, _a=None, _b=None) as at:
        handle = await start(at)
        assert sorted(stuck.saga for stuck in await desk(at).list_all()) == [handle.id, f"{handle.id}.2"]


async def timed_out(run: Run, ctx: Context, shop: Shop, world: World) -> str:
    async with Saga(ctx, policy=TWICE) as saga:
        await saga.call(shop.do, "a").undo(shop.undo, lambda a: a.id)
        async with asyncio.timeout(1):
            await asyncio.sleep(60)
    return ""


async def test_a_timeout_whose_undo_is_skipped_ends_the_invocation_with_both() -> None:
    async with bench(timed_out, _a=None) as at:
        handle = await start(at)
        await decide(at, handle, Decision(action="skip", reason="it lapses"))
        with pytest.raises(SagaFailed) as failed:
            await at.end(handle)
        assert (failed.value.original.name, failed.value.code) == ("TimedOut", 408)
        assert [lost.decision for lost in failed.value.undo_errors] == ["skipped: it lapses"]
