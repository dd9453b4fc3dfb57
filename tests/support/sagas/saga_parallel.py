"""All small sagas whose actions run beside each other: every way to wait, kind of action, and place of a failure.

`python -m tests.support.sagas.saga_parallel` runs more of them than the tests do.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import logging
import time
from collections.abc import Collection, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, get_args

import anyio
from pydantic import BaseModel
from typing_extensions import override

from restate_patterns import (
    App,
    Context,
    ErrorRecord,
    Saga,
    SagaRecord,
    SagaState,
    SagaStepKind,
    Service,
    TerminalError,
    handler,
)
from restate_patterns.testing.crash_points import CrashPoints, run_at_every_crash_point
from restate_patterns.testing.crashes import CRASH_KINDS, Crashes, CrashKind
from restate_patterns.testing.environment import environment
from tests.support.sagas.sagas import TWICE, Receipt, Refused

Way = Literal["gather", "gather all", "wait first", "wait failed", "as completed", "group", "anyio", "parallel", "left"]
Kind = Literal["call", "step", "thread", "before", "local"]

WAYS: Final[tuple[Way, ...]] = get_args(Way)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PATIENCE_S = 30.0
LINGER_S = 0.0005
"""How long the others go on after the one that is refused."""


class Parallel(BaseModel, frozen=True):
    """One saga: its branches begin together, and each one after its first action does another."""

    way: Way
    kinds: tuple[Kind, ...]
    """What each branch does."""
    failing: int = 0
    """Whose first action is refused, from 1; 0 is none. The others end after it."""

    @property
    def cancels(self) -> bool:
        """Whether a failure cancels the other branches.

        A step that was asked to stop in the process that died is asked again before it is begun anew, and ends as
        not run: what it did is not known. An undo that is registered before it is for that.
        """
        return self.way in ("group", "anyio")

    def kind(self, name: str) -> Kind:
        """Give how an action is done."""
        return self.kinds[int(name[0]) - 1]

    @override
    def __str__(self) -> str:
        return f"{self.way}, {' '.join(self.kinds)}, {self.failing}"


def plans(branches: int) -> Iterator[Parallel]:
    """Give every saga of so many branches."""
    for way, kinds in itertools.product(WAYS, itertools.product(KINDS, repeat=branches)):
        for failing in range(branches + 1):
            yield Parallel(way=way, kinds=kinds, failing=failing)


class Outcome(BaseModel):
    """What the handler of a saga saw."""

    record: SagaRecord
    registered: list[str]
    """What was to be undone, in the order in which that was registered."""
    error: ErrorRecord | None


@dataclass
class Ledger:
    """What has happened, and which action is refused."""

    effects: list[str] = field(default_factory=list)
    refused: str = ""

    def clear(self, refused: str) -> None:
        """Begin anew."""
        self.effects.clear()
        self.refused = refused

    @property
    def has_refused(self) -> bool:
        """Whether the others, which wait for that, go on."""
        return f"refused {self.refused}" in self.effects

    async def do(self, what: str) -> None:
        """Have an effect a little after the refusal, or refuse."""
        if self._is_held_up(what):
            until = time.monotonic() + PATIENCE_S
            while not self.has_refused:
                assert time.monotonic() < until, f"{self.refused} is not refused"
                await asyncio.sleep(LINGER_S)
            await asyncio.sleep(LINGER_S)
        self._note(what)

    def do_in_thread(self, what: str) -> None:
        """Do the same in a thread."""
        if self._is_held_up(what):
            until = time.monotonic() + PATIENCE_S
            while not self.has_refused:
                assert time.monotonic() < until, f"{self.refused} is not refused"
                time.sleep(LINGER_S)
            time.sleep(LINGER_S)
        self._note(what)

    def _is_held_up(self, what: str) -> bool:
        return bool(self.refused) and what != self.refused and not what.startswith("-")

    def _note(self, what: str) -> None:
        if what == self.refused:
            self.effects.append(f"refused {what}")
            raise Refused(what=what)
        self.effects.append(what)


@dataclass
class Depot(Service, name="ParallelDepot"):
    """Does and undoes."""

    ledger: Ledger

    @handler(raises=[Refused])
    async def do(self, ctx: Context, what: str) -> Receipt:
        await ctx.run(f"do {what}", self.ledger.do, what)
        return Receipt(id=what)

    @handler
    async def undo(self, ctx: Context, what: str) -> None:
        await ctx.run(f"undo {what}", self.ledger.do, f"-{what}")


class Branches:
    """The branches of one saga in one attempt."""

    def __init__(self, ctx: Context, saga: Saga, ledger: Ledger) -> None:
        self.registered: list[str] = []
        self._ctx = ctx
        self._saga = saga
        self._ledger = ledger
        self._depot = ctx.service_client(Depot)

    async def one(self, name: str, kind: Kind) -> None:
        """Do two actions, one after the other."""
        await self._act(name, kind)
        await self._act(f"{name}+", kind)

    async def _act(self, name: str, kind: Kind) -> None:
        saga, ledger = self._saga, self._ledger
        if kind == "call":
            await saga.call(self._depot.do, name).undo(self._depot.undo, lambda receipt: self._due(receipt.id))
        elif kind == "local":
            await saga.call(self._locally, name).undo(self._depot.undo, self._due)
        elif kind == "before":
            self._due(name)
            saga.undo(self._depot.undo, name)
            await saga.run(f"do {name}", ledger.do, name)
        else:
            do = ledger.do if kind == "step" else ledger.do_in_thread
            await saga.run(f"do {name}", do, name).undo_step(f"undo {name}", ledger.do, lambda _: f"-{self._due(name)}")

    async def _locally(self, name: str) -> str:
        await self._depot.do(name)
        return name

    def _due(self, name: str) -> str:
        self.registered.append(name)
        return name


@dataclass
class Beside(Service):
    """Runs sagas whose actions run beside each other."""

    ledger: Ledger

    @handler
    async def book(self, ctx: Context, plan: Parallel) -> Outcome:
        error: ErrorRecord | None = None
        saga = Saga(ctx, policy=TWICE)
        branches = Branches(ctx, saga, self.ledger)
        try:
            async with saga:
                works = [branches.one(str(number), kind) for number, kind in enumerate(plan.kinds, 1)]
                await WAITS[plan.way](saga, plan, works)
        except* TerminalError as failed:
            error = ErrorRecord.of(_first(failed))
        return Outcome(record=saga.record, registered=branches.registered, error=error)


def _first(group: BaseExceptionGroup[TerminalError]) -> TerminalError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an empty group")


Works = list[Coroutine[Any, Any, None]]


async def _gather(saga: Saga, plan: Parallel, works: Works) -> None:
    await asyncio.gather(*works)


async def _gather_all(saga: Saga, plan: Parallel, works: Works) -> None:
    for result in await asyncio.gather(*works, return_exceptions=True):
        if result is not None:
            raise result


async def _wait_first(saga: Saga, plan: Parallel, works: Works) -> None:
    left = {asyncio.create_task(work) for work in works}
    while left:
        ended, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()


async def _wait_failed(saga: Saga, plan: Parallel, works: Works) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in ended:
        task.result()


async def _as_completed(saga: Saga, plan: Parallel, works: Works) -> None:
    for task in asyncio.as_completed([asyncio.create_task(work) for work in works]):
        await task


async def _group(saga: Saga, plan: Parallel, works: Works) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


async def _anyio(saga: Saga, plan: Parallel, works: Works) -> None:
    async def one(work: Coroutine[Any, Any, None]) -> None:
        await work

    async with anyio.create_task_group() as group:
        for work in works:
            group.start_soon(one, work)


async def _parallel(saga: Saga, plan: Parallel, works: Works) -> None:
    async with saga.parallel():
        await asyncio.gather(*works)


async def _left(saga: Saga, plan: Parallel, works: Works) -> None:
    """Await the one that fails, if one does, and nobody else."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0)
    if plan.failing:
        await tasks[plan.failing - 1]


WAITS: Final = {
    "gather": _gather,
    "gather all": _gather_all,
    "wait first": _wait_first,
    "wait failed": _wait_failed,
    "as completed": _as_completed,
    "group": _group,
    "anyio": _anyio,
    "parallel": _parallel,
    "left": _left,
}


def check(plan: Parallel, ledger: Ledger, outcome: Outcome, crash_count: int) -> None:
    """Assert what must hold of every saga, whenever the process died: each effect stays, or is undone once."""
    done = [effect for effect in dict.fromkeys(ledger.effects) if not effect.startswith(("-", "refused "))]
    undos = [effect.removeprefix("-") for effect in ledger.effects if effect.startswith("-")]
    firsts = list(dict.fromkeys(undos))
    record = outcome.record
    recorded = [step for step in record.steps if step.kind is SagaStepKind.UNDO]
    assert record.owed == []
    if not plan.failing:
        assert outcome.error is None
        assert (record.state, undos, recorded) == (SagaState.COMMITTED, [], [])
        names = [str(number) for number in range(1, len(plan.kinds) + 1)]
        assert sorted(done) == sorted([*names, *(f"{name}+" for name in names)]), "all of it is done"
        return
    assert outcome.error is not None
    assert (outcome.error.name, record.state) == ("Refused", SagaState.UNDONE)
    beside_count = len(plan.kinds) if plan.way == "parallel" else 1
    assert len(undos) - len(firsts) <= crash_count * beside_count, "an undo was repeated without a crash"
    assert sorted(firsts) == sorted(outcome.registered), "what was registered is undone, once"
    assert len(recorded) == len(firsts), "and is recorded once"
    may_not_have_happened = {name for name in firsts if plan.kind(name) == "before"}
    assert set(firsts) <= set(done) | may_not_have_happened, "only what may have happened is undone"
    left = set(done) - set(firsts)
    assert not left or (crash_count and plan.cancels), "what has happened is undone"
    assert all(plan.kind(name) in ("step", "thread") for name in left), "but for steps that were never told of"
    if plan.way != "parallel":
        assert firsts == outcome.registered[::-1], "newest first"
    for name in firsts:
        assert name not in done or ledger.effects.index(name) < ledger.effects.index(f"-{name}"), (
            "no undo overtakes its action"
        )


@functools.cache
def stage() -> tuple[Ledger, App]:
    """Give the ledger and the app of all runs."""
    ledger = Ledger()
    return ledger, App([Depot(ledger), Beside(ledger)])


async def run_once(plan: Parallel, crashes: Crashes | None = None, *, replay_always: bool = False) -> None:
    """Run a saga with a crash of the process where `crashes` says, and check it."""
    ledger, app = stage()
    ledger.clear(str(plan.failing) if plan.failing else "")
    async with environment(app, replay_always=replay_always, crashes=crashes) as env:
        result = asyncio.ensure_future(env.client.service_client(Beside).book(plan))
        async with asyncio.timeout(PATIENCE_S):
            while not result.done():
                await env.advance(timedelta(seconds=1))
        await env.advance(timedelta(hours=1))
        check(plan, ledger, result.result(), env.crash_count)


def run_everywhere(
    plan: Parallel, kinds: Collection[CrashKind] = CRASH_KINDS, *, replay_always: bool = False
) -> CrashPoints:
    """Run a saga undisturbed, then with a crash at each point in turn; tell how many there were."""

    async def run(crashes: Crashes) -> None:
        await run_once(plan, crashes, replay_always=replay_always)

    try:
        return run_at_every_crash_point(run, kinds)
    except BaseException as error:
        error.add_note(repr(plan))
        raise


def main() -> None:
    """Run all sagas of so many branches, at every crash point."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--branches", type=int, default=2)
    parser.add_argument("--replay-always", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    started, runs, sagas = time.monotonic(), 0, 0
    for plan in plans(arguments.branches):
        runs += 1 + run_everywhere(plan, replay_always=arguments.replay_always).count
        sagas += 1
    print(f"{sagas} sagas, {runs} runs in {time.monotonic() - started:.0f} s; all held")


if __name__ == "__main__":
    main()
