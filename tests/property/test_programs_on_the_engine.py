"""Random handler programs through the public API on the real engine, with crashes at random.

None may diverge from what it must give, have branches swapped, or get stuck. `PROGRAMS_COUNT` makes it run
longer; `python -m tests.property.test_programs_on_the_engine 1000` runs that many and says how it went.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys

import pytest

from restate_patterns import App, AwakeableId, Context
from restate_patterns.testing.crashes import Crashes, CrashPlan, CrashPoint, never
from restate_patterns.testing.environment import TestEnvironment, environment
from tests.support.programs.program_services import ProgramPeer, ProgramRunner
from tests.support.programs.programs import Program, Value, expected
from tests.support.programs.random_programs import random_program

COUNT = int(os.environ.get("PROGRAMS_COUNT", "25"))
TURNS_MAX = 200_000

Waiting = dict[AwakeableId[str], str]
"""Awakeables that are to be resolved with their label."""


class RandomCrashes:
    """Crashes at about one point in `one_in`, a bounded number of times."""

    def __init__(self, seed: int, one_in: int) -> None:
        self._random = random.Random(seed)
        self._one_in = one_in
        self._left = 12

    def __call__(self, point: CrashPoint) -> bool:
        if point.number < 3 or self._left == 0 or self._random.randrange(self._one_in):
            return False
        self._left -= 1
        return True


async def finish(env: TestEnvironment, waiting: Waiting, running: asyncio.Future[str]) -> None:
    """Let time pass, alarm by alarm, and answer awakeables, until the program has ended."""
    answered: set[AwakeableId[str]] = set()
    for _ in range(TURNS_MAX):
        if running.done():
            return
        for _ in range(6):
            await asyncio.sleep(0)
        if env.down or env.engine.core.busy:
            continue
        for awakeable_id, label in list(waiting.items()):
            if awakeable_id not in answered:
                answered.add(awakeable_id)
                await awakeable_id.resolve(env.client, label)
        due_ms = env.clock.next_ms()
        if due_ms is not None:
            env.clock.step_to(due_ms)
    raise AssertionError("stuck")


async def run_on_engine(seed: int, plan: CrashPlan, *, replay_always: bool) -> int:
    """Run the program of a seed and compare; gives the number of crashes."""
    waiting: Waiting = {}

    async def hand_out(ctx: Context, awakeable_id: AwakeableId[str], label: str) -> None:
        waiting[awakeable_id] = label

    runner = ProgramRunner(hand_out)
    async with environment(App([runner, ProgramPeer()]), replay_always=replay_always, crashes=Crashes(plan)) as env:
        runner.effects.clock_sleep = env.clock.sleep
        running = asyncio.ensure_future(env.client.object_client(ProgramRunner, "k").run(seed))
        await finish(env, waiting, running)
        value: Value = json.loads(running.result())
        program: Program = random_program(seed)
        assert value == expected(program), f"program {seed} diverged: {program}"
        return env.crash_count


@pytest.mark.parametrize("replay_always", [False, True], ids=["default", "inactivity-0"])
def test_programs_survive_crashes_at_random(replay_always: bool) -> None:
    crashes = 0
    for seed in range(COUNT):
        plans: list[CrashPlan] = [never, RandomCrashes(seed, 4)]
        for plan in plans:
            try:
                crashes += asyncio.run(run_on_engine(seed, plan, replay_always=replay_always))
            except BaseException as error:
                error.add_note(f"program {seed}, replay_always={replay_always}, plan {plan}")
                raise
    assert crashes > COUNT / 2, "the crashes came"


def main() -> None:
    """Run many programs and print how it went."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for replay_always in (False, True):
        crashes = 0
        for seed in range(count):
            crashes += asyncio.run(run_on_engine(seed, RandomCrashes(seed, 4), replay_always=replay_always))
        timeout = "0" if replay_always else "default"
        print(f"{count} programs at inactivity timeout {timeout}: {crashes} crashes, 0 diverged, 0 stuck")


if __name__ == "__main__":
    main()
