"""Fan-out: the time of one call must not grow with the number of calls in the same handler."""

from __future__ import annotations

from typing_extensions import override

from benchmarks.results import Result, Spread, ratio
from benchmarks.rows.base import EMBEDDED, Row, Settings
from benchmarks.sides import running_side

SMALL_COUNT = 1_000
LARGE_COUNT = 10_000
LINEAR = 1.25
"""How much more one of many calls may cost; above it is no noise."""


class FanOut(Row):
    """Ten thousand calls in one handler, against a thousand."""

    name = "fan-out"
    what = f"time per call in a fan-out of {LARGE_COUNT:,} calls in one handler, against {SMALL_COUNT:,}"

    @override
    def measure(self, settings: Settings) -> Result:
        large: list[float] = []
        small: list[float] = []
        with running_side(EMBEDDED, settings.directory / "ours") as side:
            before_mb = side.ask("fan_out", count=SMALL_COUNT)["resident_mb"]
            peak_mb = before_mb
            for _ in range(settings.rounds):
                elapsed_s = sum(side.ask("fan_out", count=SMALL_COUNT)["elapsed_s"] for _ in range(10))
                small.append(1e6 * elapsed_s / (10 * SMALL_COUNT))
                facts = side.ask("fan_out", count=LARGE_COUNT)
                large.append(1e6 * facts["elapsed_s"] / LARGE_COUNT)
                peak_mb = max(peak_mb, facts["resident_mb"])
                settings.tell(f"{self.name}: {large[-1]:.0f} against {small[-1]:.0f} µs a call")
        return Result(
            name=self.name,
            what=self.what,
            unit="µs/call",
            ours=Spread(tuple(large)),
            peer=Spread(tuple(small)),
            peer_title=f"{SMALL_COUNT:,} calls",
            value=ratio(large, small),
            goal=LINEAR,
            better="at most",
            notes=[f"{peak_mb - before_mb:,.0f} MB more resident after {LARGE_COUNT:,} calls at once"],
        )
