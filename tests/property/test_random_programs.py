"""Random handler programs: the same value whatever crashes, none swapped, none stuck.

Each program runs undisturbed, and once more in one of the ways to disturb it. With the environment variable
`RANDOM_PROGRAMS=5000` there are so many of them, each disturbed in every way.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs.program_runs import cancel_program, replay, replay_beginnings, run_program
from tests.support.programs.programs import Group, Sequence, StepNode, Try, expected
from tests.support.programs.random_programs import random_program
from tests.support.programs.replaying import Recording, replay_recording

PROGRAMS_COUNT = int(os.environ.get("RANDOM_PROGRAMS", "320"))
ALL_WAYS = "RANDOM_PROGRAMS" in os.environ
BLOCKS_COUNT = 16
REPLAYS_COUNT = 50


def seeds_of(block: int, way: int, ways_count: int = 4) -> list[int]:
    """Give the seeds of one block, so that a failure names few programs, that are disturbed in one way."""
    seeds = range(block, PROGRAMS_COUNT, BLOCKS_COUNT)
    return [seed for seed in seeds if ALL_WAYS or seed // BLOCKS_COUNT % ways_count == way]


blocks = pytest.mark.parametrize("block", range(BLOCKS_COUNT))


@blocks
def test_rule_01_programs_undisturbed_give_their_value_and_each_beginning_replays(block: int) -> None:
    for seed in seeds_of(block, 0, 1):
        replay_beginnings(run_program(random_program(seed), seed), every=9)


@blocks
def test_rule_03_programs_give_the_same_whatever_crashes(block: int) -> None:
    for way, crash in ((0, 0.1), (1, 0.4)):
        for seed in seeds_of(block, way):
            run_program(random_program(seed), seed, crash=crash, suspend=0.1)


@blocks
def test_rule_03_programs_give_the_same_when_every_wait_replays(block: int) -> None:
    for seed in seeds_of(block, 2):
        run_program(random_program(seed), seed, suspend=1.0)


@blocks
def test_rule_14_cancelled_programs_end_and_replay(block: int) -> None:
    for seed in seeds_of(block, 3):
        after = 1 + seed * 7 % 20
        replay_beginnings(cancel_program(random_program(seed), seed, after, crash=0.1, suspend=0.1), every=9)


def test_rule_01_programs_replay_fifty_times_with_heap_noise() -> None:
    for seed in range(0, 320, 40):
        program = random_program(seed)
        recording = Recording(program, seed, run_program(program, seed).entries)
        for count in range(REPLAYS_COUNT):
            replay_recording(recording, noise=count * 13 % 97)


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_rule_01_programs_replay_in_other_processes_with_other_hash_seeds(hash_seed: str, tmp_path: Path) -> None:
    programs = [(random_program(seed), seed) for seed in range(0, 320, 16)]
    recordings = [Recording(program, seed, run_program(program, seed).entries) for program, seed in programs]
    file = tmp_path / "recordings"
    file.write_bytes(pickle.dumps(recordings))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.programs.replaying", str(file)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"{len(recordings)} replayed"), done.stderr


def test_programs_are_the_same_for_the_same_seed_and_use_everything() -> None:
    programs = [random_program(seed) for seed in range(200)]
    assert programs == [random_program(seed) for seed in range(200)]
    text = repr(programs)
    kinds = "Sequence Gather Group AnyioGroup WaitSet AsCompleted Timeout Try CancelOne SleepNode CallNode StateNode"
    assert [kind for kind in kinds.split() if f"{kind}(" not in text] == []
    assert "AwakeableNode(" in text
    assert "fails=True" in text


def test_the_oracle_knows_failures() -> None:
    fails = StepNode("a", "a", fails=True)
    program = Sequence((Try(Group((fails, StepNode("b", "b")))), StepNode("c", "c")))
    assert expected(program) == ["failed", "c"]
    assert expected(Group((fails,))) == "failed"


def test_a_replay_that_differs_is_noticed() -> None:
    world = run_program(random_program(3), 3)
    entry = next(entry for entry in world.entries if len(entry.commands) > 1)
    entry.commands.reverse()
    with pytest.raises(AssertionError):
        replay(world)
