"""Fan-outs: the time of one call must not grow with the number of calls in the same handler; and what peers take."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx
from typing_extensions import override

from benchmarks.results import Result, Spread, ratio
from benchmarks.rows.base import EMBEDDED, Row, RowMissingError, Settings, require
from benchmarks.rows.paired import DBOS, RESTATE
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


@dataclass(slots=True)
class Peers(Row):
    """A fan-out of ours against one of a peer, of as many calls."""

    name: str
    what: str
    peer: SideSpec
    ours_timed: Timed
    peer_timed: Timed
    ours: SideSpec = EMBEDDED
    count: int = SMALL_COUNT

    @override
    def measure(self, settings: Settings) -> Result:
        _require(self.peer)
        ours: list[float] = []
        theirs: list[float] = []
        with ExitStack() as stack:
            our_side = stack.enter_context(running_side(self.ours, settings.directory / "ours"))
            their_side = (
                our_side
                if self.peer is self.ours
                else stack.enter_context(running_side(self.peer, settings.directory / "peer"))
            )
            turns = [(our_side, self.ours_timed, ours), (their_side, self.peer_timed, theirs)]
            for number in range(settings.rounds):
                for side, timed, samples in turns if number % 2 == 0 else reversed(turns):
                    samples.append(self.count / timed(side, self.count))
                settings.tell(f"{self.name}: {ours[-1]:,.0f} against {theirs[-1]:,.0f} calls/s")
        return Result(
            name=self.name,
            what=self.what,
            unit="calls/s",
            ours=Spread(tuple(ours)),
            peer=Spread(tuple(theirs)),
            peer_title=self.peer.title,
            value=ratio(ours, theirs),
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
    Peers(
        "fan-out-dbos",
        f"a fan-out of {SMALL_COUNT:,} calls, against DBOS on SQLite as documented",
        DBOS,
        asked("fan_out"),
        asked("gather"),
    ),
    Peers(
        "fan-out-sdk",
        f"on a Restate server: a fan-out of {SMALL_COUNT:,} calls, against the gather of the bare SDK",
        RESTATE,
        posted("OurBench/fan_out"),
        posted("Bench/gather"),
        ours=RESTATE,
    ),
]
