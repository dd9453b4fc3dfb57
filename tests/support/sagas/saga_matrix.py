"""All small sagas: every length, failing position, failing undo and pivot; and what must hold of each.

`python -m tests.support.sagas.saga_matrix` runs more of them than the tests do.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from restate_patterns import (
    App,
    Client,
    Context,
    Decision,
    DecisionRequest,
    ErrorRecord,
    Saga,
    SagaFailed,
    SagaRecord,
    SagaState,
    SagaStepKind,
    SagaStepState,
    Service,
    StuckSagas,
    TerminalError,
    handler,
    saga_services,
)
from restate_patterns.testing import TestEnvironment
from restate_patterns.testing.crash_points import CrashPoints, run_at_every_crash_point
from restate_patterns.testing.crashes import CRASH_KINDS, Crashes, CrashKind
from restate_patterns.testing.environment import environment
from tests.support.sagas.sagas import TWICE, Shop, World


class Plan(BaseModel, frozen=True):
    """One saga. Positions count from 1; 0 is none."""

    steps: int
    failing: int = 0
    """Which action fails: for good before the pivot, once after it."""
    pivot: int = 0
    """After which action the pivot is."""
    failing_undo: int = 0
    """The undo of which action fails."""
    gives_up: bool = False
    """That undo fails until a person has decided, and not once."""
    skipped: bool = False
    """The person skips it, and does not resume it."""

    @property
    def undone(self) -> list[int]:
        """The actions that must be undone, in that order."""
        if not self.failing or 0 < self.pivot < self.failing:
            return []
        last = self.failing if registered_before(self.failing) else self.failing - 1
        return list(range(last, 0, -1))

    @property
    def first_undos(self) -> list[int]:
        """The order in which undo actions succeed."""
        order = self.undone
        if self.gives_up:
            order = [each for each in order if each != self.failing_undo]
            order += [] if self.skipped else [self.failing_undo]
        return order


def registered_before(position: int) -> bool:
    """Tell whether the undo of an action is registered before it; the forms take turns."""
    return position % 3 == 2


def plans(steps_max: int) -> Iterator[Plan]:
    """Give every saga of up to so many steps."""
    for steps in range(1, steps_max + 1):
        yield Plan(steps=steps)
        yield Plan(steps=steps, pivot=steps)
        for failing in range(1, steps + 1):
            for pivot in range(1, failing):
                yield Plan(steps=steps, failing=failing, pivot=pivot)
            plan = Plan(steps=steps, failing=failing)
            yield plan
            for undo in plan.undone:
                once = plan.model_copy(update={"failing_undo": undo})
                yield once
                for skipped in (False, True):
                    yield once.model_copy(update={"gives_up": True, "skipped": skipped})


class Outcome(BaseModel):
    """What the handler of a saga saw."""

    record: SagaRecord
    error: ErrorRecord | None


@dataclass
class Planned(Service):
    """Runs a saga as planned."""

    world: World

    @handler
    async def book(self, ctx: Context, plan: Plan) -> Outcome:
        error: ErrorRecord | None = None
        saga = Saga(ctx, policy=TWICE)
        try:
            async with saga:
                for position in range(1, plan.steps + 1):
                    self.world.crash_once(f"before {position}")
                    await self._act(ctx, saga, position)
                    if position == plan.pivot:
                        saga.pivot()
                self.world.crash_once("at the end")
        except TerminalError as failed:
            error = ErrorRecord.of(failed)
        return Outcome(record=saga.record, error=error)

    async def _act(self, ctx: Context, saga: Saga, position: int) -> None:
        shop, name = ctx.service_client(Shop), str(position)
        if saga.pivoted:
            await (
                saga.run(f"do {name}", self.world.do, name) if registered_before(position) else saga.call(shop.do, name)
            )
        elif registered_before(position):
            saga.undo_step(f"undo {name}", self.world.do, f"-{name}")
            await saga.run(f"do {name}", self.world.do, name)
        elif position % 3 == 1:
            await saga.call(shop.do, name).undo(self._undo, lambda receipt: (ctx, receipt.id))
        else:
            receipt = await shop.do(name)
            saga.undo(shop.undo, receipt.id)

    async def _undo(self, given: tuple[Context, str]) -> None:
        ctx, name = given
        self.world.crash_once(f"before undo {name}")
        await ctx.service_client(Shop).undo(name)


def prepare(world: World, plan: Plan) -> None:
    """Make a world anew in which what the plan says fails."""
    world.effects.clear()
    world.failing.clear()
    world.crash_at = None
    if plan.failing:
        world.failing[str(plan.failing)] = 1 if plan.pivot and plan.pivot < plan.failing else None
    if plan.failing_undo:
        world.failing[f"-{plan.failing_undo}"] = None if plan.gives_up else 1


@functools.cache
def stage() -> tuple[World, App]:
    """Give the world and the app of all runs: making an app takes longer than a run."""
    world = World()
    return world, App([Shop(world), Planned(world), *saga_services()])


async def decide_if_stuck(client: Client, world: World, plan: Plan) -> bool:
    """Do what a person does with a stuck saga; tell whether there was one."""
    desk = client.object_client(StuckSagas, "all")
    stuck = await desk.list_all()
    for step in stuck:
        decision = Decision(action="skip", reason="it lapses")
        if not plan.skipped:
            world.failing.clear()
            decision = Decision(action="resume")
        await desk.decide(DecisionRequest(saga=step.saga, number=step.number, decision=decision))
    return bool(stuck)


def check(plan: Plan, world: World, outcome: Outcome, crash_count: int) -> None:
    """Assert what must hold of every saga, whenever the process died."""
    undos = [effect.removeprefix("-") for effect in world.effects if effect.startswith("-")]
    firsts = list(dict.fromkeys(undos))
    assert firsts == [str(each) for each in plan.first_undos], "each undo ran, in order, and no other did"
    assert len(undos) - len(firsts) <= crash_count, "an undo was repeated without a crash"
    record = outcome.record
    recorded = [step for step in record.steps if step.kind is SagaStepKind.UNDO]
    names = [f"undo {each}" if registered_before(each) else "Shop.undo" for each in plan.undone]
    found = ["Shop.undo" if "_undo" in step.name else step.name for step in recorded]
    assert found == names, "each undo is recorded once, in order"
    skipped = [step for step in recorded if step.state is SagaStepState.SKIPPED]
    assert len(skipped) == int(plan.skipped)
    assert all(step.state is SagaStepState.DONE for step in recorded if step not in skipped)
    assert record.owed == []
    if plan.undone or (plan.failing and not plan.pivot):
        assert outcome.error is not None
        assert outcome.error.name == (SagaFailed.error_name if plan.skipped else "Refused")
        assert outcome.error.code == 402
        assert record.state is (SagaState.FAILED if plan.skipped else SagaState.UNDONE)
        forward = range(1, plan.failing)
    else:
        assert outcome.error is None
        assert record.state is SagaState.COMMITTED
        forward = range(1, plan.steps + 1)
    done = list(dict.fromkeys(effect for effect in world.effects if effect.isdigit()))
    assert done == [str(each) for each in forward], "what is done is done, in order"


async def run_once(
    plan: Plan, crashes: Crashes | None = None, *, replay_always: bool = False, crash_at: str | None = None
) -> None:
    """Run a saga with a crash of the process where `crashes` says, and check it.

    `crash_at` says where an attempt crashes in a process that lives.
    """
    world, app = stage()
    prepare(world, plan)
    world.crash_at = crash_at
    async with environment(app, replay_always=replay_always, crashes=crashes) as env:
        outcome = await _finished(env, plan, world)
        check(plan, world, outcome, env.crash_count)


async def _finished(env: TestEnvironment, plan: Plan, world: World) -> Outcome:
    result = asyncio.ensure_future(env.client.service_client(Planned).book(plan))
    for _ in range(100):
        await env.advance(timedelta(seconds=1))
        if result.done():
            return result.result()
        if plan.gives_up:
            await decide_if_stuck(env.client, world, plan)
    result.cancel()
    raise AssertionError("it does not end")


def run_everywhere(
    plan: Plan, kinds: Collection[CrashKind] = CRASH_KINDS, *, replay_always: bool = False
) -> CrashPoints:
    """Run a saga undisturbed, then with a crash at each point in turn; tell how many there were."""

    async def run(crashes: Crashes) -> None:
        await run_once(plan, crashes, replay_always=replay_always)

    try:
        return run_at_every_crash_point(run, kinds)
    except BaseException as error:
        error.add_note(repr(plan))
        raise


def main() -> None:
    """Run all sagas of up to so many steps, at every crash point."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--replay-always", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    started, runs = time.monotonic(), 0
    for plan in plans(arguments.steps):
        runs += 1 + run_everywhere(plan, replay_always=arguments.replay_always).count
    print(f"{runs} runs in {time.monotonic() - started:.0f} s; all held")


if __name__ == "__main__":
    main()
