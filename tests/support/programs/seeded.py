"""A program that gives values without an order of their own everywhere: begun under one hash seed, ended under another.

    python -m tests.support.programs.seeded FILE_OR_PORT RUN hold|finish [INGRESS_URL ADMIN_URL]

With `hold` each handler stops behind what it gave and the program says `held`; it is then to be killed. With `finish`
they go on to their end and it prints, as JSON, what has become of each.
"""

from __future__ import annotations

import asyncio
import enum
import json
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel

from restate_patterns import (
    AlreadyInvoked,
    App,
    Context,
    DurablePromise,
    Embedded,
    Restate,
    Service,
    State,
    TerminalError,
    Workflow,
    WorkflowContext,
    handler,
)
from restate_patterns.engine.backend import Backend

T = TypeVar("T")
WORDS: Final = ("ann", "bob", "cem", "dora", "eva", "finn", "gül", "hugo")


class Level(enum.Enum):
    LOW = "zz"
    MIDDLE = "mm"
    HIGH = "aa"


class Seat(BaseModel, frozen=True):
    row: str
    tags: frozenset[str] = frozenset()


class Box(BaseModel, Generic[T]):
    inside: T


class Everything(BaseModel):
    frozen: frozenset[str]
    pairs: set[tuple[str, int]]
    levels: set[Level]
    times: set[datetime]
    seats: set[Seat]
    of_sets: set[frozenset[str]]
    by_name: dict[str, set[str]]
    in_line: deque[set[str]]
    boxed: Box[set[str]]
    maybe: set[str] | None
    mixed: set[str | int]
    again: Everything | None = None


@dataclass
class Data:
    words: set[str]
    more: list[set[str]] = field(default_factory=list[set[str]])


def words() -> set[str]:
    return set(WORDS)


def everything() -> Everything:
    made = Everything(
        frozen=frozenset(WORDS),
        pairs={(word, len(word)) for word in WORDS},
        levels=set(Level),
        times={datetime(2026, 1, len(word), second=number, tzinfo=UTC) for number, word in enumerate(WORDS)},
        seats={Seat(row=word, tags=frozenset(WORDS)) for word in WORDS},
        of_sets={frozenset(WORDS[:end]) for end in range(4)},
        by_name={word: set(WORDS) for word in WORDS},
        in_line=deque([set(WORDS), set(WORDS[2:])]),
        boxed=Box[set[str]](inside=set(WORDS)),
        maybe=set(WORDS),
        mixed={*WORDS, 1, 2, 3},
    )
    return made.model_copy(update={"again": made})


def data() -> Data:
    return Data(set(WORDS), [set(WORDS), set(WORDS[:5])])


def table() -> dict[str, int]:
    """Be a dictionary whose keys come as a set was iterated."""
    return {word: len(word) for word in set(WORDS)}


def tally() -> Counter[str]:
    return Counter("".join(set(WORDS)))


KINDS: Final[dict[str, Callable[[], Any]]] = {
    "words": words, "everything": everything, "data": data, "table": table, "tally": tally,
}  # fmt: skip
ONE_ORDER: Final = ("words", "everything", "data")
"""Those that also have one order of bytes: a server that compares bytes takes them."""

PLACES: Final = ("step", "call", "keyed_call", "send", "send_after", "state", "promise", "awakeable", "reject")


class Wrong(TerminalError):
    """Carries a set."""

    given: set[str]
    message = "wrong"


class Taker(Service):
    @handler
    async def words(self, ctx: Context, value: set[str]) -> set[str]:
        return value

    @handler
    async def everything(self, ctx: Context, value: Everything) -> Everything:
        return value

    @handler
    async def data(self, ctx: Context, value: Data) -> Data:
        return value

    @handler
    async def table(self, ctx: Context, value: dict[str, int]) -> dict[str, int]:
        return value

    @handler
    async def tally(self, ctx: Context, value: Counter[str]) -> Counter[str]:
        return value


async def take(value: Any) -> str:
    """Be an action."""
    return type(value).__name__


TYPES: Final[dict[str, Any]] = {
    "words": set[str], "everything": Everything, "data": Data, "table": dict[str, int], "tally": Counter[str],
}  # fmt: skip


class Giver(Workflow):
    words = State[set[str]]()
    everything = State[Everything]()
    data = State[Data]()
    table = State[dict[str, int]]()
    tally = State[Counter[str]]()
    promised_words = DurablePromise[set[str]]()
    promised_everything = DurablePromise[Everything]()
    promised_data = DurablePromise[Data]()
    promised_table = DurablePromise[dict[str, int]]()
    promised_tally = DurablePromise[Counter[str]]()

    def __init__(self, *, hold: bool, jobs_count: int) -> None:
        self._hold = hold
        self._left = [jobs_count]
        self.held = asyncio.Event()

    @handler
    async def run(self, ctx: WorkflowContext, job: tuple[str, str]) -> bool:
        kind, place = job
        value = KINDS[kind]()
        back = await self._give(ctx, kind, place, value)
        await ctx.run("hold", self._hold_up)
        return bool(back == value)

    async def _give(self, ctx: WorkflowContext, kind: str, place: str, value: Any) -> Any:
        taker = getattr(ctx.service_client(Taker), kind)
        promise: DurablePromise[Any] = getattr(self, f"promised_{kind}")
        match place:
            case "step":
                await ctx.run("take", take, value)
            case "call":
                return await taker(value)
            case "keyed_call":
                return await taker.with_options(idempotency_key=ctx.key, headers={"b": "1", "a": "2"})(value)
            case "send":
                return await (await taker.send(value)).result()
            case "send_after":
                return await (await taker.send_after(timedelta(milliseconds=1), value)).result()
            case "state":
                getattr(self, kind).set(ctx, value)
                return await getattr(self, kind).get(ctx)
            case "promise":
                await promise.resolve(ctx, value)
                return await promise.value(ctx)
            case "awakeable":
                awakeable = ctx.awakeable(TYPES[kind])
                await awakeable.id.resolve(ctx, value)
                return await awakeable
            case _:
                await promise.reject(ctx, Wrong(given=set(WORDS)))
                try:
                    await promise.value(ctx)
                except Wrong as error:
                    return value if error.given == set(WORDS) else error.given
        return value

    async def _hold_up(self) -> None:
        self._left[0] -= 1
        if not self._left[0]:
            self.held.set()
        if self._hold:
            await asyncio.Event().wait()


def backend_of(where: str, urls: list[str]) -> Backend:
    if not urls:
        return Embedded(where)
    return Restate(ingress_url=urls[0], admin_url=urls[1], bind=f"127.0.0.1:{where}", force=True)


async def main(where: str, run: str, verb: str, urls: list[str]) -> None:
    jobs = [(kind, place) for kind in (ONE_ORDER if urls else KINDS) for place in PLACES]
    giver = Giver(hold=verb == "hold", jobs_count=len(jobs))
    async with App([giver, Taker()]).start(backend_of(where, urls)) as client:
        runs = {job: client.workflow_client(Giver, f"{run}-{job[0]}-{job[1]}") for job in jobs}
        if verb == "hold":
            for job, workflow in runs.items():
                try:
                    await workflow.run.send(job)
                except AlreadyInvoked:
                    continue  # by the last process
            async with asyncio.timeout(60):
                await giver.held.wait()
            print("held", flush=True)
            await asyncio.Event().wait()
        waits = {job: asyncio.ensure_future(workflow.run.handle().result()) for job, workflow in runs.items()}
        await asyncio.wait(waits.values(), timeout=60)
        ends = {"/".join(job): wait.result() if wait.done() else "hangs" for job, wait in waits.items()}
        print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
