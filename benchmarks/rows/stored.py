"""A million suspended invocations in one file: what they cost in memory, on disk, at start, and per step."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from benchmarks.results import Result, Spread, ratio
from benchmarks.rows.base import EMBEDDED, Row, Settings
from benchmarks.rows.paired import CONCURRENCY, steps_in_process
from benchmarks.sides import SideSpec, running_side

AT_A_TIME = 500
CHUNK = 50_000
RESIDENT_GOAL_MB = 500
START_GOAL_S = 5
COST_GOAL = 1.1


def stored_spec(file: Path) -> SideSpec:
    """Give the side that works on this file."""
    return SideSpec(EMBEDDED.title, EMBEDDED.worker, {"file": str(file)})


def size_mb(file: Path) -> float:
    """Give the size of a file with what SQLite keeps beside it."""
    return sum(each.stat().st_size for each in file.parent.glob(f"{file.name}*")) / 2**20


def fill(settings: Settings) -> list[str]:
    """Make the file when it is missing, by sending that many invocations to the engine; give notes."""
    file = settings.stored_file.absolute()
    if file.exists():
        return [f"{file} was there from an earlier run"]
    making = file.with_name(f"making-{file.name}")
    for left_over in file.parent.glob(f"{making.name}*"):
        left_over.unlink()
    start, done, resident_mb = time.monotonic(), 0, 0.0
    with running_side(stored_spec(making), settings.directory / "fill") as side:
        while done < settings.stored_count:
            count = min(CHUNK, settings.stored_count - done)
            side.ask("suspend", count=count, at_a_time=AT_A_TIME)
            done += count
            resident_mb = side.ask("memory")["resident_mb"]
            settings.tell(f"{done:,} suspended after {time.monotonic() - start:.0f} s, {resident_mb:,.0f} MB resident")
    for part in file.parent.glob(f"{making.name}*"):
        shutil.move(part, part.with_name(part.name.removeprefix("making-")))
    rate = settings.stored_count / (time.monotonic() - start)
    return [f"{resident_mb:,.0f} MB resident after sending them at {rate:,.0f} a second"]


class Suspended(Row):
    """Memory, size and start of an engine with a million suspended invocations."""

    name = "suspended"
    what = "a million suspended invocations: resident memory after a restart"

    @override
    def measure(self, settings: Settings) -> Result:
        notes = fill(settings)
        start = time.monotonic()
        with running_side(stored_spec(settings.stored_file.absolute()), settings.directory / "ours") as side:
            side.ask("noop")
            first_answer_s = time.monotonic() - start
            steps_in_process(side, settings.seconds)
            resident_mb = side.ask("memory")["resident_mb"]
        in_time = "within" if first_answer_s <= START_GOAL_S else "OVER"
        return Result(
            name=self.name,
            what=self.what.replace("a million", f"{settings.stored_count:,}"),
            unit="MB",
            ours=Spread((resident_mb,)),
            value=Spread((resident_mb,)),
            goal=RESIDENT_GOAL_MB if first_answer_s <= START_GOAL_S else 0,
            better="at most",
            notes=[
                f"first answer {first_answer_s:.2f} s after the start of the process ({in_time} {START_GOAL_S} s)",
                f"{size_mb(settings.stored_file):,.0f} MB on disk",
                *notes,
            ],
        )


@dataclass(slots=True)
class Samples:
    """What a step cost, sample by sample: on the clock, and in processor time, which other work disturbs less."""

    wall_us: list[float] = field(default_factory=list)
    processor_us: list[float] = field(default_factory=list)

    def add(self, facts: dict[str, Any]) -> None:
        """Add what a side measured."""
        self.wall_us.append(1e6 * facts["elapsed_s"] / facts["count"])
        self.processor_us.append(1e6 * facts["cpu_s"] / facts["count"])


class Stored(Row):
    """What a step costs when a million invocations are stored."""

    name = "stored"
    what = "time of a step at a million stored invocations, against an empty file"

    @override
    def measure(self, settings: Settings) -> Result:
        notes = fill(settings)
        full, empty = Samples(), Samples()
        with ExitStack() as stack:
            spec = stored_spec(settings.stored_file.absolute())
            full_side = stack.enter_context(running_side(spec, settings.directory / "full"))
            empty_side = stack.enter_context(running_side(EMBEDDED, settings.directory / "empty"))
            pairs = [(full_side, full), (empty_side, empty)]
            for number in range(settings.rounds):
                for side, samples in pairs if number % 2 == 0 else reversed(pairs):
                    samples.add(side.ask("steps", concurrency=CONCURRENCY, seconds=settings.seconds))
                settings.tell(f"{self.name}: {full.wall_us[-1]:.1f} against {empty.wall_us[-1]:.1f} µs a step")
        return Result(
            name=self.name,
            what=self.what.replace("a million", f"{settings.stored_count:,}"),
            unit="µs/step",
            ours=Spread(tuple(full.wall_us)),
            peer=Spread(tuple(empty.wall_us)),
            peer_title="an empty file",
            value=ratio(full.wall_us, empty.wall_us),
            goal=COST_GOAL,
            better="at most",
            notes=[
                f"at {CONCURRENCY} concurrent invocations",
                f"in processor time the ratio is {ratio(full.processor_us, empty.processor_us).text()}",
                *notes,
            ],
        )
