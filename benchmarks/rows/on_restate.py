"""Rows that compare this framework with the bare SDK on one Restate server, which both have registered with."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from benchmarks.load import LoaderMissingError, loader, post_rate
from benchmarks.results import Result, Spread, ratio
from benchmarks.rows.base import Row, RowMissingError, Settings, require
from benchmarks.rows.paired import CONCURRENCY, RESTATE
from benchmarks.sides import SERVER_DIR, running_side
from restate_patterns.server import ServerError, installed


@dataclass(slots=True)
class OnRestateRow(Row):
    """One handler of each, under the same load in turn."""

    name: str
    what: str
    handler: str
    per_request: int = 1
    unit: str = "requests/s"

    @override
    def measure(self, settings: Settings) -> Result:
        self._require()
        ours: list[float] = []
        theirs: list[float] = []
        with running_side(RESTATE, settings.directory / "restate") as side:
            urls = side.ask("urls")
            turns = [(urls[f"our_{self.handler}"], ours), (urls[self.handler], theirs)]
            for number in range(settings.rounds):
                for url, samples in turns if number % 2 == 0 else reversed(turns):
                    rate = post_rate(url, connections=CONCURRENCY, seconds=settings.seconds)
                    samples.append(self.per_request * rate)
                settings.tell(f"{self.name}: {ours[-1]:,.0f} against {theirs[-1]:,.0f} {self.unit}")
        return Result(
            name=self.name,
            what=self.what,
            unit=self.unit,
            ours=Spread(tuple(ours)),
            peer=Spread(tuple(theirs)),
            peer_title="restate-sdk on hypercorn",
            value=ratio(ours, theirs),
            goal=1,
            better="at least",
            notes=["one server, the load by wrk; ours is served by `restate-patterns serve`"],
        )

    def _require(self) -> None:
        require([RESTATE])
        try:
            installed(SERVER_DIR)
            loader()
        except (ServerError, LoaderMissingError) as error:
            raise RowMissingError(str(error)) from error


ON_RESTATE: list[Row] = [
    OnRestateRow(
        "restate-steps",
        f"on a Restate server: {CONCURRENCY} concurrent invocations of 5 durable steps",
        "five",
        5,
        "steps/s",
    ),
    OnRestateRow(
        "restate-calls",
        f"on a Restate server: {CONCURRENCY} concurrent invocations of 5 calls to an object",
        "calls",
        5,
        "calls/s",
    ),
    OnRestateRow("restate-ingress", "on a Restate server: ingress requests of a no-op handler", "noop"),
]
