"""Replays journals that another process recorded: `python -m tests.support.programs.replaying FILE`.

Run with other hash seeds and another heap, it must issue the same commands throughout.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.engines.memory_backend import Entry
from tests.support.programs.program_runs import replay, world_of
from tests.support.programs.programs import Program


@dataclass(frozen=True)
class Recording:
    """A finished run of a program: all that a replay needs."""

    program: Program
    seed: int
    entries: list[Entry]


def replay_recording(recording: Recording, noise: int = 0) -> None:
    """Replay a finished run; raises when a command differs."""
    junk = [bytearray(16 + (number * noise) % 512) for number in range(noise)]
    world = world_of(recording.program, recording.seed)
    world.entries = recording.entries
    replay(world)
    del junk


def main() -> None:
    """Replay the recordings of a file and say how many."""
    recordings: list[Recording] = pickle.loads(Path(sys.argv[1]).read_bytes())
    for number, recording in enumerate(recordings):
        replay_recording(recording, noise=number * 17 % 301)
    print(f"{len(recordings)} replayed")


if __name__ == "__main__":
    main()
