"""Fan-outs: the time of one call must not grow with the number of calls in the same handler; and what peers take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from typing_extensions import override

from benchmarks.results import Result, Spread, ratio
from benchmarks.rows.base import EMBEDDED, Row, RowMissingError, Settings, require
from benchmarks.rows.paired import DBOS, RESTATE, PairedRow, Sample
from benchmarks.sides import SERVER_DIR, Side, SideSpec, running_side
from restate_patterns.server import ServerError, installed

SMALL_COUNT = 1_000
LARGE_COUNT = 10_000
LINEAR = 1.25
"""How much more one of many calls may cost; above it is no noise."""
PATIENCE_S = 280.0

Timed = Callable[[Side, int], float]
"""Fans out over so many items on a side, and gives the time in seconds."""


def asked(command: str) -> Timed:
    """Have a side measure itself."""

    def timed(side: Side, count: int) -> float:
        return float(side.ask(command, count=count)["elapsed_s"])

    return timed


def posted(handler: str) -> Timed:
    """Call a handler of a side from outside."""

    def timed(side: Side, count: int) -> float:
        url = f"{side.ask('urls')['ingress']}/{handler}"
        start = time.perf_counter()
        answer = httpx.post(url, json=count, timeout=PATIENCE_S)
        elapsed_s = time.perf_counter() - start
        answer.raise_for_status()
        if answer.json() != count * (count - 1):
            raise AssertionError(f"the fan-out of {count} calls came to {answer.text}")
        return elapsed_s

    return timed


def calls_of(timed: Timed) -> Sample:
    """Give the calls a second of a small fan-out, however long a sample is to take."""
    return lambda side, _seconds: SMALL_COUNT / timed(side, SMALL_COUNT)


@dataclass(slots=True)
class Growth(Row):
    """Many calls in one handler against fewer, on one side."""

    name: str
    how: str
    side: SideSpec
    timed: Timed
    goal: float | None = LINEAR
    large_count: int = LARGE_COUNT
    what: str = field(init=False)

    def __post_init__(self) -> None:
        self.what = f"time per call in {self.how} of {self.large_count:,} calls, against {SMALL_COUNT:,}"

    @override
    def measure(self, settings: Settings) -> Result:
        _require(self.side)
        large: list[float] = []
        small: list[float] = []
        repeats = max(1, self.large_count // SMALL_COUNT)
        with running_side(self.side, settings.directory / "ours") as side:
            self.timed(side, SMALL_COUNT)
            for _ in range(settings.rounds):
                elapsed_s = sum(self.timed(side, SMALL_COUNT) for _ in range(repeats))
                small.append(1e6 * elapsed_s / (repeats * SMALL_COUNT))
                large.append(1e6 * self.timed(side, self.large_count) / self.large_count)
                settings.tell(f"{self.name}: {large[-1]:.0f} against {small[-1]:.0f} µs a call")
        return Result(
            name=self.name,
            what=self.what,
            unit="µs/call",
            ours=Spread(tuple(large)),
            peer=Spread(tuple(small)),
            peer_title=f"{SMALL_COUNT:,} calls",
            value=ratio(large, small),
            goal=self.goal,
            better="at most",
        )


def _require(spec: SideSpec) -> None:
    require([spec])
    try:
        if spec is RESTATE:
            installed(SERVER_DIR)
    except ServerError as error:
        raise RowMissingError(str(error)) from error


FAN_OUT: list[Row] = [
    Growth("fan-out", "an asyncio.gather", EMBEDDED, asked("gather")),
    Growth("fan-out-window", "a fan_out with a window of 100", EMBEDDED, asked("fan_out")),
    Growth("fan-out-pages", "a fan_out in pages of 1,000", EMBEDDED, asked("pages")),
    Growth(
        "restate-fan-out", "on a Restate server: a fan_out with a window of 100", RESTATE, posted("OurBench/fan_out")
    ),
    Growth(
        "restate-gather",
        "on a Restate server: an asyncio.gather of ours",
        RESTATE,
        posted("OurBench/gather"),
        goal=None,
        large_count=3_000,
    ),
    PairedRow(
        "fan-out-dbos",
        f"a fan-out of {SMALL_COUNT:,} calls, against DBOS on SQLite as documented",
        DBOS,
        calls_of(asked("fan_out")),
        calls_of(asked("gather")),
        None,
        unit="calls/s",
    ),
    PairedRow(
        "fan-out-sdk",
        f"on a Restate server: a fan-out of {SMALL_COUNT:,} calls, against the gather of the bare SDK",
        RESTATE,
        calls_of(posted("OurBench/fan_out")),
        calls_of(posted("Bench/gather")),
        None,
        ours=RESTATE,
        unit="calls/s",
    ),
]
