"""Rows that compare two sides: both run, and are measured in turn, the order changing from pair to pair."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from typing_extensions import override

from benchmarks.load import LoaderMissingError, loader, post_rate
from benchmarks.results import Result, Spread, ratio
from benchmarks.rows.base import EMBEDDED, Row, RowMissingError, Settings, require
from benchmarks.sides import SERVER_DIR, Side, SideSpec, running_side
from restate_patterns.server import ServerError, installed

CONCURRENCY = 50
STEPS = 5

EMBEDDED_HTTP = SideSpec("restate-patterns embedded", "embedded_http")
LIMIT = SideSpec("bare group commit", "limit")
DBOS = SideSpec("DBOS on SQLite", "dbos_sqlite", packages=("dbos",))
DBOS_TUNED = SideSpec("DBOS on SQLite, tuned", "dbos_sqlite", {"tuned": True}, packages=("dbos",))
RESTATE = SideSpec("restate-sdk on Restate", "restate", packages=("restate", "hypercorn"))

Sample = Callable[[Side, float], float]
"""Measures a side for some seconds and gives a rate."""


def steps_in_process(side: Side, seconds: float) -> float:
    """Give durable steps a second of concurrent invocations."""
    return side.rate("steps", concurrency=CONCURRENCY, seconds=seconds)


def steps_over_http(side: Side, seconds: float) -> float:
    """Give durable steps a second of concurrent invocations that come over the ingress."""
    return STEPS * post_rate(side.ask("urls")["five"], connections=CONCURRENCY, seconds=seconds)


def requests_over_http(side: Side, seconds: float) -> float:
    """Give answers a second of a handler that does nothing."""
    return post_rate(side.ask("urls")["noop"], connections=CONCURRENCY, seconds=seconds)


def sequential_steps(side: Side, seconds: float) -> float:
    """Give durable steps a second, each after the other."""
    return side.rate("sequential", seconds=seconds)


def commits(side: Side, seconds: float) -> float:
    """Give commits of one row a second, each after the other."""
    return side.rate("commits", seconds=seconds)


@dataclass(slots=True)
class PairedRow(Row):
    """A comparison of this framework with a peer or a limit."""

    name: str
    what: str
    peer: SideSpec
    ours_sample: Sample
    peer_sample: Sample
    goal: float | None
    ours: SideSpec = EMBEDDED
    unit: str = "steps/s"
    better: Literal["at least", "at most"] = "at least"
    notes: list[str] = field(default_factory=list)

    @override
    def measure(self, settings: Settings) -> Result:
        self._require()
        ours: list[float] = []
        theirs: list[float] = []
        with ExitStack() as stack:
            our_side = stack.enter_context(running_side(self.ours, settings.directory / "ours"))
            their_side = our_side  # which may serve both
            if self.peer is not self.ours:
                their_side = stack.enter_context(running_side(self.peer, settings.directory / "peer"))
            turns = [(our_side, self.ours_sample, ours), (their_side, self.peer_sample, theirs)]
            for number in range(settings.rounds):
                for side, sample, samples in turns if number % 2 == 0 else reversed(turns):
                    samples.append(sample(side, settings.seconds))
                settings.tell(f"{self.name}: {ours[-1]:,.0f} against {theirs[-1]:,.0f} {self.unit}")
        value = ratio(ours, theirs) if self.better == "at least" else ratio(theirs, ours)
        return Result(
            name=self.name,
            what=self.what,
            unit=self.unit,
            ours=Spread(tuple(ours)),
            peer=Spread(tuple(theirs)),
            peer_title=self.peer.title,
            value=value,
            goal=self.goal,
            better=self.better,
            notes=self.notes,
        )

    def _require(self) -> None:
        require([self.peer])
        try:
            if self.peer is RESTATE:
                installed(SERVER_DIR)
            if {self.ours_sample, self.peer_sample} & {steps_over_http, requests_over_http}:
                loader()
        except (ServerError, LoaderMissingError) as error:
            raise RowMissingError(str(error)) from error


_CONCURRENT = f"{CONCURRENCY} concurrent invocations of {STEPS} durable steps"

PAIRED: list[Row] = [
    PairedRow(
        "steps-dbos",
        f"{_CONCURRENT}, against DBOS on SQLite as documented",
        DBOS,
        steps_in_process,
        steps_in_process,
        100,
    ),
    PairedRow(
        "steps-dbos-tuned",
        f"{_CONCURRENT}, against DBOS on SQLite tuned",
        DBOS_TUNED,
        steps_in_process,
        steps_in_process,
        None,
        notes=["DBOS with a write-ahead log and one executor thread: the fastest we found for it"],
    ),
    PairedRow(
        "steps-restate",
        f"{_CONCURRENT}, against restate-sdk on a Restate server",
        RESTATE,
        steps_in_process,
        steps_over_http,
        50,
        notes=["ours is called in process; theirs over its ingress, by wrk"],
    ),
    PairedRow(
        "steps-restate-http",
        f"{_CONCURRENT}, both over HTTP",
        RESTATE,
        steps_over_http,
        steps_over_http,
        None,
        ours=EMBEDDED_HTTP,
        notes=["both are called over their ingress, by wrk"],
    ),
    PairedRow(
        "steps-limit",
        f"{_CONCURRENT}, against the bare group-commit loop",
        LIMIT,
        steps_in_process,
        steps_in_process,
        0.4,
    ),
    PairedRow(
        "step-sequential",
        "time of one durable step after the other, against a SQLite FULL commit",
        LIMIT,
        sequential_steps,
        commits,
        2,
        better="at most",
    ),
    PairedRow(
        "ingress",
        "ingress requests of a no-op handler over HTTP, against restate-sdk on Restate",
        RESTATE,
        requests_over_http,
        requests_over_http,
        20,
        ours=EMBEDDED_HTTP,
        unit="requests/s",
    ),
]
